//! Keeping secrets out of whatever people read: by value, wherever one turns up.

use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// The secrets of one call.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Adds a secret. Nothing shorter than four characters is looked for in running text: it would be everywhere.
    pub fn add(&mut self, secret: &str) {
        if !secret.is_empty() && !self.secrets.iter().any(|known| known == secret) {
            self.secrets.push(secret.to_owned());
            // The longest first, so that no rest of one that contains another is left.
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// Adds every text that stands at a field marked `x-secret` by the schema.
    pub fn add_marked(&mut self, schema: &Value, value: &Value) {
        collect_marked(schema, schema, value, 0, &mut |secret| self.add(secret));
    }

    /// Text with the secrets masked.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.secrets
            .iter()
            .filter(|secret| secret.len() >= 4)
            .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// A JSON value with the secrets masked, also the short ones where they are a whole text.
    #[must_use]
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.secrets.iter().any(|secret| secret == text) => {
                Value::String(MASK.to_owned())
            }
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.json(item)).collect()),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), self.json(value))).collect())
            }
            other => other.clone(),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

fn collect_marked(root: &Value, schema: &Value, value: &Value, depth: usize, add: &mut dyn FnMut(&str)) {
    if depth > 32 {
        return;
    }
    let empty = serde_json::Map::new();
    let defs = root.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    // A mark may stand beside a reference or behind it.
    let target = connector_protocol::schema::resolve(schema, defs);
    if [schema, target].iter().any(|schema| schema.get("x-secret") == Some(&Value::Bool(true))) {
        match value {
            Value::String(text) => add(text),
            Value::Number(number) => add(&number.to_string()),
            _ => {}
        }
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = target.get("properties").and_then(|properties| properties.get(name)) {
                    collect_marked(root, schema, member, depth + 1, add);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = target.get("items") {
                items.iter().for_each(|item| collect_marked(root, schema, item, depth + 1, add));
            }
        }
        _ => {}
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for branch in target.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            collect_marked(root, branch, value, depth + 1, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    }
}
