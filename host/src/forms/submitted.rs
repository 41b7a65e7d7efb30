//! What a page sends back, as a value again.
//!
//! The other half of [`page::view`](super::page::view): it walks the same form, and asks of each field what its controls
//! hold. An empty control is a field that is left out; a row in which nothing is filled is no row. What is filled in at a
//! field that the rest says is not there does not count.

use std::{cell::RefCell, collections::HashMap};

use connector_protocol::schema::escape;
use serde_json::{Map, Value};

use super::{
    Condition,
    model::{Choice, Field, Form, Kind, Object},
    page::step,
    value::{is_with_offset, parse, point_in_time},
};

/// How many rows of a list are looked at.
const MAX_ROWS: usize = 1000;

/// Reads what a page sends: `application/x-www-form-urlencoded`, alone or behind the `?` of an address.
#[must_use]
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    let query = match text.split_once('?') {
        Some((_, query)) => query.split('#').next().unwrap_or_default(),
        None => text,
    };
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The value of what a page sent. `before` is what was there: secrets that are left empty stay as they were in it.
#[must_use]
pub fn value(form: &Form, pairs: &[(String, String)], before: Option<&Value>) -> Value {
    let mut sent: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, text) in pairs {
        sent.entry(name).or_default().push(text);
    }
    let reader = Reader { sent, rows: RefCell::default() };
    let mut value = Value::Object(reader.object(&form.object, "", before));
    // What goes may have been what something else depended on.
    while reader.prune(&form.object, "", &mut value) {}
    value
}

struct Reader<'a> {
    sent: HashMap<&'a str, Vec<&'a str>>,
    /// Which rows of a list became its items, by the name of the list.
    rows: RefCell<HashMap<String, Vec<usize>>>,
}

