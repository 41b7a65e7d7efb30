//! What stands where on a page.

use std::collections::BTreeMap;

use connector_protocol::{Problem, schema::escape};
use serde::Serialize;
use serde_json::{Map, Value};

use super::style;
use crate::forms::{
    model::{Choice, Field, Form, Kind, Object, Rule, Section, Variants},
    value::{chosen, fits, in_utc, plain},
};

/// How many empty rows wait in a list for what may come.
const SPARE: usize = 4;

/// A field on the page.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// The name of its control: the JSON pointer of its value.
    pub name: String,
    /// An id that no other element has.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What it means, and what it may be.
    pub help: Vec<String>,
    /// Whether the browser insists on it.
    pub required: bool,
    /// Whether it is needed, at times; the page's style says when.
    pub needed: bool,
    /// Whether it should no longer be used.
    pub deprecated: bool,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// Whether it is unfolded: it is filled, needed, or something in it is wrong.
    pub open: bool,
    /// The control.
    pub control: Control,
    /// The box that gives the empty text, list or object; and whether it is ticked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
    /// The box that gives `null`, which clears; and whether it is ticked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<bool>,
}

/// What a field is drawn as.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// A line of text.
    Line(Line),
    /// Several lines of text.
    Lines {
        /// What stands in it.
        text: String,
        /// How many lines it shows.
        rows: u8,
        /// Attributes that say what it takes.
        limits: BTreeMap<&'static str, String>,
        /// What stands in it while it is empty.
        placeholder: String,
    },
    /// One of several, folded or open.
    Pick {
        /// Whether all are seen at once.
        open: bool,
        /// What there is to choose from.
        options: Vec<Pick>,
        /// What it says for none; `None` if there has to be one.
        none: Option<String>,
    },
    /// Any of several.
    Tick {
        /// What there is to choose from.
        options: Vec<Pick>,
    },
    /// Rows, and empty ones that unfold one after another.
    Rows {
        /// The rows.
        rows: Vec<View>,
        /// Rows that are there if somebody wants them.
        spare: Vec<View>,
    },
    /// Fields together.
    Fields(Box<Fields>),
    /// One of several kinds of value.
    Either {
        /// Which one, and what each is.
        which: Vec<Pick>,
        /// The kinds, each a field of its own.
        options: Vec<View>,
    },
    /// A value that is always this.
    Fixed {
        /// The value, as people read it.
        text: String,
        /// Whether it is given; `None` if it always is.
        given: Option<bool>,
    },
    /// A secret that this page does not take, and how it is given instead.
    Elsewhere {
        /// The field, as `--set` names it.
        set: String,
    },
    /// A value as JSON, since no control can show it.
    Json {
        /// The JSON.
        text: String,
    },
}

/// A line of text.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Line {
    /// The type of the input: `text`, `email`, `url`, `password`, `number`, `date`, `datetime-local`.
    pub input: &'static str,
    /// What stands in it.
    pub text: String,
    /// Attributes that say what it takes.
    pub limits: BTreeMap<&'static str, String>,
    /// What stands in it while it is empty.
    pub placeholder: String,
    /// What it counts, behind it.
    pub unit: String,
    /// Whether it completes the names of time zones.
    pub zones: bool,
    /// Whether the text is the value as it stands, whatever the field would make of it.
    pub exact: bool,
    /// For a point in time: the time zone of what stands in it.
    pub zone: Option<String>,
}

/// Fields that belong to one object.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Fields {
    /// The path of the object.
    pub name: String,
    /// An id that no other element has.
    pub id: String,
    /// Fields and groups of fields, in their order.
    pub items: Vec<Item>,
    /// Sentences about what holds between the fields.
    pub rules: Vec<String>,
    /// Which variant, and what each is.
    pub which: Vec<Pick>,
    /// What it says for no variant.
    pub none: Option<String>,
    /// The variants' fields.
    pub variants: Vec<Self>,
    /// Members whose names whoever fills it chooses: a name and a value each.
    pub more: Vec<Member>,
    /// Whether there may be such members.
    pub takes_more: bool,
    /// Members that no field knows, as JSON.
    pub rest: Option<String>,
}

