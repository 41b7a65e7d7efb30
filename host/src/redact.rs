//! Keeping secrets out of whatever people read: by value, wherever one of a call turns up; by the mark of a schema; and, where
//! no schema tells, by what a member or a parameter is called.
//!
//! It does not know where secrets are kept, nor who reads what is left.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use connector_protocol::{Error, schema::escape};
use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// The secrets of one call. What is added to one is known to all that were cloned from it: a token may take the place of
/// another while the call runs.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Vec<String>>>,
}

impl Redactor {
    /// Adds a secret. Nothing shorter than four characters is looked for in running text: it would be everywhere.
    pub fn add(&mut self, secret: &str) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if !secret.is_empty() && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
            // The longest first, so that no rest of one that contains another is left.
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    fn secrets(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds every text and number that stands at a field marked `x-secret` by the schema, or in what stands there.
    pub fn add_marked(&mut self, schema: &Value, value: &Value) {
        for path in marked(schema, value) {
            if let Some(value) = value.pointer(&path) {
                self.add_all(value);
            }
        }
    }

    fn add_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Number(number) => self.add(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            Value::Object(members) => members.values().for_each(|member| self.add_all(member)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Text with the secrets masked.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.secrets().iter().filter(|secret| secret.len() >= 4).fold(text.to_owned(), |mut text, secret| {
            // Also as it is written in an address, in a form, in JSON and in a pointer into that.
            let quoted = Value::String(secret.clone()).to_string();
            let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for spelling in [
                secret,
                &form,
                &form.replace('+', "%20"),
                &quoted[1..quoted.len() - 1].to_owned(),
                &escape(secret),
            ] {
                if text.contains(spelling.as_str()) {
                    text = text.replace(spelling.as_str(), MASK);
                }
            }
            text
        })
    }

    /// An error with the secrets masked, whoever put them there: a provider that repeats what it was sent, a connector
    /// that panics over it.
    #[must_use]
    pub fn error(&self, mut error: Error) -> Error {
        let hide = |text: &mut String| *text = self.text(text);
        hide(&mut error.message);
        error.hint.iter_mut().for_each(hide);
        error.path.iter_mut().for_each(hide);
        error.scopes.iter_mut().for_each(hide);
        for problem in &mut error.problems {
            hide(&mut problem.path);
            hide(&mut problem.message);
        }
        if let Some(provider) = &mut error.provider {
            provider.message.iter_mut().for_each(hide);
            provider.code.iter_mut().for_each(hide);
        }
        error
    }

    /// A JSON value with the secrets masked, also the short ones where they are a whole text.
    #[must_use]
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.secrets().iter().any(|secret| secret == text) => {
                Value::String(MASK.to_owned())
            }
            Value::String(text) => Value::String(self.text(text)),
            // A short one would be everywhere, as in running text.
            Value::Number(number) if self.is_long_secret(&number.to_string()) => {
                Value::String(MASK.to_owned())
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.json(item)).collect()),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), self.json(value))).collect())
            }
            other => other.clone(),
        }
    }
}

impl Redactor {
    fn is_long_secret(&self, text: &str) -> bool {
        text.len() >= 4 && self.secrets().iter().any(|secret| secret == text)
    }
}

/// What the names of secrets are made of, whoever the provider is.
const TELLING: &[&str] = &[
    "apikey",
    "api_key",
    "authorization",
    "credential",
    "passcode",
    "passwd",
    "password",
    "private_key",
    "secret",
    "signature",
    "token",
];

/// What parameters of addresses are called that let somebody in.
const OPENING: &[&str] = &["code", "key", "pwd", "sig", "tk", "zak"];

/// Whether something of this name is a secret by the look of it. Where the list goes on is none.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    TELLING.iter().any(|word| name.contains(word)) && !name.ends_with("page_token")
}

/// Masks what looks like a secret in something that no schema describes: by the names of members, among them `names`, and
/// in the parameters of addresses.
pub fn mask_named(value: &mut Value, names: &BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if names.contains(name) || is_telling(name) {
                    hide(value);
                }
                mask_named(value, names);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask_named(item, names)),
        Value::String(text) if text.starts_with("https://") || text.starts_with("http://") => {
            *text = mask_address(text);
        }
        _ => {}
    }
}

