//! How much it is to hold a value against a schema, whatever the value: told from the schemas alone, before any is used.
//!
//! A schema may hold others against the same value (`allOf`, `if`, `$ref` and the like) and refer to itself, so a small one can
//! be endless, deeper than any stack, or double its work at each step. It knows which schemas hold which, and nothing of what
//! they say.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::schema::local_name;

/// How many schemas may stand behind each other that are held against one value. Values are nested too, and a stack has an end.
const MAX_DEEP: u64 = 32;

/// How many schemas may be held against one value, counting each as often as it is reached; and against the values on the way
/// to the innermost one of a value.
const MAX_WIDE: u64 = 10_000;
const MAX_WAY: u64 = 1_000_000;

/// The work of one schema.
#[derive(Debug, Clone, Copy, Default)]
struct Effort {
    deep: u64,
    wide: u64,
    way: u64,
}

/// The definitions of a manifest, each with its work.
pub(crate) struct Efforts<'a> {
    known: HashMap<&'a str, Effort>,
    endless: HashSet<&'a str>,
}

impl<'a> Efforts<'a> {
    pub(crate) fn of(defs: &'a Map<String, Value>) -> Self {
        let mut efforts = Self { known: HashMap::new(), endless: HashSet::new() };
        // First what is held against the same value: there may be no circle in that.
        let order = efforts.order(defs, true);
        for name in order {
            let effort = efforts.members(defs.get(name).and_then(Value::as_object));
            efforts.known.insert(name, Effort { way: effort.wide, ..effort });
        }
        // Then the way down, where a circle ends with the value; one that is gone round twice is cut by who checks.
        for name in efforts.order(defs, false) {
            let effort = efforts.members(defs.get(name).and_then(Value::as_object));
            efforts.known.insert(name, effort);
        }
        efforts
    }

    /// The definitions, each behind those that it refers to, as far as they do not go round.
    fn order(&mut self, defs: &'a Map<String, Value>, same_value: bool) -> Vec<&'a str> {
        let mut order = Vec::new();
        let mut open = HashSet::new();
        let mut done = HashSet::new();
        for name in defs.keys() {
            let mut waiting = vec![(name.as_str(), false)];
            while let Some((name, left)) = waiting.pop() {
                if left {
                    open.remove(name);
                    done.insert(name);
                    order.push(name);
                    continue;
                }
                if done.contains(name) || open.contains(name) {
                    continue;
                }
                open.insert(name);
                waiting.push((name, true));
                let mut names = Vec::new();
                if let Some(Value::Object(members)) = defs.get(name) {
                    references(members, same_value, &mut names);
                }
                for next in names {
                    if open.contains(next) {
                        if same_value {
                            self.endless.insert(next);
                        }
                    } else if let Some((next, _)) = defs.get_key_value(next)
                        && !done.contains(next.as_str())
                    {
                        waiting.push((next, false));
                    }
                }
            }
        }
        order
    }

    /// What is wrong with a schema for being too much, if it is.
    pub(crate) fn too_much(&self, schema: &Map<String, Value>) -> Option<String> {
        let mut names = Vec::new();
        references(schema, false, &mut names);
        if let Some(name) = names.iter().find(|name| self.endless.contains(*name)) {
            return Some(format!("refers to `{name}`, which refers to itself without end"));
        }
        let Effort { deep, wide, way } = self.members(Some(schema));
        if deep > MAX_DEEP {
            return Some(format!(
                "holds {deep} schemas behind each other against one value; the limit is {MAX_DEEP}"
            ));
        }
        (wide > MAX_WIDE || way > MAX_WAY)
            .then(|| "takes too much to check: it refers to the same schemas again and again".to_owned())
    }

    fn members(&self, schema: Option<&Map<String, Value>>) -> Effort {
        let mut whole = Effort { deep: 1, wide: 1, way: 1 };
        for (keyword, value) in schema.into_iter().flatten() {
            let mut below = 0_u64;
            each(keyword, value, &mut |schema, same_value| {
                let inner = match schema {
                    Inner::Schema(schema) => self.members(Some(schema)),
                    Inner::Reference(name) => self.known.get(name).copied().unwrap_or_default(),
                };
                if same_value {
                    whole.deep = whole.deep.max(inner.deep + 1);
                    whole.wide = whole.wide.saturating_add(inner.wide);
                    whole.way = whole.way.saturating_add(inner.way);
                } else {
                    // Of named members, each is for another value; what is for any of them is for all.
                    below = if keyword == "properties" {
                        below.max(inner.way)
                    } else {
                        below.saturating_add(inner.way)
                    };
                }
            });
            whole.way = whole.way.saturating_add(below);
        }
        whole
    }
}

/// A schema within another one.
enum Inner<'a> {
    Schema(&'a Map<String, Value>),
    Reference(&'a str),
}

/// The schemas behind a keyword, each with whether it is held against the same value.
fn each<'a>(keyword: &str, value: &'a Value, visit: &mut dyn FnMut(Inner<'a>, bool)) {
    let mut inner = |value: &'a Value, same_value| {
        if let Value::Object(schema) = value {
            visit(Inner::Schema(schema), same_value);
        }
    };
    match (keyword, value) {
        ("$ref", Value::String(reference)) => {
            if let Some(name) = local_name(reference) {
                visit(Inner::Reference(name), true);
            }
        }
        ("properties" | "patternProperties", Value::Object(schemas)) => {
            schemas.values().for_each(|schema| inner(schema, false));
        }
        ("dependentSchemas", Value::Object(schemas)) => {
            schemas.values().for_each(|schema| inner(schema, true));
        }
        ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
            schemas.iter().for_each(|schema| inner(schema, true));
        }
        ("prefixItems", Value::Array(schemas)) => schemas.iter().for_each(|schema| inner(schema, false)),
        ("not" | "if" | "then" | "else", schema) => inner(schema, true),
        (
            "items"
            | "contains"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "unevaluatedItems"
            | "propertyNames",
            schema,
        ) => inner(schema, false),
        _ => {}
    }
}