/// A field, or a group of fields that fold away together.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A field.
    Field(Box<View>),
    /// A time, and the zone in which it is meant.
    Pair {
        /// The time.
        time: Box<View>,
        /// The zone.
        zone: Box<View>,
    },
    /// A group.
    Group(Group),
}

/// Fields that fold away together.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its heading.
    pub title: String,
    /// Whether something in it is filled, or wrong.
    pub open: bool,
    /// The fields.
    pub fields: Vec<View>,
}

/// A member with a name that somebody chose.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// The name of the control for the member's name.
    pub name: String,
    /// An id that no other element has.
    pub id: String,
    /// The member's name.
    pub text: String,
    /// The member's value.
    pub value: View,
}

/// One of several.
#[derive(Debug, Clone, Serialize)]
pub struct Pick {
    /// What is sent: the value's JSON, or the number of a variant.
    pub send: String,
    /// What people call it.
    pub title: String,
    /// What it means.
    pub help: String,
    /// Whether it is chosen.
    pub chosen: bool,
    /// Whether it is not listed here but what counts if nothing is chosen.
    pub default: bool,
}

/// A page's fields, and the rules of style by which those come and go that depend on others. Secrets are asked for only where
/// the page is posted: the address that another one leads to stays in the browser's history, with all that was filled in.
#[must_use]
pub fn view(
    form: &Form,
    value: Option<&Value>,
    problems: &[Problem],
    is_posted: bool,
) -> (Fields, Vec<String>) {
    let mut painter = Painter { problems, is_posted, ids: 0, rules: Vec::new(), scopes: Vec::new() };
    let empty = Value::Object(Map::new());
    let value = value.filter(|value| value.is_object()).unwrap_or(&empty);
    let fields = painter.object(&form.object, "", Some(value), true, &mut vec![value]);
    (fields, painter.rules)
}

/// Where the fields of one level are, for conditions that look at them: an object's, and those of a variant of it.
#[derive(Default)]
pub(super) struct Scope<'a>(pub(super) Vec<(String, &'a Object)>);

struct Painter<'a> {
    problems: &'a [Problem],
    is_posted: bool,
    ids: usize,
    rules: Vec<String>,
    scopes: Vec<Scope<'a>>,
}

/// One step of the name of a control.
pub(in crate::forms) fn step(name: &str) -> String {
    format!("/{}", escape(name).replace('#', "~2"))
}

impl<'a> Painter<'a> {
    fn id(&mut self) -> String {
        self.ids += 1;
        format!("f{}", self.ids)
    }

    /// What is wrong with a value, by the path that its control's name stands for.
    fn problems(&self, name: &str) -> Vec<String> {
        let pointer = pointer(name);
        let mine = self.problems.iter().filter(|problem| problem.path == pointer);
        mine.map(|problem| problem.message.clone()).collect()
    }

