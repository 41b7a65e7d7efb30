//! Text with holes: `https://{subdomain}.example.com`, `Bearer {access_token}`, `/meetings/{meeting_id}`.
//!
//! A hole is a name between braces; `{{` and `}}` stand for the braces themselves. What a name means (a parameter of
//! the connection, `token.` and a member of the token answer, a path parameter) is for the caller to say.

use std::fmt;

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text that stands for itself, with `{{` and `}}` still doubled.
    Text(&'a str),
    /// A hole, by name.
    Hole(&'a str),
}

/// A brace that opens nothing, closes nothing or names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate {
    /// The text as it was given.
    pub template: String,
    /// The byte at which it stops making sense.
    pub at: usize,
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a template: stray brace or empty name at byte {}", self.template, self.at)
    }
}

impl std::error::Error for BadTemplate {}

/// Takes a template apart.
///
/// # Errors
///
/// If a brace is not part of a hole and not doubled.
pub fn parse(template: &str) -> Result<Vec<Part<'_>>, BadTemplate> {
    let bad = |at| BadTemplate { template: template.to_owned(), at };
    let mut parts = Vec::new();
    let (mut at, mut text) = (0, 0);
    let bytes = template.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'}' if bytes.get(at + 1) == Some(&bytes[at]) => at += 2,
            b'{' => {
                let len = template[at + 1..].find(['{', '}']).ok_or_else(|| bad(at))?;
                let name = &template[at + 1..at + 1 + len];
                if name.is_empty() || bytes[at + 1 + len] != b'}' {
                    return Err(bad(at));
                }
                if text < at {
                    parts.push(Part::Text(&template[text..at]));
                }
                parts.push(Part::Hole(name));
                at += len + 2;
                text = at;
            }
            b'}' => return Err(bad(at)),
            _ => at += 1,
        }
    }
    if text < at {
        parts.push(Part::Text(&template[text..]));
    }
    Ok(parts)
}

/// The names of the holes, in their order.
///
/// # Errors
///
/// As [`parse`].
pub fn holes(template: &str) -> Result<Vec<&str>, BadTemplate> {
    Ok(parse(template)?
        .into_iter()
        .filter_map(|part| match part {
            Part::Hole(name) => Some(name),
            Part::Text(_) => None,
        })
        .collect())
}

/// Fills the holes. `None` if `value` does not know one of them.
///
/// ```
/// let filled = connector_protocol::template::fill("https://{sub}.example.com", |name| (name == "sub").then(|| "a".into()));
/// assert_eq!(filled, Ok(Some("https://a.example.com".to_owned())));
/// ```
///
/// # Errors
///
/// As [`parse`].
pub fn fill(
    template: &str,
    mut value: impl FnMut(&str) -> Option<String>,
) -> Result<Option<String>, BadTemplate> {
    let mut filled = String::with_capacity(template.len());
    for part in parse(template)? {
        match part {
            Part::Text(text) => filled.push_str(&text.replace("{{", "{").replace("}}", "}")),
            Part::Hole(name) => match value(name) {
                Some(value) => filled.push_str(&value),
                None => return Ok(None),
            },
        }
    }
    Ok(Some(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_once_and_doubled_braces_stand_for_one() {
        let value = |name: &str| Some(format!("<{name}>{{x}}"));
        assert_eq!(fill("a{b}c{d.e}", value).unwrap().unwrap(), "a<b>{x}c<d.e>{x}");
        assert_eq!(fill("{{b}} {b}", value).unwrap().unwrap(), "{b} <b>{x}");
        assert_eq!(fill("plain", value).unwrap().unwrap(), "plain");
        assert_eq!(fill("{b}", |_| None), Ok(None));
    }

    #[test]
    fn a_stray_brace_is_an_error() {
        for (template, at) in [("{", 0), ("a}", 1), ("{}", 0), ("{a{b}}", 0), ("{a", 0)] {
            assert_eq!(parse(template).unwrap_err().at, at, "{template}");
        }
    }
}
