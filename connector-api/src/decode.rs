//! Reading JSON into an author's types, with errors that name the field and never repeat its value.

use connector_protocol::{json::keep_digits, schema::escape};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// What does not fit, and where.
pub(crate) struct Misfit {
    /// The place, as a JSON pointer.
    pub(crate) path: String,
    /// What was expected there; empty if the bytes are not JSON at all.
    pub(crate) expected: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.path.as_str(), self.expected.as_str()) {
            (_, "") => f.write_str("it is not JSON"),
            ("", expected) => f.write_str(expected),
            (path, expected) => write!(f, "`{path}`: {expected}"),
        }
    }
}

/// Reads JSON, every digit of an integer kept. Nothing at all reads as `null`.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Misfit> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = if bytes.trim_ascii().is_empty() { b"null" } else { bytes };
    let not_json = || Misfit { path: String::new(), expected: String::new() };
    // A reader that skips a member does not look at its bytes; JSON in another encoding is not JSON.
    std::str::from_utf8(bytes).map_err(|_| not_json())?;
    let bytes = keep_digits(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let value =
        read.map_err(|error| if error.inner().is_data() { blame::<T>(&bytes, &error) } else { not_json() })?;
    deserializer.end().map_err(|_| not_json())?;
    Ok(value)
}

/// Reads a value that was JSON already.
fn try_value<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(value).map_err(|error| Misfit {
        path: pointer(error.path()),
        expected: expectation(&error.inner().to_string()),
    })
}

/// How often [`blame`] may try.
const MOST_TRIES: usize = 300;

/// Which field is at fault. Serde loses the way inside a flattened struct, so there the members are left out one after the
/// other: the one without which there is another error, or none, is to blame.
fn blame<T: DeserializeOwned>(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> Misfit {
    let mut misfit =
        Misfit { path: pointer(error.path()), expected: expectation(&error.inner().to_string()) };
    let Ok(mut whole) = serde_json::from_slice::<Value>(bytes) else {
        return misfit;
    };
    let missing = misfit.expected.starts_with("missing field");
    let mut tries = 0;
    'deeper: while !missing && let Some(Value::Object(members)) = whole.pointer(&misfit.path).cloned() {
        for name in members.keys() {
            tries += 1;
            if tries > MOST_TRIES {
                break 'deeper;
            }
            let without: Map<String, Value> = members
                .iter()
                .filter(|(other, _)| *other != name)
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            if let Some(place) = whole.pointer_mut(&misfit.path) {
                *place = Value::Object(without);
            }
            let other = try_value::<T>(&whole).err();
            if let Some(place) = whole.pointer_mut(&misfit.path) {
                *place = Value::Object(members.clone());
            }
            if other.is_none_or(|other| other.expected != misfit.expected || other.path != misfit.path) {
                misfit.path = format!("{}/{}", misfit.path, escape(name));
                continue 'deeper;
            }
        }
        break;
    }
    misfit
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// What serde expected. The rest of its sentence may quote the value, which may be a secret.
fn expectation(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    // The last one is a connector's own sentence.
    if ["missing field", "duplicate field", "expected "].iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "does not fit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is tested")]
    struct Thing {
        id: u32,
        list: Option<Vec<Kind>>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        A,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is tested")]
    struct Flat {
        name: Option<String>,
        #[serde(flatten)]
        thing: Option<Inner>,
        things: Option<Vec<Flat>>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is tested")]
    struct Inner {
        size: u8,
        deep: Option<Thing>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only decoding is tested")]
    struct Must {
        #[serde(flatten)]
        inner: Inner,
    }

    #[test]
    fn the_field_is_found_inside_a_flattened_struct() {
        for (json, expected) in [
            (r#"{"size": "big"}"#, "`/size`: expected u8"),
            (r#"{"size": 1, "deep": {"id": "x", "list": []}}"#, "`/deep/id`: expected u32"),
            (r#"{"deep": null}"#, "missing field `size`"),
        ] {
            assert_eq!(read::<Must>(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
        }
        let list = r#"{"things": [{"name": "a"}, {"name": 1}]}"#;
        assert_eq!(
            read::<Flat>(list.as_bytes()).unwrap_err().to_string(),
            "`/things/1/name`: expected a string"
        );
    }

    #[test]
    fn fault_68_a_misfit_names_the_field_and_never_its_value() {
        for (json, expected) in [
            (r#"{"id": "hunter2"}"#, "`/id`: expected u32"),
            (r#"{"id": 1, "list": ["A", "hunter2"]}"#, "`/list/1`: expected `A`"),
            (r#"{"list": []}"#, "missing field `id`"),
            (r#"{"id": 1} hunter2"#, "it is not JSON"),
            ("<html>hunter2", "it is not JSON"),
            ("{\"id\": \"\u{fe}", "it is not JSON"),
            ("", "expected struct Thing"),
        ] {
            let text = read::<Thing>(json.as_bytes()).unwrap_err().to_string();
            assert_eq!(text, expected, "{json}");
        }
        assert!(read::<Thing>(b"\xef\xbb\xbf{\"id\": 1}").is_ok());
        assert!(read::<()>(b" \n").is_ok());
        assert!(read::<Thing>(b"{\"id\": 1, \"x\": \"\xff\"}").is_err());
    }
}