/// Masks a secret, or each of several.
fn hide(value: &mut Value) {
    match value {
        Value::String(_) | Value::Number(_) => *value = Value::String(MASK.to_owned()),
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Masks everything that a secret is made of.
fn hide_all(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(hide_all),
        Value::Array(items) => items.iter_mut().for_each(hide_all),
        Value::Null => {}
        _ => *value = Value::String(MASK.to_owned()),
    }
}

/// An address without the secrets in its query.
#[must_use]
pub fn mask_address(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let masked = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if OPENING.contains(&name) || is_telling(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    };
    format!("{path}?{}", query.split('&').map(masked).collect::<Vec<_>>().join("&"))
}

/// The names of fields that a schema, or anything it refers to, marks `x-secret`.
#[must_use]
pub fn marked_names(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let defs = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    collect_names(schema, &defs, &mut names);
    names
}

fn collect_names(schema: &Value, defs: &serde_json::Map<String, Value>, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (name, field) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let target = connector_protocol::schema::resolve(field, defs);
                if [field, target].iter().any(|schema| is_secret(schema)) {
                    names.insert(name.clone());
                }
            }
            members.values().for_each(|member| collect_names(member, defs, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, defs, names)),
        _ => {}
    }
}

/// Whether a schema says that what it describes is a secret.
fn is_secret(schema: &Value) -> bool {
    ["x-secret", "writeOnly"].iter().any(|keyword| schema.get(*keyword) == Some(&Value::Bool(true)))
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets().len())
    }
}

/// Masks what stands at the fields marked `x-secret` by the schema, and gives how many there were.
pub fn mask_marked(schema: &Value, value: &mut Value) -> usize {
    let paths = marked(schema, value);
    for path in &paths {
        if let Some(value) = value.pointer_mut(path) {
            hide_all(value);
        }
    }
    paths.len()
}

/// The pointers to what stands at fields marked `x-secret`, if it is anything.
fn marked(root: &Value, value: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let empty = serde_json::Map::new();
    let defs = root.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let mut waiting = vec![(root, value, String::new())];
    // A schema may refer to itself, and in many places: each is held against each value once.
    let mut seen = HashSet::new();
    while let Some((schema, value, at)) = waiting.pop() {
        if !seen.insert((std::ptr::from_ref(schema), std::ptr::from_ref(value))) {
            continue;
        }
        // A mark may stand beside a reference or behind it.
        let target = connector_protocol::schema::resolve(schema, defs);
        if [schema, target].iter().any(|schema| is_secret(schema)) {
            // Whatever it is made of is the secret's.
            if !value.is_null() {
                paths.insert(at);
            }
            continue;
        }
        for keyword in ["if", "then", "else"] {
            waiting.extend(target.get(keyword).map(|branch| (branch, value, at.clone())));
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let branches = target.get(keyword).and_then(Value::as_array).into_iter().flatten();
            waiting.extend(branches.map(|branch| (branch, value, at.clone())));
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let at = format!("{at}/{}", escape(name));
                    waiting.extend(
                        of_member(target, name).into_iter().map(|schema| (schema, member, at.clone())),
                    );
                }
            }
            Value::Array(items) => {
                let first = target.get("prefixItems").and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    let own = first.and_then(|first| first.get(index));
                    if let Some(schema) = own.or_else(|| target.get("items")) {
                        waiting.push((schema, item, format!("{at}/{index}")));
                    }
                }
            }
            _ => {}
        }
    }
    paths
}