    /// Whether anything at or below a path is wrong.
    fn is_wrong(&self, name: &str) -> bool {
        let pointer = pointer(name);
        self.problems.iter().any(|problem| {
            problem.path.strip_prefix(&pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// `needed`: whether the object is part of the value in any case, so that the browser may insist on its fields.
    fn object<'v>(
        &mut self,
        object: &'a Object,
        name: &str,
        value: Option<&'v Value>,
        needed: bool,
        scope: &mut Vec<&'v Value>,
    ) -> Fields {
        self.scopes.push(Scope(vec![(name.to_owned(), object)]));
        let members = value.and_then(Value::as_object);
        let mut known: Vec<String> = Vec::new();
        let mut fields = Fields { name: name.to_owned(), id: self.id(), ..Fields::default() };
        fields.rules = object.rules.iter().map(|rule| sentence(rule, object)).collect();
        self.fields(object, name, members, needed, scope, &mut fields.items, &mut known);
        if let Some(variants) = &object.variants {
            self.variants(variants, name, value, needed, scope, &mut fields, &mut known);
        }
        if let Some(more) = &object.more {
            fields.takes_more = true;
            let others: Vec<(&String, &Value)> = members
                .into_iter()
                .flatten()
                .filter(|(member, value)| {
                    !known.contains(member)
                        && fits(&more.value, value)
                        && is_line(member)
                        && !member.is_empty()
                })
                .collect();
            known.extend(others.iter().map(|(name, _)| (*name).clone()));
            for index in 0..others.len() + SPARE {
                let there = others.get(index);
                let at = format!("{name}/#m{index}");
                let value = self.field(
                    &more.value,
                    &format!("{at}/#value"),
                    there.map(|(_, value)| *value),
                    false,
                    scope,
                );
                let text = there.map_or_else(String::new, |(name, _)| (*name).clone());
                fields.more.push(Member { name: format!("{at}/#name"), id: self.id(), text, value });
            }
        }
        let rest: Map<String, Value> = members
            .into_iter()
            .flatten()
            .filter(|(member, _)| !known.contains(member))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.rest = (!rest.is_empty()).then(|| json(&Value::Object(rest)));
        self.scopes.pop();
        fields
    }

    #[expect(clippy::too_many_arguments, reason = "one object is being drawn, and all of this is its state")]
    fn fields<'v>(
        &mut self,
        object: &'a Object,
        name: &str,
        members: Option<&'v Map<String, Value>>,
        needed: bool,
        scope: &mut Vec<&'v Value>,
        items: &mut Vec<Item>,
        known: &mut Vec<String>,
    ) {
        let mut draw = |field: &'a Field| {
            let here = format!("{name}{}", step(&field.name));
            let is_there = field.shown_when.as_ref().is_none_or(|when| when.holds(scope));
            let value = members.and_then(|members| members.get(&field.name)).filter(|_| is_there);
            if is_there {
                known.push(field.name.clone());
            }
            let view = self.field(field, &here, value, needed && field.required, scope);
            self.condition(field, &view);
            let open = value.is_some() || self.is_wrong(&here);
            (view, open)
        };
        let mut sections = object.sections().into_iter().peekable();
        while let Some(section) = sections.next() {
            items.push(match section {
                Section::Field(field) => {
                    let zone = sections
                        .next_if(|next| matches!(next, Section::Field(zone) if is_zone_of(zone, field)));
                    let view = draw(field).0;
                    match zone {
                        Some(Section::Field(zone)) => {
                            Item::Pair { time: Box::new(view), zone: Box::new(draw(zone).0) }
                        }
                        _ => Item::Field(Box::new(view)),
                    }
                }
                Section::Group(title, fields) => {
                    let (fields, open): (Vec<View>, Vec<bool>) = fields.into_iter().map(&mut draw).unzip();
                    Item::Group(Group { title: title.to_owned(), open: open.contains(&true), fields })
                }
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one object is being drawn, and all of this is its state")]
    fn variants<'v>(
        &mut self,
        variants: &'a Variants,
        name: &str,
        value: Option<&'v Value>,
        needed: bool,
        scope: &mut Vec<&'v Value>,
        fields: &mut Fields,
        known: &mut Vec<String>,
    ) {
        let members = value.and_then(Value::as_object);
        let which = members.and_then(|members| chosen(variants, members));
        fields.none = Some("Choose one".to_owned());
        for (index, variant) in variants.of.iter().enumerate() {
            let is_it = which == Some(index);
            fields.which.push(Pick {
                send: index.to_string(),
                title: variant.title.clone(),
                help: variant.help.clone(),
                chosen: is_it,
                default: false,
            });
            let at = format!("{name}/#{index}");
            let mut inner = Fields { name: at.clone(), id: self.id(), ..Fields::default() };
            if let Some(scope) = self.scopes.last_mut() {
                scope.0.push((at.clone(), &variant.object));
            }
            let mut mine = Vec::new();
            let members = members.filter(|_| is_it);
            let needed = needed && variants.of.len() == 1;
            self.fields(&variant.object, &at, members, needed, scope, &mut inner.items, &mut mine);
            if let Some(scope) = self.scopes.last_mut() {
                scope.0.pop();
            }
            inner.rules = variant.object.rules.iter().map(|rule| sentence(rule, &variant.object)).collect();
            self.rules.push(style::unless_chosen(&inner.id, &format!("{name}/#which"), index));
            fields.variants.push(inner);
            if is_it {
                known.extend(mine);
                known.extend(variants.member.clone());
            }
        }
    }

    fn field<'v>(
        &mut self,
        field: &'a Field,
        name: &str,
        value: Option<&'v Value>,
        required: bool,
        scope: &mut Vec<&'v Value>,
    ) -> View {
        let mut view = View {
            name: name.to_owned(),
            id: self.id(),
            label: field.label.clone(),
            help: help(field),
            required,
            needed: field.required_when.is_some(),
            deprecated: field.deprecated,
            problems: self.problems(name),
            open: field.required || field.required_when.is_some() || value.is_some() || self.is_wrong(name),
            control: Control::Json { text: String::new() },
            empty: None,
            null: field.clearable.then(|| value.is_some_and(Value::is_null)),
        };
        if field.secret && !self.is_posted {
            view.control = Control::Elsewhere { set: setting(name) };
            return view;
        }
        // Whatever would show it, a secret is not shown.
        let value = value.filter(|value| !field.secret && (!field.clearable || !value.is_null()));
        if let Some(value) = value.filter(|value| !self.shows(field, value)) {
            view.required = false;
            view.control = Control::Json { text: json(value) };
            return view;
        }
        view.control = self.control(field, name, value, required, scope, &mut view.empty);
        view
    }

    /// Whether the control of this kind can hold the value, which is more than that the kind can.
    fn shows(&self, field: &Field, value: &Value) -> bool {
        match &field.kind {
            Kind::Text { rows: None, format, .. } => value.as_str().is_some_and(|text| {
                // These inputs take blanks from both ends.
                let trims = matches!(format.as_deref(), Some("email" | "uri" | "url"));
                is_line(text) && (!trims || text.trim() == text)
            }),
            Kind::Text { .. } | Kind::File { .. } => value.as_str().is_some_and(are_lines),
            Kind::TimeZone => value.as_str().is_some_and(is_line),
            // A time with an offset stands in a line of text.
            Kind::DateTime { .. } | Kind::Date => value.as_str().is_some_and(is_line),
            Kind::List { .. } => value.is_array(),
            Kind::Object(object) => value.as_object().is_some_and(|members| {
                object
                    .variants
                    .as_ref()
                    .is_none_or(|variants| members.is_empty() || chosen(variants, members).is_some())
            }),
            _ => fits(field, value),
        }
    }

    fn control<'v>(
        &mut self,
        field: &'a Field,
        name: &str,
        value: Option<&'v Value>,
        required: bool,
        scope: &mut Vec<&'v Value>,
        empty: &mut Option<bool>,
    ) -> Control {
        let text = value.map_or_else(String::new, plain);
        if text.is_empty() && value.is_some_and(Value::is_string) {
            *empty = Some(true);
        }
        let line = |input: &'static str, text: String, limits: BTreeMap<&'static str, String>| Line {
            input,
            text,
            limits,
            placeholder: placeholder(field),
            unit: field.unit.clone().unwrap_or_default(),
            ..Line::default()
        };
        match &field.kind {
            Kind::Text { rows: Some(rows), min_length, max_length, .. } => Control::Lines {
                text,
                rows: *rows,
                limits: lengths(*min_length, *max_length),
                placeholder: placeholder(field),
            },
            Kind::File { .. } => {
                Control::Lines { text, rows: 4, limits: BTreeMap::new(), placeholder: placeholder(field) }
            }
            Kind::Text { rows: None, format, min_length, max_length, pattern, pattern_message } => {
                let mut limits = lengths(*min_length, *max_length);
                // The browser's pattern matches the whole; ours a part.
                if let Some(pattern) = pattern.as_deref().and_then(style::whole_pattern) {
                    limits.insert("pattern", pattern);
                    let words = pattern_message.clone().map(|message| format!("It {message}"));
                    limits.insert(
                        "title",
                        words.unwrap_or_else(|| "It must have the form that is asked for".to_owned()),
                    );
                }
                let input = match format.as_deref() {
                    _ if field.secret => "password",
                    Some("email") => "email",
                    Some("uri" | "url") => "url",
                    _ => "text",
                };
                Control::Line(line(input, text, limits))
            }
            Kind::TimeZone => Control::Line(Line { zones: true, ..line("text", text, BTreeMap::new()) }),
            Kind::Number { integer, minimum, maximum } => {
                let mut limits = BTreeMap::new();
                limits.extend(minimum.as_ref().map(|least| ("min", least.to_string())));
                limits.extend(maximum.as_ref().map(|most| ("max", most.to_string())));
                limits.insert("step", if *integer { "1" } else { "any" }.to_owned());
                Control::Line(line("number", text, limits))
            }
            Kind::Date if text.is_empty() || value.is_some_and(|value| fits(field, value)) => {
                Control::Line(line("date", text, BTreeMap::new()))
            }
            Kind::DateTime { timezone_field }
                if text.is_empty() || value.is_some_and(|value| fits(field, value)) =>
            {
                let limits = [("step", "1".to_owned())].into();
                Control::Line(match timezone_field {
                    Some(_) => line("datetime-local", text, limits),
                    None => {
                        let local = in_utc(&text).unwrap_or_default();
                        Line { zone: Some("UTC".to_owned()), ..line("datetime-local", local, limits) }
                    }
                })
            }
            Kind::Date | Kind::DateTime { .. } => {
                Control::Line(Line { exact: true, ..line("text", text, BTreeMap::new()) })
            }
            Kind::Toggle => Control::Pick {
                open: false,
                options: [(true, "Yes"), (false, "No")]
                    .map(|(is, title)| Pick {
                        send: is.to_string(),
                        title: title.to_owned(),
                        help: String::new(),
                        chosen: value == Some(&Value::Bool(is)),
                        default: field.default == Some(Value::Bool(is)),
                    })
                    .into(),
                none: (!required || value.is_none()).then(|| unset(field)),
            },
            Kind::Choice { choices, open } => Control::Pick {
                open: *open,
                options: choices
                    .iter()
                    .map(|choice| pick(choice, value == Some(&choice.value), field))
                    .collect(),
                none: (!required || value.is_none()).then(|| unset(field)),
            },
            Kind::Choices { choices, .. } => {
                let items = value.and_then(Value::as_array);
                *empty = (!required).then(|| items.is_some_and(Vec::is_empty));
                let is = |choice: &Choice| items.is_some_and(|items| items.contains(&choice.value));
                Control::Tick {
                    options: choices.iter().map(|choice| pick(choice, is(choice), field)).collect(),
                }
            }
            Kind::List { item, max_items, min_items } => {
                let items = value.and_then(Value::as_array);
                let is_empty = items.is_some_and(Vec::is_empty);
                let may_be_empty = !field.required && min_items.unwrap_or_default() == 0;
                // One that has rows is emptied by emptying them.
                if is_empty || may_be_empty && items.is_none() {
                    *empty = Some(is_empty);
                }
                let count = items.map_or(0, Vec::len);
                let spare = max_items.map_or(SPARE, |most| {
                    usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(count).min(SPARE)
                });
                scope.push(value.unwrap_or(&Value::Null));
                self.scopes.push(Scope::default());
                let mut rows = Vec::new();
                for index in 0..count + spare {
                    let value = items.and_then(|items| items.get(index));
                    let mut row = self.field(item, &format!("{name}/{index}"), value, false, scope);
                    if let Control::Fixed { given, .. } = &mut row.control {
                        *given = Some(value.is_some());
                    }
                    row.label = format!("{} {}", row_word(item, field), index + 1);
                    rows.push(row);
                }
                self.scopes.pop();
                scope.pop();
                let spare = rows.split_off(count);
                Control::Rows { rows, spare }
            }
            Kind::Object(object) => {
                scope.push(value.unwrap_or(&Value::Null));
                let fields = self.object(object, name, value, required, scope);
                scope.pop();
                // It is there, and nothing in it says so.
                let says_nothing =
                    || fields.pairs().iter().all(|(name, text)| text.is_empty() || name.ends_with("/#zone"));
                if value.is_some() && !required && says_nothing() {
                    *empty = Some(true);
                }
                Control::Fields(Box::new(fields))
            }
            Kind::Either { options } => {
                let which = value.and_then(|value| {
                    let shown = options.iter().position(|option| self.shows(option, value));
                    shown.or_else(|| options.iter().position(|option| fits(option, value)))
                });
                let mut views = Vec::new();
                let mut picks = Vec::new();
                for (index, option) in options.iter().enumerate() {
                    let is_it = which == Some(index);
                    let at = format!("{name}/#{index}");
                    let view = self.field(option, &at, value.filter(|_| is_it), false, scope);
                    self.rules.push(style::unless_chosen(&view.id, &format!("{name}/#which"), index));
                    picks.push(Pick {
                        send: index.to_string(),
                        title: option.label.clone(),
                        help: option.help.clone(),
                        chosen: is_it,
                        default: false,
                    });
                    views.push(view);
                }
                Control::Either { which: picks, options: views }
            }
            Kind::Constant { value: only } => {
                Control::Fixed { text: plain(only), given: (!field.required).then_some(value.is_some()) }
            }
            Kind::Json => Control::Json { text: value.map_or_else(String::new, json) },
        }
    }

    /// Adds the rules by which a field comes and goes, and its star.
    fn condition(&mut self, field: &Field, view: &View) {
        if let Some(selector) = field.shown_when.as_ref().and_then(|when| style::selector(when, &self.scopes))
        {
            self.rules.push(format!("form:not({selector}) #{}-block{{display:none}}", view.id));
        }
        if let Some(selector) =
            field.required_when.as_ref().and_then(|when| style::selector(when, &self.scopes))
        {
            self.rules.push(format!("form:not({selector}) #{}-star{{display:none}}", view.id));
        }
    }
}

fn is_zone_of(zone: &Field, time: &Field) -> bool {
    matches!(&time.kind, Kind::DateTime { timezone_field: Some(name) } if *name == zone.name)
}

/// What a problem's path is called from a control's name: without the page's own steps.
fn pointer(name: &str) -> String {
    let steps = name.split('/').skip(1).filter(|step| !step.starts_with('#'));
    steps.map(|step| format!("/{}", step.replace("~2", "#"))).collect()
}

fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Whether an input of one line gives a text back as it is.
fn is_line(text: &str) -> bool {
    !text.contains(['\n', '\r', '\0'])
}

/// Whether an area of text gives a text back as it is.
fn are_lines(text: &str) -> bool {
    !text.contains(['\r', '\0'])
}

fn lengths(least: Option<u64>, most: Option<u64>) -> BTreeMap<&'static str, String> {
    let mut limits = BTreeMap::new();
    limits.extend(least.filter(|least| *least > 0).map(|least| ("minlength", least.to_string())));
    limits.extend(most.map(|most| ("maxlength", most.to_string())));
    limits
}

fn placeholder(field: &Field) -> String {
    let example = field
        .examples
        .first()
        .filter(|_| !field.secret)
        .map(|example| format!("for example {}", plain(example)));
    // Something has to stand there, or the style cannot tell an empty field.
    field.placeholder.clone().or(example).unwrap_or_else(|| " ".to_owned())
}

/// What it says where nothing is chosen.
fn unset(field: &Field) -> String {
    let title = |value: &Value| match &field.kind {
        Kind::Choice { choices, .. } => choices
            .iter()
            .find(|choice| choice.value == *value)
            .map_or_else(|| plain(value), |choice| choice.title.clone()),
        _ => if *value == Value::Bool(true) { "Yes" } else { "No" }.to_owned(),
    };
    match &field.default {
        Some(value) => format!("Not set: {}", title(value)),
        None if field.required => "Choose one".to_owned(),
        None => "Not set".to_owned(),
    }
}

fn pick(choice: &Choice, chosen: bool, field: &Field) -> Pick {
    Pick {
        send: choice.value.to_string(),
        title: choice.title.clone(),
        help: choice.help.clone().unwrap_or_default(),
        chosen,
        default: field.default.as_ref() == Some(&choice.value),
    }
}

/// The field that a control's name stands for, as `--set` names it.
fn setting(name: &str) -> String {
    let mut setting = String::new();
    for step in pointer(name).split('/').skip(1) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            setting += &format!("[{step}]");
        } else {
            let dot = if setting.is_empty() { "" } else { "." };
            setting += &format!("{dot}{}", step.replace("~1", "/").replace("~0", "~"));
        }
    }
    setting
}

