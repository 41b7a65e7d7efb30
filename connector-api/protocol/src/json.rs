//! Reading JSON without losing a digit.
//!
//! A JSON number may have any length; the readers behind `serde_json` hold 64 bits and turn a longer integer into the
//! nearest float without a word, so the 30-digit id of a provider comes out as another id. Here such an integer becomes
//! a string of the same digits instead. Where a string is welcome nothing is lost; where it is not, there is an error
//! about that field.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Reads JSON, every digit of every integer kept.
///
/// ```
/// let value: serde_json::Value =
///     connector_protocol::json::read(br#"{"id": 123456789012345678901234567890, "n": 9007199254740993}"#)?;
/// assert_eq!(value["id"], "123456789012345678901234567890");
/// assert_eq!(value["n"], 9007199254740993_u64);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// As `serde_json::from_slice`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(&keep_digits(bytes))
}

/// The same for a value that people have written: a member that is there twice is an error, since one of the two would be lost
/// without a word.
///
/// ```
/// let error = connector_protocol::json::read_once(br#"{"topic": "a", "topic": "b"}"#).unwrap_err();
/// assert!(error.to_string().starts_with("`topic` is there twice"));
/// ```
///
/// # Errors
///
/// As `serde_json::from_slice`, and for members that are there twice.
pub fn read_once(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Once>(&keep_digits(bytes)).map(|once| once.0)
}

/// A value in which no member is there twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format!("`{}` is there twice", name.escape_debug())));
            }
            let Once(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// Puts every integer that does not fit 64 bits between quotes. Bytes that are not JSON come out as they are, or still
/// not as JSON.
#[must_use]
pub fn keep_digits(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = at + bytes[at..].iter().take_while(|byte| is_number_byte(**byte)).count();
                if is_long_integer(&bytes[at..end]) {
                    out.extend_from_slice(&bytes[copied..at]);
                    out.push(b'"');
                    out.extend_from_slice(&bytes[at..end]);
                    out.push(b'"');
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
}

/// Where the string that starts before `at` ends: one past its closing quote.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn is_long_integer(literal: &[u8]) -> bool {
    let digits = literal.strip_prefix(b"-").unwrap_or(literal);
    // Shorter literals always fit; a leading zero is not JSON and stays an error.
    if digits.len() < 19 || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    std::str::from_utf8(literal)
        .is_ok_and(|text| text.parse::<i64>().is_err() && text.parse::<u64>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_integers_too_long_for_64_bits_are_quoted() {
        for (given, expected) in [
            ("[1,-1,0]", "[1,-1,0]"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "\"18446744073709551616\""),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "\"-9223372036854775809\""),
            ("[12345678901234567890123,1]", "[\"12345678901234567890123\",1]"),
            ("1234567890123456789012.5", "1234567890123456789012.5"),
            ("1e400", "1e400"),
            (
                r#"{"12345678901234567890123":"12345678901234567890123"}"#,
                r#"{"12345678901234567890123":"12345678901234567890123"}"#,
            ),
            (
                r#"["\"12345678901234567890123","\\",12345678901234567890123]"#,
                r#"["\"12345678901234567890123","\\","12345678901234567890123"]"#,
            ),
            (r#""cut \"#, r#""cut \"#),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&keep_digits(given.as_bytes())), expected, "{given}");
        }
    }
}
