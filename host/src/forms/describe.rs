//! The form as text, to be read before one writes the input oneself. Fields have the names that a command sets them by.

use std::fmt::Write;

use serde_json::Value;

use super::{
    Condition,
    condition::Reference,
    model::{Choice, Field, Form, Kind, Limit, Object, Rule, Section},
    value::plain,
};

/// How many fields an object may have to be told within another one; of a larger one only the names are.
const INLINE: usize = 10;

/// The fields of a form as lines of text, at most `width` characters wide where words allow it; or those of the field that
/// `path` leads to, such as `settings`. Of objects with many fields only the names are told, unless the path leads there.
/// `None` if it leads nowhere.
#[must_use]
pub fn describe(form: &Form, path: Option<&str>, width: usize) -> Option<String> {
    let mut writer = Writer { out: String::new(), width, scopes: Vec::new() };
    let mut object = &form.object;
    let steps: Vec<&str> = path.into_iter().flat_map(|path| path.split('.')).collect();
    for (index, step) in steps.iter().enumerate() {
        let name = step.split('[').next().unwrap_or_default();
        let variants = object
            .variants
            .iter()
            .flat_map(|variants| &variants.of)
            .flat_map(|variant| &variant.object.fields);
        let field = object.fields.iter().chain(variants).find(|field| field.name == name)?;
        let mut kind = &field.kind;
        writer.scopes.push(Some(object));
        while let Kind::List { item, .. } = kind {
            writer.scopes.push(None);
            kind = &item.kind;
        }
        match kind {
            Kind::Object(inner) => object = inner,
            _ if index + 1 == steps.len() => {
                writer.scopes.retain(|scope| scope.is_some());
                writer.field(field, 0);
                return Some(writer.out);
            }
            _ => return None,
        }
    }
    writer.object(object, 0);
    Some(writer.out)
}

struct Writer<'a> {
    out: String,
    width: usize,
    /// The objects around the field that is being written; `None` for a list.
    scopes: Vec<Option<&'a Object>>,
}

impl<'a> Writer<'a> {
    fn object(&mut self, object: &'a Object, indent: usize) {
        self.scopes.push(Some(object));
        let (fields, groups): (Vec<_>, Vec<_>) =
            object.sections().into_iter().partition(|section| matches!(section, Section::Field(_)));
        // What stands below a heading belongs to it.
        for section in fields.into_iter().chain(groups) {
            match section {
                Section::Field(field) => self.field(field, indent),
                Section::Group(title, fields) => {
                    let _ = write!(self.out, "\n{:indent$}- {title} -\n", "");
                    fields.into_iter().for_each(|field| self.field(field, indent));
                }
            }
        }
        for variant in object.variants.iter().flat_map(|variants| &variants.of) {
            let member = object.variants.as_ref().and_then(|variants| variants.member.as_ref());
            let value = variant.value.as_ref().map(plain);
            let how = match (member, value) {
                (Some(member), Some(value)) => format!("  ({member} is {value})"),
                _ => String::new(),
            };
            let _ = write!(self.out, "\n{:indent$}either {}{how}\n", "", variant.title);
            self.paragraph(&variant.help, indent + 4);
            self.object(&variant.object, indent + 2);
        }
        if let Some(more) = &object.more {
            let names =
                more.name_pattern.as_ref().map_or(String::new(), |pattern| format!(" like {pattern}"));
            let _ = write!(self.out, "\n{:indent$}any other name{names}  ({})\n", "", kind(&more.value));
            self.body(&more.value.kind, indent + 4);
        }
        let rules: Vec<String> = object.rules.iter().map(rule).collect();
        for (index, line) in rules.iter().enumerate() {
            if index == 0 {
                self.out.push('\n');
            }
            self.paragraph(&format!("* {line}"), indent);
        }
        self.scopes.pop();
    }