fn row_word(item: &Field, list: &Field) -> String {
    if item.label.is_empty() { list.label.clone() } else { item.label.clone() }
}

/// The help of a field, with what a control cannot say.
fn help(field: &Field) -> Vec<String> {
    let mut help: Vec<String> =
        field.help.split("\n\n").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match (&field.kind, &field.default) {
        (Kind::Toggle | Kind::Choice { .. }, _) | (_, None) => {}
        (_, Some(default)) => help.push(format!("If left empty: {}", plain(default))),
    }
    if let Kind::List { min_items, max_items, .. } | Kind::Choices { min_items, max_items, .. } = &field.kind
    {
        help.extend(min_items.filter(|least| *least > 0).map(|least| format!("At least {least}")));
        help.extend(max_items.map(|most| format!("At most {most}")));
    }
    help
}

/// What holds between fields, as a sentence with their names as people know them.
fn sentence(rule: &Rule, object: &Object) -> String {
    use crate::forms::model::Count;
    let label = |name: &String| {
        object
            .fields
            .iter()
            .find(|field| field.name == *name)
            .map_or_else(|| name.clone(), |field| field.label.clone())
    };
    let names: Vec<String> = rule.fields.iter().map(label).collect();
    match rule.count {
        Count::NotAll => format!("Not together: {}", names.join(", ")),
        Count::AtLeastOne => format!("At least one of: {}", names.join(", ")),
        Count::ExactlyOne => format!("One of: {}", names.join(", ")),
    }
}

