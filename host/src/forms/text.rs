//! The form as text, to be read before one fills it or writes the JSON oneself.

use std::fmt::Write;

use serde_json::Value;

use super::{Constraint, Field, Form, Kind, Rule};

/// The form as lines of text, at most `width` characters wide where words allow it.
#[must_use]
pub fn text(form: &Form, width: usize) -> String {
    let mut out = format!("{}\n", form.title);
    paragraph(&mut out, &form.description, 2, width);
    fields(&mut out, &form.fields, 0, width);
    rules(&mut out, &form.rules, 0, width);
    out
}

fn fields(out: &mut String, fields: &[Field], indent: usize, width: usize) {
    let mut group = None;
    for field in fields {
        if field.group != group {
            if let Some(name) = &field.group {
                let _ = write!(out, "\n{:indent$}- {name} -\n", "");
            }
            group.clone_from(&field.group);
        }
        self::field(out, field, indent, width);
    }
}

fn field(out: &mut String, field: &Field, indent: usize, width: usize) {
    let mut facts = vec![kind(field)];
    if field.required {
        facts.push("required".to_owned());
    }
    if let Some(default) = &field.default {
        facts.push(format!("default {}", plain(default)));
    }
    if field.secret {
        facts.push("secret".to_owned());
    }
    if field.clearable {
        facts.push("null clears".to_owned());
    }
    if field.deprecated {
        facts.push("no longer recommended".to_owned());
    }
    let _ = write!(out, "\n{:indent$}{}  ({})\n", "", field.name, facts.join(", "));
    paragraph(out, &field.help, indent + 4, width);
    if let Some(example) = field.examples.first() {
        paragraph(out, &format!("for example: {}", plain(example)), indent + 4, width);
    }
    body(out, &field.kind, indent + 4, width);
}

fn body(out: &mut String, kind: &Kind, indent: usize, width: usize) {
    match kind {
        Kind::Choice { choices } => {
            for choice in choices {
                let value = plain(&choice.value);
                let value = if value.is_empty() { "\"\"".to_owned() } else { value };
                let title = if choice.title == value { String::new() } else { format!("  {}", choice.title) };
                let help = choice.help.as_ref().map_or(String::new(), |help| format!(": {help}"));
                paragraph(out, &format!("{value}{title}{help}"), indent, width);
            }
        }
        Kind::Object { fields: inner, rules: between } => {
            fields(out, inner, indent, width);
            rules(out, between, indent, width);
        }
        Kind::List { item, .. } => body(out, &item.kind, indent, width),
        _ => {}
    }
}

fn kind(field: &Field) -> String {
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
        Kind::Date => "date, like 2026-12-01".to_owned(),
        Kind::DateTime { timezone_field: Some(zone) } => format!("date and time; time zone in {zone}"),
        Kind::DateTime { timezone_field: None } => "date and time, like 2026-12-01T10:00:00Z".to_owned(),
        Kind::TimeZone => "time zone".to_owned(),
        Kind::List { item, max_items, .. } => {
            let most = max_items.map(|most| format!("at most {most}")).into_iter().collect();
            with(&format!("list of: {}", kind(item)), most)
        }
        Kind::Object { .. } => "fields".to_owned(),
        Kind::Json => "JSON".to_owned(),
    }
}

fn rules(out: &mut String, rules: &[Rule], indent: usize, width: usize) {
    let lines: Vec<String> = rules.iter().flat_map(rule).collect();
    if lines.is_empty() {
        return;
    }
    out.push('\n');
    for line in lines {
        paragraph(out, &format!("* {line}"), indent, width);
    }
}

fn rule(rule: &Rule) -> Vec<String> {
    match rule {
        Rule::When { field, is, require, forbid, constrain, otherwise_require, otherwise_forbid } => {
            let values: Vec<String> = is.iter().map(plain).collect();
            let is =
                if values.is_empty() { "is given".to_owned() } else { format!("is {}", values.join(" or ")) };
            let line = |word: &str, fields: &[String], what: &str| {
                (!fields.is_empty()).then(|| format!("{word} {field} {is}: {} {what}", fields.join(", ")))
            };
            let narrowed = constrain.iter().flat_map(|constraint| {
                limits(constraint)
                    .into_iter()
                    .map(|text| format!("when {field} {is}: {} {text}", constraint.field))
            });
            [
                line("when", require, "must be given"),
                line("when", forbid, "must not be given"),
                line("unless", otherwise_require, "must be given"),
                line("unless", otherwise_forbid, "must not be given"),
            ]
            .into_iter()
            .flatten()
            .chain(narrowed)
            .collect()
        }
        Rule::NotTogether { fields, message } => {
            vec![message.clone().unwrap_or_else(|| format!("not together: {}", fields.join(", ")))]
        }
    }
}

/// What a constraint says, each to stand behind the field's name.
fn limits(constraint: &Constraint) -> Vec<String> {
    if !constraint.messages.is_empty() {
        return constraint.messages.clone();
    }
    let mut limits = Vec::new();
    if !constraint.values.is_empty() {
        let values: Vec<String> = constraint.values.iter().map(plain).collect();
        limits.push(format!("must be {}", values.join(" or ")));
    }
    limits.extend(constraint.minimum.as_ref().map(|least| format!("must be at least {least}")));
    limits.extend(constraint.maximum.as_ref().map(|most| format!("must be at most {most}")));
    limits
}

/// Words, wrapped.
fn paragraph(out: &mut String, text: &str, indent: usize, width: usize) {
    for line in text.lines() {
        let mut used = 0;
        for word in line.split_whitespace() {
            let len = word.chars().count();
            if used > 0 && indent + used + 1 + len > width {
                out.push('\n');
                used = 0;
            }
            if used == 0 {
                let _ = write!(out, "{:indent$}{word}", "");
            } else {
                let _ = write!(out, " {word}");
            }
            used += len + 1;
        }
        out.push('\n');
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