    /// The names of an object's fields, by what stands together.
    fn names(&mut self, object: &'a Object, indent: usize) {
        let (mut alone, mut groups) = (Vec::new(), Vec::new());
        for section in object.sections() {
            match section {
                Section::Field(field) => alone.push(field.name.as_str()),
                Section::Group(title, fields) => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                    groups.push(format!("{title}: {}", names.join(", ")));
                }
            }
        }
        if !alone.is_empty() {
            self.paragraph(&alone.join(", "), indent);
        }
        groups.iter().for_each(|group| self.paragraph(group, indent));
    }

    fn field(&mut self, field: &'a Field, indent: usize) {
        let mut facts = vec![kind(field)];
        if field.required {
            facts.push("required".to_owned());
        }
        if let Some(default) = &field.default {
            facts.push(format!("default {}", plain(default)));
        }
        for (is, fact) in [
            (field.secret, "secret"),
            (field.clearable, "null clears"),
            (field.deprecated, "no longer recommended"),
        ] {
            if is {
                facts.push(fact.to_owned());
            }
        }
        let _ = write!(self.out, "\n{:indent$}{}  ({})\n", "", field.name, facts.join(", "));
        self.paragraph(&field.help, indent + 4);
        if let Some(example) = field.examples.first() {
            self.paragraph(&format!("for example: {}", plain(example)), indent + 4);
        }
        for line in self.conditions(field) {
            self.paragraph(&line, indent + 4);
        }
        self.body(&field.kind, indent + 4);
    }

    /// When a field is there, when it is needed, and what it takes then.
    fn conditions(&self, field: &Field) -> Vec<String> {
        let mut lines = Vec::new();
        match (&field.required_when, &field.shown_when) {
            (Some(required), Some(shown)) if required == shown => {
                lines.push(format!("required when {}, and only then", self.words(required)));
            }
            (required, shown) => {
                lines.extend(shown.as_ref().map(|when| match when {
                    Condition::Not { of } => format!("not when {}", self.words(of)),
                    when => format!("only when {}", self.words(when)),
                }));
                lines.extend(required.as_ref().map(|when| format!("required when {}", self.words(when))));
            }
        }
        let mut told: Vec<(String, Vec<String>)> = Vec::new();
        for limit in &field.limits {
            let when = self.words(&limit.when);
            for text in limits(limit) {
                match told.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, whens)) => whens.push(when.clone()),
                    None => told.push((text, vec![when.clone()])),
                }
            }
        }
        lines.extend(told.into_iter().map(|(text, whens)| format!("{text} when {}", whens.join(" or "))));
        lines
    }

    fn words(&self, condition: &Condition) -> String {
        let list = |of: &[Condition], word: &str| {
            of.iter().map(|part| self.words(part)).collect::<Vec<_>>().join(word)
        };
        match condition {
            Condition::Is { field, values } => format!("{} is {}", name(field), self.values(field, values)),
            Condition::Given { field } => format!("{} is given", name(field)),
            Condition::All { of } => list(of, " and "),
            Condition::Any { of } => list(of, " or "),
            Condition::Not { of } => match &**of {
                Condition::Is { field, values } => {
                    format!("{} is not {}", name(field), self.values(field, values))
                }
                Condition::Given { field } => format!("{} is not given", name(field)),
                other => format!("not ({})", self.words(other)),
            },
        }
    }

    /// Values as people know them: those of a choice with their titles.
    fn values(&self, field: &Reference, values: &[Value]) -> String {
        let choices = self.find(field).map_or(&[][..], |field| match &field.kind {
            Kind::Choice { choices, .. } => choices,
            _ => &[],
        });
        let title = |value: &Value| {
            let title =
                choices.iter().find(|choice| choice.value == *value).map(|choice| choice.title.clone());
            let value = plain(value);
            match title.filter(|title| *title != value) {
                Some(title) => format!("{value} ({title})"),
                None => value,
            }
        };
        values.iter().map(title).collect::<Vec<_>>().join(" or ")
    }

    fn find(&self, reference: &Reference) -> Option<&'a Field> {
        let from = self.scopes.len().checked_sub(reference.up + 1)?;
        let (last, way) = reference.path.split_last()?;
        let mut object = self.scopes[from]?;
        for name in way {
            let field = object.fields.iter().find(|field| field.name == *name)?;
            let Kind::Object(inner) = &field.kind else { return None };
            object = inner;
        }
        object.fields.iter().find(|field| field.name == *last)
    }

    fn body(&mut self, kind: &'a Kind, indent: usize) {
        match kind {
            Kind::Choice { choices, .. } | Kind::Choices { choices, .. } => {
                choices.iter().for_each(|choice| self.paragraph(&line(choice), indent));
            }
            Kind::Object(object) if object.fields.len() > INLINE => self.names(object, indent),
            Kind::Object(object) => self.object(object, indent),
            Kind::List { item, .. } => {
                self.scopes.push(None);
                self.body(&item.kind, indent);
                self.scopes.pop();
            }
            Kind::Either { options } => {
                for option in options {
                    let _ = writeln!(self.out, "{:indent$}either {}", "", self::kind(option));
                    self.body(&option.kind, indent + 4);
                }
            }
            _ => {}
        }
    }

    /// Words, wrapped.
    fn paragraph(&mut self, text: &str, indent: usize) {
        for line in text.lines() {
            let mut used = 0;
            for word in line.split_whitespace() {
                let len = word.chars().count();
                if used > 0 && indent + used + 1 + len > self.width {
                    self.out.push('\n');
                    used = 0;
                }
                let _ = if used == 0 {
                    write!(self.out, "{:indent$}{word}", "")
                } else {
                    write!(self.out, " {word}")
                };
                used += len + 1;
            }
            self.out.push('\n');
        }
    }
}