impl Fields {
    /// What the controls hold, as a browser sends it: names and values, in the order of the page.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.collect(&mut pairs);
        pairs
    }

    fn collect(&self, pairs: &mut Vec<(String, String)>) {
        for item in &self.items {
            match item {
                Item::Field(view) => view.collect(pairs),
                Item::Pair { time, zone } => [time, zone].into_iter().for_each(|view| view.collect(pairs)),
                Item::Group(group) => group.fields.iter().for_each(|view| view.collect(pairs)),
            }
        }
        if !self.which.is_empty() {
            let chosen = self.which.iter().find(|pick| pick.chosen).map_or("", |pick| &pick.send);
            pairs.push((format!("{}/#which", self.name), chosen.to_owned()));
            self.variants.iter().for_each(|fields| fields.collect(pairs));
        }
        for member in &self.more {
            pairs.push((member.name.clone(), member.text.clone()));
            member.value.collect(pairs);
        }
        pairs.extend(
            self.rest.iter().map(|rest| (format!("{}/#rest", self.name), rest.replace('\n', "\r\n"))),
        );
    }
}

impl View {
    fn collect(&self, pairs: &mut Vec<(String, String)>) {
        let name = &self.name;
        match &self.control {
            Control::Line(Line { text, zone, exact, .. }) => {
                let tag = if *exact { "/#text" } else { "" };
                pairs.push((format!("{name}{tag}"), text.clone()));
                pairs.extend(zone.iter().map(|zone| (format!("{name}/#zone"), zone.clone())));
            }
            Control::Lines { text, .. } => pairs.push((name.clone(), text.replace('\n', "\r\n"))),
            Control::Elsewhere { .. } => {}
            Control::Json { text } => pairs.push((format!("{name}/#json"), text.replace('\n', "\r\n"))),
            Control::Pick { options, none, open } => {
                let chosen = options.iter().find(|pick| pick.chosen);
                match chosen {
                    Some(pick) => pairs.push((name.clone(), pick.send.clone())),
                    None if none.is_some() => pairs.push((name.clone(), String::new())),
                    // Without an empty one, a folded list has its first choice.
                    None if !open => {
                        pairs.extend(options.first().map(|pick| (name.clone(), pick.send.clone())))
                    }
                    None => {}
                }
            }
            Control::Tick { options } => {
                pairs.extend(
                    options.iter().filter(|pick| pick.chosen).map(|pick| (name.clone(), pick.send.clone())),
                );
            }
            Control::Rows { rows, spare } => rows.iter().chain(spare).for_each(|row| row.collect(pairs)),
            Control::Fields(fields) => fields.collect(pairs),
            Control::Either { which, options } => {
                let chosen = which.iter().find(|pick| pick.chosen).map_or("", |pick| &pick.send);
                pairs.push((format!("{name}/#which"), chosen.to_owned()));
                options.iter().for_each(|view| view.collect(pairs));
            }
            Control::Fixed { given, .. } => {
                if *given == Some(true) {
                    pairs.push((name.clone(), "given".to_owned()));
                }
            }
        }
        for (tag, ticked) in [("#empty", self.empty), ("#null", self.null)] {
            if ticked == Some(true) {
                pairs.push((format!("{name}/{tag}"), "yes".to_owned()));
            }
        }
    }
}
