//! Making a path out of a template and parameters, so that no parameter can leave its segment.
//!
//! A parameter that is `..` would climb even when it is percent-encoded in full, and address parsers drop some control
//! characters without a word; so those are refused, and everything else that could mean something is encoded.

use std::{collections::BTreeMap, fmt};

use crate::{
    Error, ErrorKind,
    template::{self, BadTemplate, Part},
};

/// Why a path cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathProblem {
    /// The template itself is broken.
    Template(BadTemplate),
    /// It has a hole for which there is no parameter.
    Missing {
        /// The parameter.
        name: String,
    },
    /// A parameter cannot be a segment of a path.
    Unfit {
        /// The parameter.
        name: String,
        /// What is wrong with its value.
        why: &'static str,
    },
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(bad) => bad.fmt(f),
            Self::Missing { name } => write!(f, "the path needs `{name}`"),
            Self::Unfit { name, why } => write!(f, "`{name}` {why}"),
        }
    }
}

impl std::error::Error for PathProblem {}

impl From<PathProblem> for Error {
    /// A value that cannot stand in a path is the input's fault; connectors name their path parameters as their inputs.
    fn from(problem: PathProblem) -> Self {
        match &problem {
            PathProblem::Unfit { name, .. } => Self::invalid_input(format!("/{name}"), problem.to_string()),
            _ => Self::new(ErrorKind::ConnectorFault, problem.to_string()),
        }
    }
}

/// Fills a path template; each parameter becomes part of one segment, percent-encoded.
///
/// ```
/// use connector_protocol::path::fill;
/// let params = [("id".to_owned(), "a/b?c".to_owned())].into();
/// assert_eq!(fill("/meetings/{id}/registrants", &params).unwrap(), "/meetings/a%2Fb%3Fc/registrants");
/// ```
///
/// # Errors
///
/// If a parameter is missing, empty, `.`, `..`, or holds a control character.
pub fn fill(path: &str, params: &BTreeMap<String, String>) -> Result<String, PathProblem> {
    let mut filled = String::with_capacity(path.len() + 16);
    for part in template::parse(path).map_err(PathProblem::Template)? {
        match part {
            Part::Text(text) => filled.push_str(&text.replace("{{", "{").replace("}}", "}")),
            Part::Hole(name) => {
                let value = params.get(name).ok_or_else(|| PathProblem::Missing { name: name.to_owned() })?;
                let unfit = |why| PathProblem::Unfit { name: name.to_owned(), why };
                match value.as_str() {
                    "" => return Err(unfit("must not be empty")),
                    "." | ".." => return Err(unfit("must not be `.` or `..`")),
                    value if value.chars().any(char::is_control) => {
                        return Err(unfit("must not hold control characters"));
                    }
                    value => push_segment(&mut filled, value),
                }
            }
        }
    }
    Ok(filled)
}

/// Appends one segment, everything but unreserved characters (RFC 3986, 2.3) encoded.
fn push_segment(path: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push('%');
            for half in [byte >> 4, byte & 15] {
                path.push(
                    char::from_digit(u32::from(half), 16).map_or('0', |digit| digit.to_ascii_uppercase()),
                );
            }
        }
    }
}

/// One value with its reserved characters percent-encoded, as it would stand in a path: for a provider that wants a value
/// encoded twice.
#[must_use]
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    push_segment(&mut encoded, value);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_id(value: &str) -> Result<String, PathProblem> {
        fill("/v/{id}/x", &[("id".to_owned(), value.to_owned())].into())
    }

    #[test]
    fn fault_54_a_parameter_stays_in_its_segment_or_is_refused() {
        for (value, path) in [
            ("123", "/v/123/x"),
            ("a/b", "/v/a%2Fb/x"),
            ("a?b", "/v/a%3Fb/x"),
            ("a#b", "/v/a%23b/x"),
            ("a\\b", "/v/a%5Cb/x"),
            ("%2e%2e", "/v/%252e%252e/x"),
            ("...", "/v/.../x"),
            ("a@b.c", "/v/a%40b.c/x"),
            ("é 週", "/v/%C3%A9%20%E9%80%B1/x"),
            ("{id}", "/v/%7Bid%7D/x"),
            (";,=&+", "/v/%3B%2C%3D%26%2B/x"),
        ] {
            assert_eq!(fill_id(value).as_deref(), Ok(path), "{value:?}");
        }
        for value in ["", ".", "..", "a\r\nHost: x", "a\0", "\u{7f}", "\t"] {
            assert!(matches!(fill_id(value), Err(PathProblem::Unfit { .. })), "{value:?}");
        }
        assert!(matches!(fill("/{other}", &BTreeMap::new()), Err(PathProblem::Missing { .. })));
    }
}