impl Reader<'_> {
    /// What was filled in at a control: its line breaks are ours again.
    fn text(&self, name: &str) -> Option<String> {
        let text = self.sent.get(name)?.first()?;
        (!text.is_empty()).then(|| text.replace("\r\n", "\n"))
    }

    fn is_ticked(&self, name: &str, tag: &str) -> bool {
        self.sent.contains_key(format!("{name}/{tag}").as_str())
    }

    fn which(&self, name: &str) -> Option<usize> {
        self.text(&format!("{name}/#which"))?.parse().ok()
    }

    /// Whether a control at this path or below it is filled: then what stands there is part of the value.
    fn is_there(&self, name: &str, has_secret: impl Fn() -> bool, before: Option<&Value>) -> bool {
        let filled = self.sent.iter().any(|(sent, texts)| {
            let below = sent.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            // A time zone that nobody has touched is no time.
            below && !sent.ends_with("/#zone") && texts.iter().any(|text| !text.is_empty())
        });
        // A secret is not on the page, and there all the same.
        filled || before.is_some_and(|before| !before.is_null()) && has_secret()
    }

    fn object(&self, object: &Object, name: &str, before: Option<&Value>) -> Map<String, Value> {
        let mut members = Map::new();
        self.fields(&object.fields, name, before, &mut members);
        if let Some(variants) = &object.variants
            && let Some(index) = self.which(name)
            && let Some(variant) = variants.of.get(index)
        {
            if let (Some(member), Some(value)) = (&variants.member, &variant.value) {
                members.insert(member.clone(), value.clone());
            }
            self.fields(&variant.object.fields, &format!("{name}/#{index}"), before, &mut members);
        }
        if let Some(more) = &object.more {
            for index in 0..MAX_ROWS {
                let at = format!("{name}/#m{index}");
                if !self.sent.contains_key(format!("{at}/#name").as_str()) {
                    break;
                }
                if let Some(member) = self.text(&format!("{at}/#name")) {
                    let before = before.and_then(|before| before.get(&member));
                    let value = self.field(&more.value, &format!("{at}/#value"), before);
                    members.entry(member).or_insert(value.unwrap_or_default());
                }
            }
        }
        members.extend(self.rest(name));
        members
    }

    /// The members that no field knows.
    fn rest(&self, name: &str) -> Map<String, Value> {
        let rest = self.text(&format!("{name}/#rest")).and_then(|text| serde_json::from_str(&text).ok());
        match rest {
            Some(Value::Object(rest)) => rest,
            _ => Map::new(),
        }
    }

    fn fields(&self, fields: &[Field], name: &str, before: Option<&Value>, members: &mut Map<String, Value>) {
        for field in fields {
            let here = format!("{name}{}", step(&field.name));
            let before = before.and_then(|before| before.get(&field.name));
            if let Some(value) = self.field(field, &here, before) {
                members.insert(field.name.clone(), value);
            }
        }
    }

    /// The value of a field; `None` if it is left out.
    fn field(&self, field: &Field, name: &str, before: Option<&Value>) -> Option<Value> {
        if let Some(json) = self.text(&format!("{name}/#json")) {
            // What is no JSON stays text, for the check to name.
            return Some(serde_json::from_str(&json).unwrap_or(Value::String(json)));
        }
        if let Some(text) = self.text(&format!("{name}/#text")) {
            return Some(Value::String(text));
        }
        let value = self.filled(field, name, before);
        if value.is_none() && self.is_ticked(name, "#null") {
            return Some(Value::Null);
        }
        if value.is_none() && self.is_ticked(name, "#empty") {
            return Some(match field.kind {
                Kind::List { .. } | Kind::Choices { .. } => Value::Array(Vec::new()),
                _ => Value::String(String::new()),
            });
        }
        if value.is_none() && field.secret {
            return before.cloned();
        }
        value
    }

    fn filled(&self, field: &Field, name: &str, before: Option<&Value>) -> Option<Value> {
        match &field.kind {
            Kind::Choice { choices, .. } => self.text(name).map(|text| one_of(choices, &text)),
            Kind::Choices { choices, .. } => {
                let texts = self.sent.get(name).into_iter().flatten().filter(|text| !text.is_empty());
                let items: Vec<Value> = texts.map(|text| one_of(choices, text)).collect();
                (!items.is_empty() || field.required).then_some(Value::Array(items))
            }
            Kind::DateTime { .. } => {
                let text = self.text(name)?;
                let zone = self.text(&format!("{name}/#zone")).filter(|_| !is_with_offset(&text));
                let read = match zone {
                    Some(zone) => point_in_time(&text, &zone),
                    None => parse(field, &text),
                };
                Some(read.unwrap_or(Value::String(text)))
            }
            Kind::List { item, .. } => {
                let mut items = Vec::new();
                let prefix = format!("{name}/");
                let rows = self
                    .sent
                    .keys()
                    .filter_map(|name| name.strip_prefix(&prefix)?.split('/').next()?.parse::<usize>().ok());
                let rows = rows.max().map_or(0, |last| last.saturating_add(1)).min(MAX_ROWS);
                let mut taken = Vec::new();
                for index in 0..rows {
                    let before = before.and_then(|before| before.get(index));
                    let here = format!("{name}/{index}");
                    if self.is_there(&here, || has_secret(item), before) {
                        items.push(self.field(item, &here, before).unwrap_or_else(|| nothing(item)));
                        taken.push(index);
                    }
                }
                self.rows.borrow_mut().insert(name.to_owned(), taken);
                (!items.is_empty() || field.required).then_some(Value::Array(items))
            }
            Kind::Object(object) => {
                let there = self.is_ticked(name, "#empty")
                    || self.has_members(name)
                    || before.is_some_and(|before| !before.is_null()) && has_secret(field)
                    || field.required && !self.is_ticked(name, "#null");
                there.then(|| Value::Object(self.object(object, name, before)))
            }
            Kind::Either { options } => {
                let index = self.which(name)?;
                self.field(options.get(index)?, &format!("{name}/#{index}"), before)
            }
            Kind::Constant { value } => {
                (field.required || self.sent.contains_key(name)).then(|| value.clone())
            }
            // Exactly what is there, blanks and all.
            Kind::Text { .. } | Kind::File { .. } => self.text(name).map(Value::String),
            Kind::TimeZone => self.text(name).map(Value::String),
            Kind::Number { .. } | Kind::Toggle | Kind::Date | Kind::Json => {
                let text = self.text(name)?;
                Some(parse(field, &text).unwrap_or(Value::String(text)))
            }
        }
    }

    /// Whether anything but a box of the object's own is filled.
    fn has_members(&self, name: &str) -> bool {
        let own = [format!("{name}/#empty"), format!("{name}/#null")];
        let prefix = format!("{name}/");
        self.sent.iter().any(|(sent, texts)| {
            sent.starts_with(&prefix)
                && !own.iter().any(|own| own == sent)
                && !sent.ends_with("/#zone")
                && texts.iter().any(|text| !text.is_empty())
        })
    }

    /// Takes out what is filled in at fields that are not there. True if anything was.
    fn prune(&self, object: &Object, name: &str, value: &mut Value) -> bool {
        let whole = value.clone();
        let mut gone = Vec::new();
        self.hidden(object, name, "", &whole, &mut vec![&whole], &mut gone);
        for (parent, member) in &gone {
            if let Some(Value::Object(members)) = value.pointer_mut(parent) {
                members.shift_remove(member);
            }
        }
        !gone.is_empty()
    }

    /// The members that are not there: the pointer of the object, and the name.
    fn hidden<'v>(
        &self,
        object: &Object,
        name: &str,
        pointer: &str,
        value: &'v Value,
        scope: &mut Vec<&'v Value>,
        gone: &mut Vec<(String, String)>,
    ) {
        let rest = self.rest(name);
        let which = object.variants.as_ref().and_then(|variants| {
            let index = self.which(name)?;
            Some((index, &variants.of.get(index)?.object))
        });
        let own = object.fields.iter().map(|field| (name.to_owned(), field));
        let of_variant = which.into_iter().flat_map(|(index, object)| {
            object.fields.iter().map(move |field| (format!("{name}/#{index}"), field))
        });
        let fields: Vec<(String, &Field)> = own.chain(of_variant).collect();
        for (parent, field) in &fields {
            let Some(member) = value.get(&field.name).filter(|_| !rest.contains_key(&field.name)) else {
                continue;
            };
            let holds = |when: &Condition| when.holds(scope);
            // Another field of the same name may be the one that is there.
            let is_there = |field: &Field| field.shown_when.as_ref().is_none_or(holds);
            if !fields.iter().any(|(_, other)| other.name == field.name && is_there(other)) {
                gone.push((pointer.to_owned(), field.name.clone()));
                continue;
            }
            let here = format!("{parent}{}", step(&field.name));
            self.hidden_in(field, &here, &format!("{pointer}/{}", escape(&field.name)), member, scope, gone);
        }
    }

    fn hidden_in<'v>(
        &self,
        field: &Field,
        name: &str,
        pointer: &str,
        value: &'v Value,
        scope: &mut Vec<&'v Value>,
        gone: &mut Vec<(String, String)>,
    ) {
        if self.text(&format!("{name}/#json")).is_some() {
            return;
        }
        match (&field.kind, value) {
            (Kind::Object(object), Value::Object(_)) => {
                scope.push(value);
                self.hidden(object, name, pointer, value, scope, gone);
                scope.pop();
            }
            (Kind::List { item, .. }, Value::Array(items)) => {
                let rows = self.rows.borrow().get(name).cloned().unwrap_or_default();
                scope.push(value);
                // Rows that were left out make the places of the value others than those of the page.
                for ((index, one), row) in items.iter().enumerate().zip(rows) {
                    self.hidden_in(
                        item,
                        &format!("{name}/{row}"),
                        &format!("{pointer}/{index}"),
                        one,
                        scope,
                        gone,
                    );
                }
                scope.pop();
            }
            (Kind::Either { options }, _) => {
                if let Some(index) = self.which(name)
                    && let Some(option) = options.get(index)
                {
                    self.hidden_in(option, &format!("{name}/#{index}"), pointer, value, scope, gone);
                }
            }
            _ => {}
        }
    }
}