/// The schemas that describe a member: its own, those of names like its, or that of all others. Where a pattern is not
/// told apart from another here, both count.
fn of_member<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    if let Some(own) = schema.get("properties").and_then(|properties| properties.get(name)) {
        return vec![own];
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let mut schemas: Vec<&Value> = patterns.into_iter().flat_map(|patterns| patterns.values()).collect();
    schemas.extend(schema.get("additionalProperties"));
    schemas
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_where_no_schema_tells() {
        let schema = json!({"properties": {"list": {"items": {"$ref": "#/$defs/M"}}}, "$defs": {"M": {"properties": {"start_url": {"x-secret": true}}}}});
        let mut value = json!({
            "access_token": "a", "next_page_token": "b", "Client-Secret": "c", "password": 5, "topic": "d",
            "start_url": "https://example.com/s/1?zak=e", "join_url": "https://example.com/j/1?pwd=f&lang=de",
            "nested": [{"h323_password": "g", "token": {"kind": "h"}}], "recovery_secrets": ["i", ["j"]],
        });
        mask_named(&mut value, &marked_names(&schema));
        assert_eq!(
            value,
            json!({
                "access_token": "***", "next_page_token": "b", "Client-Secret": "***", "password": "***", "topic": "d",
                "start_url": "***", "join_url": "https://example.com/j/1?pwd=***&lang=de",
                "nested": [{"h323_password": "***", "token": {"kind": "h"}}], "recovery_secrets": ["***", ["***"]],
            })
        );
    }

    #[test]
    fn fault_83_marks_are_found_in_a_schema_that_refers_to_itself_twice() {
        let twice = json!([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]);
        let schema = json!({
            "allOf": twice,
            "$defs": {"A": {
                "properties": {"pin": {"x-secret": true}, "next": {"anyOf": twice}},
                "allOf": twice,
            }},
        });
        let mut value = json!({"pin": "innermost"});
        for _ in 0..40 {
            value = json!({"next": value, "pin": 1, "name": "n"});
        }
        assert_eq!(mask_marked(&schema, &mut value), 41);
        assert_eq!(value.pointer(&("/next".repeat(40) + "/pin")), Some(&json!("***")));
    }

    #[test]
    fn marked_values_are_masked_wherever_they_turn_up() {
        let schema = json!({
            "properties": {
                "password": {"type": "string", "x-secret": true},
                "inner": {"$ref": "#/$defs/Inner"},
                "patch": {"anyOf": [{"type": "string", "x-secret": true}, {"type": "null"}]},
                "name": {"type": "string"},
            },
            "$defs": {"Inner": {"properties": {"pin": {"x-secret": true}}}},
        });
        let input = json!({"password": "hunter2", "inner": {"pin": "123"}, "patch": "correct horse", "name": "hunter"});
        let mut redactor = Redactor::default();
        redactor.add_marked(&schema, &input);
        assert_eq!(
            redactor.json(&json!({"a": ["hunter2", "x hunter2 y", "hunter"], "pin": "123", "other": "1234", "p": "correct horse!"})),
            json!({"a": ["***", "x *** y", "hunter"], "pin": "***", "other": "1234", "p": "***!"})
        );
        assert_eq!(redactor.text("pin 123, hunter2"), "pin 123, ***");
        let mut shown = json!({"password": "hunter", "inner": {"pin": 7}, "patch": null, "name": "hunter"});
        assert_eq!(mask_marked(&schema, &mut shown), 2);
        assert_eq!(
            shown,
            json!({"password": "***", "inner": {"pin": "***"}, "patch": null, "name": "hunter"})
        );
    }

    #[test]
    fn fault_102_a_secret_is_masked_however_it_is_spelt() {
        let mut redactor = Redactor::default();
        redactor.add("a+b/c~\"d e");
        for spelling in
            ["a+b/c~\"d e", "a%2Bb%2Fc%7E%22d+e", "a%2Bb%2Fc%7E%22d%20e", r#"a+b/c~\"d e"#, "a+b~1c~0\"d e"]
        {
            assert_eq!(redactor.text(&format!("/x {spelling} y")), "/x *** y", "{spelling}");
        }
    }

    #[test]
    fn fault_102_whatever_a_secret_is_made_of_is_masked() {
        let secret = json!({"x-secret": true});
        let schema = json!({
            "properties": {
                "number": secret, "list": secret, "object": secret, "flag": secret, "plain": {"type": "integer"},
                "items": {"items": secret}, "pair": {"prefixItems": [{}, secret]},
            },
            "patternProperties": {"^key_": secret},
            "additionalProperties": {"properties": {"deep": secret}},
        });
        let input = json!({
            "number": 314159, "list": ["hunter2", 271828], "object": {"pin": "correct horse"}, "flag": true, "plain": 314,
            "items": ["battery"], "pair": ["open", "staple"], "key_1": "swordfish", "other": {"deep": "xyzzy"},
        });
        let masked = json!({
            "number": "***", "list": ["***", "***"], "object": {"pin": "***"}, "flag": "***", "plain": 314,
            "items": ["***"], "pair": ["open", "***"], "key_1": "***", "other": {"deep": "***"},
        });
        let mut shown = input.clone();
        mask_marked(&schema, &mut shown);
        assert_eq!(shown, masked);
        let mut redactor = Redactor::default();
        redactor.add_marked(&schema, &input);
        for secret in ["hunter2", "correct horse", "battery", "staple", "swordfish", "xyzzy"] {
            assert_eq!(redactor.text(&format!("a {secret} b")), "a *** b");
        }
        let body = json!({"a": 314159, "b": 314, "c": [271828], "d": "it is 314159"});
        assert_eq!(redactor.json(&body), json!({"a": "***", "b": 314, "c": ["***"], "d": "it is ***"}));
    }
}
