//! Two schemas that both count, as one.

use serde_json::{Map, Value};

/// What both schemas say. Where they say something of the same thing, the first one's words count for people, and the
/// narrower of two bounds for values.
pub(super) fn merged(first: Map<String, Value>, second: Map<String, Value>) -> Map<String, Value> {
    let mut both = first;
    for (keyword, value) in second {
        let Some(there) = both.get_mut(&keyword) else {
            both.insert(keyword, value);
            continue;
        };
        let as_number = |value: &Value| value.as_f64().unwrap_or_default();
        match keyword.as_str() {
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties"
                if as_number(&value) > as_number(there) =>
            {
                *there = value;
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties"
                if as_number(&value) < as_number(there) =>
            {
                *there = value;
            }
            "enum" => {
                if let (Value::Array(there), Value::Array(values)) = (there, value) {
                    there.retain(|known| values.contains(known));
                }
            }
            "required" | "allOf" => {
                if let (Value::Array(there), Value::Array(more)) = (there, value) {
                    there.extend(more);
                }
            }
            "properties" | "patternProperties" | "dependentRequired" | "dependentSchemas" | "x-ui" => {
                if let (Value::Object(there), Value::Object(more)) = (there, value) {
                    *there = match keyword.as_str() {
                        "properties" | "patternProperties" => both_properties(std::mem::take(there), more),
                        _ => more.into_iter().chain(std::mem::take(there)).collect(),
                    };
                }
            }
            "if" | "then" | "else" | "not" | "oneOf" | "anyOf" => {
                // Two of a kind stand beside each other only below `allOf`.
                let other = Map::from_iter([(keyword, value)]);
                let all = both.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(all) = all {
                    all.push(Value::Object(other));
                }
            }
            _ => {}
        }
    }
    both
}

fn both_properties(first: Map<String, Value>, second: Map<String, Value>) -> Map<String, Value> {
    let mut both = first;
    for (name, schema) in second {
        match (both.get_mut(&name), schema) {
            (Some(Value::Object(there)), Value::Object(schema)) => {
                *there = merged(std::mem::take(there), schema)
            }
            (Some(_), Value::Bool(true)) => {}
            (_, schema) => drop(both.insert(name, schema)),
        }
    }
    both
}