/// Whether something in a field is a secret.
fn has_secret(field: &Field) -> bool {
    let within = |object: &Object| {
        let variants =
            object.variants.iter().flat_map(|variants| &variants.of).map(|variant| &variant.object);
        let mut objects = std::iter::once(object).chain(variants);
        objects.any(|object| object.fields.iter().any(has_secret))
            || object.more.as_ref().is_some_and(|more| has_secret(&more.value))
    };
    field.secret
        || match &field.kind {
            Kind::Object(object) => within(object),
            Kind::List { item, .. } => has_secret(item),
            Kind::Either { options } => options.iter().any(has_secret),
            _ => false,
        }
}

/// What stands for an item of which only the row is there.
fn nothing(item: &Field) -> Value {
    match item.kind {
        Kind::Object(_) => Value::Object(Map::new()),
        Kind::List { .. } | Kind::Choices { .. } => Value::Array(Vec::new()),
        _ => Value::String(String::new()),
    }
}

/// The choice of this text: its JSON. What is none stays text, for the check to name.
fn one_of(choices: &[Choice], text: &str) -> Value {
    let found =
        choices.iter().find(|choice| serde_json::to_string(&choice.value).is_ok_and(|json| json == text));
    found.map_or_else(|| Value::String(text.to_owned()), |choice| choice.value.clone())
}
