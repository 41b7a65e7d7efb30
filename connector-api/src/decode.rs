//! Reading JSON into an author's types, with errors that name the field and never repeat its value.

use connector_protocol::{json::keep_digits, schema::escape};
use serde::de::DeserializeOwned;
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
    let bytes = if bytes.trim_ascii().is_empty() {
        b"null"
    } else {
        bytes
    };
    // A reader that skips a member does not look at its bytes; JSON in another encoding is not JSON.
    std::str::from_utf8(bytes).map_err(|_| Misfit {
        path: String::new(),
        expected: String::new(),
    })?;
    let bytes = keep_digits(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Misfit {
        path: pointer(error.path()),
        expected: if error.inner().is_data() {
            expectation(&error.inner().to_string())
        } else {
            String::new()
        },
    })?;
    deserializer.end().map_err(|_| Misfit {
        path: String::new(),
        expected: String::new(),
    })?;
    Ok(value)
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
    if text.starts_with("missing field") || text.starts_with("duplicate field") {
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

    #[test]
    fn fault_68_a_misfit_names_the_field_and_never_its_value() {
        for (json, expected) in [
            (r#"{"id": "hunter2"}"#, "`/id`: expected u32"),
            (
                r#"{"id": 1, "list": ["A", "hunter2"]}"#,
                "`/list/1`: expected `A`",
            ),
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
