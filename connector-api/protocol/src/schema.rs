//! JSON Schemas as they stand in a manifest: following their references, and taking one out to stand alone.
//!
//! A reference is `#/$defs/Name`. Anything else - an address, a file, an anchor - is refused when a manifest is checked,
//! so nothing here ever leaves the document.

use serde_json::{Map, Value};

const PREFIX: &str = "#/$defs/";

/// The name behind a local reference.
#[must_use]
pub fn local_name(reference: &str) -> Option<&str> {
    reference.strip_prefix(PREFIX).filter(|name| !name.is_empty() && !name.contains('/'))
}

/// A schema with the definitions it refers to, directly or not, and no others.
#[must_use]
pub fn with_defs(schema: &Map<String, Value>, defs: &Map<String, Value>) -> Value {
    let mut needed = Map::new();
    let mut alone = schema.clone();
    let mut waiting = Vec::new();
    for value in schema.values() {
        references(value, &mut waiting);
    }
    while let Some(name) = waiting.pop() {
        if let (false, Some(definition)) = (needed.contains_key(&name), defs.get(&name)) {
            references(definition, &mut waiting);
            needed.insert(name, definition.clone());
        }
    }
    if !needed.is_empty() {
        needed.sort_keys();
        alone.insert("$defs".to_owned(), Value::Object(needed));
    }
    Value::Object(alone)
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(local_name) {
                found.push(name.to_owned());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Follows a schema's reference, if it is one; a reference to nothing stays as it is.
#[must_use]
pub fn resolve<'a>(schema: &'a Value, defs: &'a Map<String, Value>) -> &'a Value {
    let mut at = schema;
    // A chain of references is short; a circle of them ends here.
    for _ in 0..16 {
        let next =
            at.get("$ref").and_then(Value::as_str).and_then(local_name).and_then(|name| defs.get(name));
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// Visits a schema and every schema within it, each with its JSON pointer; the visitor says whether to go into it. The
/// definitions are not followed.
pub fn visit<'a>(
    schema: &'a Map<String, Value>,
    pointer: &str,
    visitor: &mut dyn FnMut(&'a Map<String, Value>, &str) -> bool,
) {
    if !visitor(schema, pointer) {
        return;
    }
    for (keyword, value) in schema {
        let mut inner = |value: &'a Value, step: &str| {
            if let Value::Object(schema) = value {
                visit(schema, &format!("{pointer}/{keyword}{step}"), visitor);
            }
        };
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Value::Object(schemas)) => {
                schemas.iter().for_each(|(name, schema)| inner(schema, &format!("/{}", escape(name))));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter().enumerate().for_each(|(index, schema)| inner(schema, &format!("/{index}")));
            }
            (
                "items"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems"
                | "propertyNames"
                | "not"
                | "if"
                | "then"
                | "else",
                schema,
            ) => inner(schema, ""),
            _ => {}
        }
    }
}

/// Writes one step of a JSON pointer.
#[must_use]
pub fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_stands_alone_with_what_it_needs() {
        let defs = json!({
            "A": {"properties": {"b": {"$ref": "#/$defs/B"}}},
            "B": {"properties": {"again": {"$ref": "#/$defs/A"}}},
            "C": {},
        });
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}});
        let alone = with_defs(schema.as_object().unwrap(), defs.as_object().unwrap());
        let names: Vec<&String> = alone["$defs"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(resolve(&schema["properties"]["a"], defs.as_object().unwrap()), &defs["A"]);
    }

    #[test]
    fn a_circle_of_references_ends() {
        let defs = json!({"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}});
        assert!(resolve(&defs["A"], defs.as_object().unwrap()).get("$ref").is_some());
        assert_eq!(local_name("https://example.com/x"), None);
        assert_eq!(local_name("#/properties/x"), None);
    }
}