fn line(choice: &Choice) -> String {
    let value = plain(&choice.value);
    let value = if value.is_empty() { "\"\"".to_owned() } else { value };
    let title = if choice.title == value { String::new() } else { format!(" ({})", choice.title) };
    let help = choice.help.as_ref().map_or(String::new(), |help| format!(": {help}"));
    format!("{value}{title}{help}")
}

/// What a field of this kind takes, in few words.
pub(super) fn kind(field: &Field) -> String {
    let with = |what: &str, bounds: Vec<String>| {
        if bounds.is_empty() { what.to_owned() } else { format!("{what}, {}", bounds.join(", ")) }
    };
    match &field.kind {
        Kind::Text { format, min_length, max_length, .. } => {
            let what = match format.as_deref() {
                Some("email") => "e-mail address",
                Some("uri") => "web address",
                _ => "text",
            };
            let mut bounds = Vec::new();
            bounds.extend(
                min_length.filter(|least| *least > 1).map(|least| format!("at least {least} characters")),
            );
            bounds.extend(max_length.map(|most| format!("at most {most} characters")));
            with(what, bounds)
        }
        Kind::File { encoding: Some(encoding), .. } => format!("the content of a file, as {encoding}"),
        Kind::File { encoding: None, .. } => "the content of a file".to_owned(),
        Kind::Number { integer, minimum, maximum } => {
            let mut bounds = Vec::new();
            match (minimum, maximum) {
                (Some(least), Some(most)) => bounds.push(format!("{least} to {most}")),
                (Some(least), None) => bounds.push(format!("at least {least}")),
                (None, Some(most)) => bounds.push(format!("at most {most}")),
                (None, None) => {}
            }
            bounds.extend(field.unit.clone());
            with(if *integer { "whole number" } else { "number" }, bounds)
        }
        Kind::Toggle => "true or false".to_owned(),
        Kind::Choice { .. } => "one of these".to_owned(),
        Kind::Choices { .. } => "list of these".to_owned(),
        Kind::Date => "date, like 2026-12-01".to_owned(),
        Kind::DateTime { timezone_field: Some(zone) } => format!("date and time; time zone in {zone}"),
        Kind::DateTime { timezone_field: None } => "date and time, like 2026-12-01T10:00:00Z".to_owned(),
        Kind::TimeZone => "time zone".to_owned(),
        Kind::List { item, max_items, .. } => {
            let most = max_items.map(|most| format!("at most {most}")).into_iter().collect();
            with(&format!("list of: {}", kind(item)), most)
        }
        Kind::Object(_) => "fields".to_owned(),
        Kind::Either { .. } => "one of several kinds".to_owned(),
        Kind::Constant { value } => format!("always {}", plain(value)),
        Kind::Json => "JSON".to_owned(),
    }
}

fn rule(rule: &Rule) -> String {
    use super::model::Count;
    let fields = rule.fields.join(", ");
    rule.message.clone().unwrap_or_else(|| match rule.count {
        Count::NotAll => format!("not together: {fields}"),
        Count::AtLeastOne => format!("at least one of: {fields}"),
        Count::ExactlyOne => format!("one of: {fields}"),
    })
}

/// What a limit says, each to stand behind the field's name.
fn limits(limit: &Limit) -> Vec<String> {
    if !limit.messages.is_empty() {
        return limit.messages.clone();
    }
    let mut limits = Vec::new();
    if !limit.values.is_empty() {
        let values: Vec<String> = limit.values.iter().map(plain).collect();
        limits.push(format!("must be {}", values.join(" or ")));
    }
    limits.extend(limit.minimum.as_ref().map(|least| format!("must be at least {least}")));
    limits.extend(limit.maximum.as_ref().map(|most| format!("must be at most {most}")));
    limits
}

fn name(field: &Reference) -> String {
    field.path.join(".")
}
