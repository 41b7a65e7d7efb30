//! What of a form the style sheet does: fields that come and go with what others say, without a script.

use serde_json::Value;

use super::view::{Scope, step};
use crate::forms::{
    Condition,
    condition::Reference,
    model::{Field, Kind},
};

/// The selector, to stand behind `form`, that holds when a condition does. `None` where a style sheet cannot tell: then the
/// field is always there.
pub(super) fn selector(when: &Condition, scopes: &[Scope<'_>]) -> Option<String> {
    match when {
        Condition::Is { field, values } => {
            let (name, field) = find(field, scopes)?;
            let name = quoted(&name);
            let each: Option<Vec<String>> = values.iter().map(|value| chosen(field, &name, value)).collect();
            Some(format!(":has({})", each?.join(",")))
        }
        Condition::Given { field } => {
            let (name, field) = find(field, scopes)?;
            let name = quoted(&name);
            let filled = match &field.kind {
                Kind::Toggle | Kind::Choice { open: false, .. } => {
                    format!("[name={name}] option:checked:not([value=\"\"])")
                }
                Kind::Choice { open: true, .. } => format!("[name={name}]:checked:not([value=\"\"])"),
                Kind::Text { .. } | Kind::TimeZone | Kind::Number { .. } => {
                    format!("[name={name}]:not(:placeholder-shown)")
                }
                _ => return None,
            };
            Some(format!(":has({filled})"))
        }
        Condition::All { of } => of.iter().map(|part| selector(part, scopes)).collect::<Option<String>>(),
        Condition::Any { of } => {
            let parts: Option<Vec<String>> = of.iter().map(|part| selector(part, scopes)).collect();
            Some(format!(":is({})", parts?.join(",")))
        }
        Condition::Not { of } => Some(format!(":not({})", selector(of, scopes)?)),
    }
}

fn chosen(field: &Field, name: &str, value: &Value) -> Option<String> {
    let value = quoted(&value.to_string());
    match &field.kind {
        Kind::Toggle | Kind::Choice { open: false, .. } => {
            Some(format!("[name={name}] option[value={value}]:checked"))
        }
        Kind::Choice { open: true, .. } => Some(format!("[name={name}][value={value}]:checked")),
        _ => None,
    }
}

/// The name of the control that a reference leads to, and the field.
fn find<'a>(reference: &Reference, scopes: &[Scope<'a>]) -> Option<(String, &'a Field)> {
    let from = scopes.len().checked_sub(reference.up + 1)?;
    let (last, way) = reference.path.split_last()?;
    // The variant's own fields before those of the object around it.
    scopes[from].0.iter().rev().find_map(|(path, object)| {
        let (mut path, mut object) = (path.clone(), *object);
        for name in way {
            let field = object.fields.iter().find(|field| field.name == *name)?;
            let Kind::Object(inner) = &field.kind else { return None };
            path += &step(name);
            object = inner;
        }
        // The control of a secret does not show whether it is given.
        let field = object.fields.iter().find(|field| field.name == *last && !field.secret)?;
        Some((path + &step(last), field))
    })
}

/// The rule that hides a block unless a variant of this number is chosen.
pub(super) fn unless_chosen(id: &str, select: &str, index: usize) -> String {
    let select = quoted(select);
    format!("form:not(:has([name={select}] option[value=\"{index}\"]:checked)) #{id}-block{{display:none}}")
}

/// A text as it stands in a style sheet.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // `<` so that no text ends the style element.
            c if c.is_control() || c == '<' => quoted += &format!("\\{:x} ", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A pattern of a schema, which matches a part, as one of a browser, which matches the whole and knows fewer things. `None`
/// if a browser would not understand it.
pub(super) fn whole_pattern(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = pattern.chars().peekable();
    let (mut in_class, mut at_start, mut is_plain) = (false, false, true);
    let mut depth = 0_usize;
    while let Some(c) = characters.next() {
        let was_start = std::mem::take(&mut at_start);
        match c {
            '\\' => {
                let next = characters.next()?;
                // What both understand, and the escapes of signs.
                if !(next.is_ascii_punctuation() || "dDwWsSbBnrt".contains(next)) {
                    return None;
                }
                out.extend(['\\', next]);
            }
            '[' if !in_class => {
                in_class = true;
                at_start = true;
                out.push(c);
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if in_class && !was_start => {
                in_class = false;
                out.push(c);
            }
            // Classes within classes, and operations on them, are written otherwise here and there.
            '[' | '&' | '~' if in_class => return None,
            '-' if in_class && (was_start || characters.peek() == Some(&']')) => out += "\\-",
            '(' | ')' | '{' | '}' | '/' | '|' if in_class => out.extend(['\\', c]),
            '(' => {
                depth += 1;
                out.push(c);
                if characters.next_if_eq(&'?').is_some() {
                    characters.next_if_eq(&':')?;
                    out += "?:";
                }
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                out.push(c);
            }
            '/' => out += "\\/",
            '|' if depth == 0 => {
                is_plain = false;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    if is_plain && out.starts_with('^') && out.ends_with('$') && !out.ends_with("\\$") {
        return Some(out[1..out.len() - 1].to_owned());
    }
    Some(format!("[\\s\\S]*(?:{out})[\\s\\S]*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_one_that_browsers_understand() {
        for (pattern, expected) in [
            ("^[0-9]+$", Some("[0-9]+")),
            ("[0-9]", Some("[\\s\\S]*(?:[0-9])[\\s\\S]*")),
            ("^$|.+@.+", Some("[\\s\\S]*(?:^$|.+@.+)[\\s\\S]*")),
            ("^[A-Za-z0-9@*_-]*$", Some("[A-Za-z0-9@*_\\-]*")),
            ("^[-a]$", Some("[\\-a]")),
            ("^(a|b)$", Some("(a|b)")),
            ("^a/b[/]$", Some("a\\/b[\\/]")),
            ("(?i)abc", None),
            ("\\p{L}+", None),
            ("[a&&b]", None),
            ("cost\\$", Some("[\\s\\S]*(?:cost\\$)[\\s\\S]*")),
        ] {
            assert_eq!(whole_pattern(pattern).as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn no_text_leaves_its_place_in_the_style_sheet() {
        assert_eq!(quoted("a\"b\\c\n</style>"), "\"a\\\"b\\\\c\\a \\3c /style>\"");
    }
}