/// The definitions that a schema refers to: all, or those that are held against the same value as it is.
fn references<'a>(schema: &'a Map<String, Value>, same_value: bool, found: &mut Vec<&'a str>) {
    for (keyword, value) in schema {
        each(keyword, value, &mut |schema, is_same| {
            if is_same || !same_value {
                match schema {
                    Inner::Schema(schema) => references(schema, same_value, found),
                    Inner::Reference(name) => found.push(name),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(schema: &Value, defs: &Value) -> Option<String> {
        Efforts::of(defs.as_object().unwrap()).too_much(schema.as_object().unwrap())
    }

    fn to(name: impl std::fmt::Display) -> Value {
        json!({"$ref": format!("#/$defs/{name}")})
    }

    #[test]
    fn what_goes_down_the_value_may_refer_to_itself() {
        let defs = json!({
            "Node": {"properties": {"children": {"items": to("Node")}, "parent": {"anyOf": [to("Node"), {"type": "null"}]}}},
            "A": {"properties": {"b": to("B")}},
            "B": {"properties": {"a": to("A")}, "allOf": [{"properties": {"a": to("A")}}]},
        });
        for name in ["Node", "A", "B"] {
            assert_eq!(problem(&to(name), &defs), None, "{name}");
        }
    }

    #[test]
    fn fault_83_a_schema_without_end_is_refused() {
        for defs in [
            json!({"A": to("A")}),
            json!({"A": {"oneOf": [to("A"), {"type": "string"}]}}),
            json!({"A": {"if": {"not": to("B")}}, "B": {"dependentSchemas": {"x": to("A")}}}),
        ] {
            assert!(
                problem(&json!({"properties": {"x": to("A")}}), &defs).unwrap().contains("without end"),
                "{defs}"
            );
        }
    }

    #[test]
    fn fault_83_a_schema_that_doubles_its_work_at_each_step_is_refused() {
        type Step = fn(Value) -> Value;
        let steps: [(usize, Step, &str); 4] = [
            (15, |next| json!({"allOf": [next, next]}), "again and again"),
            (30, |next| json!({"properties": {"x": {"anyOf": [next, next]}}}), "again and again"),
            (30, |next| json!({"items": next, "contains": next}), "again and again"),
            (20, |next| json!({"not": next}), "behind each other"),
        ];
        for (count, step, expected) in steps {
            let mut defs: Map<String, Value> =
                (0..count).map(|i| (format!("D{i}"), step(to(format!("D{}", i + 1))))).collect();
            defs.insert(format!("D{count}"), json!({"type": "string"}));
            let defs = Value::Object(defs);
            let found = problem(&to("D0"), &defs);
            assert!(found.as_ref().is_some_and(|problem| problem.contains(expected)), "{found:?}");
            assert_eq!(problem(&to(format!("D{}", count - 8)), &defs), None);
        }
    }
}
