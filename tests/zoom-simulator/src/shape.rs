//! A small grammar of JSON bodies: what a member may hold. Bodies are described as data in it, once, next to the
//! endpoint that takes them, and checked here, all problems at once.
//!
//! As at Zoom, members that are not described are ignored, and `null` is the same as nothing. It knows no rule that
//! involves two members.

use serde_json::{Map, Value};

use crate::errors::Invalid;

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Flag,
    /// A whole number between two others, both included.
    Whole(i64, i64),
    OneOfWhole(&'static [i64]),
    /// Text of at most so many characters (not bytes).
    Text(usize),
    OneOf(&'static [&'static str]),
    /// Text in a form of its own: the function says what is wrong with it.
    Special(fn(&str) -> Result<(), String>),
    /// At most so many values of one shape.
    List(&'static Self, usize),
    Object(&'static [Field]),
}

/// A member of an object.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// A member that may be left out.
pub(crate) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

/// A member that must be there.
pub(crate) const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

/// Text without a documented limit.
pub(crate) const TEXT: Shape = Shape::Text(usize::MAX);

/// An e-mail address without a documented limit.
pub(crate) const EMAIL: Shape = Shape::Special(email);

/// A list without a documented limit.
pub(crate) const fn list(of: &'static Shape) -> Shape {
    Shape::List(of, usize::MAX)
}

/// Checks `object` against `fields` and answers the members that are described and not null.
///
/// `path` is the dotted path of the object itself, empty for a body.
pub(crate) fn read<'a>(
    fields: impl IntoIterator<Item = &'a Field>,
    object: &Map<String, Value>,
    path: &str,
    problems: &mut Vec<Invalid>,
) -> Map<String, Value> {
    let mut known = Map::new();
    for field in fields {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        match object.get(field.name) {
            None | Some(Value::Null) if field.required => {
                problems.push(Invalid::new(path, "is required"));
            }
            None | Some(Value::Null) => {}
            Some(value) => {
                if let Some(value) = check(&field.shape, value, &path, problems) {
                    known.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    known
}

fn check(shape: &Shape, value: &Value, path: &str, problems: &mut Vec<Invalid>) -> Option<Value> {
    let verdict = match (shape, value) {
        (Shape::Flag, Value::Bool(_)) => Ok(()),
        (Shape::Flag, _) => Err("is not true or false".to_owned()),
        (Shape::Whole(low, high), _) => match value.as_i64() {
            Some(number) if (*low..=*high).contains(&number) => Ok(()),
            Some(number) => Err(format!("{number} is not between {low} and {high}")),
            None => Err("is not a whole number".to_owned()),
        },
        (Shape::OneOfWhole(allowed), _) => match value.as_i64() {
            Some(number) if allowed.contains(&number) => Ok(()),
            _ => Err(format!("{value} is none of {allowed:?}")),
        },
        (Shape::Text(most), Value::String(text)) => match text.chars().count() {
            length if length > *most => Err(format!("has {length} characters, at most {most} are allowed")),
            _ => Ok(()),
        },
        (Shape::OneOf(allowed), Value::String(text)) if allowed.contains(&text.as_str()) => Ok(()),
        (Shape::OneOf(allowed), _) => Err(format!("{value} is none of {allowed:?}")),
        (Shape::Special(verdict), Value::String(text)) => verdict(text),
        (Shape::Text(_) | Shape::Special(_), _) => Err("is not text".to_owned()),
        (Shape::List(of, most), Value::Array(values)) => {
            if values.len() > *most {
                Err(format!("has {} entries, at most {most} are allowed", values.len()))
            } else {
                let known = values
                    .iter()
                    .enumerate()
                    .filter_map(|(index, value)| check(of, value, &format!("{path}[{index}]"), problems))
                    .collect();
                return Some(Value::Array(known));
            }
        }
        (Shape::List(..), _) => Err("is not a list".to_owned()),
        (Shape::Object(fields), Value::Object(object)) => {
            return Some(Value::Object(read(*fields, object, path, problems)));
        }
        (Shape::Object(_), _) => Err("is not an object".to_owned()),
    };
    match verdict {
        Ok(()) => Some(value.clone()),
        Err(reason) => {
            problems.push(Invalid::new(path, reason));
            None
        }
    }
}

/// Something, one `@`, and something with a dot in it; no spaces, and none of the signs that separate addresses.
pub(crate) fn email(text: &str) -> Result<(), String> {
    let plausible = text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && domain.split('.').all(|label| !label.is_empty())
    });
    let clean = !text.contains(|c: char| c.is_whitespace() || c.is_control() || ";,".contains(c));
    if plausible && clean && text.matches('@').count() == 1 {
        Ok(())
    } else {
        Err(format!("{text:?} is not an e-mail address"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INNER: &[Field] = &[may("flag", Shape::Flag)];
    const FIELDS: &[Field] = &[
        must("name", Shape::Text(3)),
        may("size", Shape::OneOfWhole(&[1, 2])),
        may("inner", Shape::Object(INNER)),
        may("many", Shape::List(&Shape::Whole(0, 9), 2)),
    ];

    fn problems(body: Value) -> Vec<String> {
        let mut problems = Vec::new();
        let body = body.as_object().expect("the sample is an object").clone();
        read(FIELDS, &body, "", &mut problems);
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn all_problems_are_found_at_once_with_their_paths() {
        let body = json!({"name": "äöüß", "size": 3, "inner": {"flag": "yes"}, "many": [1, 10]});
        assert_eq!(problems(body), ["name", "size", "inner.flag", "many[1]"]);
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(problems(json!({"name": "äöü"})), [""; 0]);
    }

    #[test]
    fn null_and_unknown_members_are_nothing() {
        assert_eq!(problems(json!({"name": "a", "size": null, "colour": "red"})), [""; 0]);
        assert_eq!(problems(json!({"name": null})), ["name"]);
    }

    #[test]
    fn e_mail_addresses_are_checked_loosely() {
        for good in ["a@b.example", "a.b+c@d-e.example", "ü@example.com"] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a@", "@b.example", "a@b", "a@b.", "a b@c.example", "a@b@c.example", "a@b.example;c"]
        {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
