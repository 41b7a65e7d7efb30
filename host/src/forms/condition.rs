//! When something holds, by what other fields say: taken from the test of a schema, where it can be told exactly, and looked
//! at with a value. It knows no field but by its place.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A condition on other fields of the form.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "test", rename_all = "snake_case")]
pub enum Condition {
    /// A field has one of these values.
    Is {
        /// The field.
        field: Reference,
        /// The values.
        values: Vec<Value>,
    },
    /// A field is filled, with whatever.
    Given {
        /// The field.
        field: Reference,
    },
    /// All of these hold.
    All {
        /// The conditions.
        of: Vec<Self>,
    },
    /// One of these holds, or several.
    Any {
        /// The conditions.
        of: Vec<Self>,
    },
    /// This does not hold.
    Not {
        /// The condition.
        of: Box<Self>,
    },
}

/// Another field, as seen from the one that has the condition: so many levels up, then down by these names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// How many levels above the object that the field belongs to.
    pub up: usize,
    /// The names on the way down.
    pub path: Vec<String>,
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // From the field itself, so one level more than from its object.
        let path: String =
            self.path.iter().map(|name| format!("/{}", connector_protocol::schema::escape(name))).collect();
        serializer.collect_str(&format_args!("{}{path}", self.up + 1))
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Another field, as a relative JSON pointer from the field that has the condition: `1/type` is the field `type` beside it.",
            "examples": ["1/type", "2/settings/approval_type"],
        })
    }
}

impl Condition {
    /// Holds always: all of nothing.
    pub(super) fn always() -> Self {
        Self::All { of: Vec::new() }
    }

    pub(super) fn is_always(&self) -> bool {
        matches!(self, Self::All { of } if of.is_empty())
    }

    /// Holds never: any of nothing.
    pub(super) fn is_never(&self) -> bool {
        matches!(self, Self::Any { of } if of.is_empty())
    }

    /// How much it is to copy: its parts, and the values that they name.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Is { values, .. } => 1 + values.len(),
            Self::Given { .. } => 1,
            Self::All { of } | Self::Any { of } => of.iter().map(|part| 1 + part.size()).sum(),
            Self::Not { of } => 1 + of.size(),
        }
    }

    pub(super) fn given(name: &str) -> Self {
        Self::Given { field: Reference { up: 0, path: vec![name.to_owned()] } }
    }

    pub(super) fn and(self, other: Self) -> Self {
        let mut of = Vec::new();
        for part in [self, other] {
            match part {
                Self::All { of: parts } => of.extend(parts),
                never if never.is_never() => return never,
                other => of.push(other),
            }
        }
        of.dedup();
        if of.len() == 1 { of.remove(0) } else { Self::All { of } }
    }

    pub(super) fn or(self, other: Self) -> Self {
        let mut of = Vec::new();
        for part in [self, other] {
            match part {
                Self::Any { of: parts } => of.extend(parts),
                always if always.is_always() => return always,
                other if of.contains(&other) => {}
                other => of.push(other),
            }
        }
        if of.len() == 1 { of.remove(0) } else { Self::Any { of } }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not { of } => *of,
            Self::All { of } if of.is_empty() => Self::Any { of },
            Self::Any { of } if of.is_empty() => Self::All { of },
            other => Self::Not { of: Box::new(other) },
        }
    }

    /// The same condition as seen from one level further down.
    pub(super) fn seen_from_below(mut self) -> Self {
        self.visit(&mut |reference| reference.up += 1);
        self
    }

    fn visit(&mut self, change: &mut dyn FnMut(&mut Reference)) {
        match self {
            Self::Is { field, .. } | Self::Given { field } => change(field),
            Self::All { of } | Self::Any { of } => of.iter_mut().for_each(|part| part.visit(change)),
            Self::Not { of } => of.visit(change),
        }
    }

    /// Whether it holds for a field of the last of these objects, each of which holds the next one.
    #[must_use]
    pub fn holds(&self, scope: &[&Value]) -> bool {
        match self {
            Self::Is { field, values } => field.find(scope).is_some_and(|value| values.contains(value)),
            Self::Given { field } => field.find(scope).is_some(),
            Self::All { of } => of.iter().all(|part| part.holds(scope)),
            Self::Any { of } => of.iter().any(|part| part.holds(scope)),
            Self::Not { of } => !of.holds(scope),
        }
    }

    /// What the test of an `if` says, if it is one that can be told exactly: which fields are given, or have which values.
    pub(super) fn of_schema(test: &Map<String, Value>, prefix: &[String]) -> Option<Self> {
        let reference = |name: &str| {
            let mut path = prefix.to_vec();
            path.push(name.to_owned());
            Reference { up: 0, path }
        };
        let mut condition = Self::always();
        for (keyword, value) in test {
            let part = match keyword.as_str() {
                "required" => value.as_array()?.iter().try_fold(Self::always(), |all, name| {
                    Some(all.and(Self::Given { field: reference(name.as_str()?) }))
                })?,
                "properties" => {
                    value.as_object()?.iter().try_fold(Self::always(), |all, (name, schema)| {
                        let field = reference(name);
                        let holds = match schema {
                            Value::Bool(true) => Self::always(),
                            Value::Bool(false) => Self::always().negated(),
                            Value::Object(schema) => match values(schema) {
                                Some(values) => Self::Is { field: field.clone(), values },
                                None => Self::of_schema(schema, &field.path)?,
                            },
                            _ => return None,
                        };
                        // What is not there is not tested.
                        Some(all.and(Self::Given { field }.negated().or(holds)))
                    })?
                }
                "allOf" => value.as_array()?.iter().try_fold(Self::always(), |all, part| {
                    Some(all.and(Self::of_schema(part.as_object()?, prefix)?))
                })?,
                "anyOf" => value.as_array()?.iter().try_fold(Self::always().negated(), |any, part| {
                    Some(any.or(Self::of_schema(part.as_object()?, prefix)?))
                })?,
                "not" => Self::of_schema(value.as_object()?, prefix)?.negated(),
                "type" if value == "object" => Self::always(),
                "title" | "description" | "$comment" => continue,
                other if other.starts_with("x-") => continue,
                _ => return None,
            };
            condition = condition.and(part);
        }
        Some(condition.settled())
    }

    /// `given and (not given or is)`, which is how schemas are written, as `is`.
    fn settled(self) -> Self {
        let Self::All { of } = self else { return self };
        let given: Vec<Reference> = of
            .iter()
            .filter_map(|part| match part {
                Self::Given { field } => Some(field.clone()),
                _ => None,
            })
            .collect();
        let mut certain = Vec::new();
        let parts = of.into_iter().map(|part| {
            let Self::Any { of } = part else { return part };
            let is_absent = |part: &Self| matches!(part, Self::Not { of } if matches!(&**of, Self::Given { field } if given.contains(field)));
            let left: Vec<Self> = of.into_iter().filter(|part| !is_absent(part)).collect();
            for part in &left {
                if let (Self::Is { field, .. }, 1) = (part, left.len()) {
                    certain.push(field.clone());
                }
            }
            left.into_iter().fold(Self::always().negated(), Self::or)
        });
        let parts: Vec<Self> = parts.collect();
        // What has a certain value is there, and so is all that it is in.
        let is_certain = |field: &Reference| {
            certain.iter().any(|known| known.up == field.up && known.path.starts_with(&field.path))
        };
        let needed =
            parts.into_iter().filter(|part| !matches!(part, Self::Given { field } if is_certain(field)));
        needed.fold(Self::always(), Self::and)
    }
}

/// The values that a schema allows, if it says nothing else.
fn values(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let says_more = schema.keys().any(|keyword| {
        !matches!(keyword.as_str(), "const" | "enum" | "type" | "title" | "description")
            && !keyword.starts_with("x-")
    });
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        _ if says_more => None,
        (Some(value), None) => Some(vec![value.clone()]),
        (None, Some(values)) => Some(values.clone()),
        _ => None,
    }
}

impl Reference {
    fn find<'a>(&self, scope: &[&'a Value]) -> Option<&'a Value> {
        let from = scope.len().checked_sub(self.up + 1)?;
        self.path.iter().try_fold(*scope.get(from)?, |at, name| at.get(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(test: Value) -> Option<Condition> {
        Condition::of_schema(test.as_object().unwrap(), &[])
    }

    #[test]
    fn a_test_of_a_schema_becomes_the_condition_that_says_the_same() {
        for (test, expected, holds, fails) in [
            (
                json!({"properties": {"type": {"const": 8}}, "required": ["type"]}),
                json!({"test": "is", "field": "1/type", "values": [8]}),
                vec![json!({"type": 8})],
                vec![json!({"type": 2}), json!({})],
            ),
            (
                json!({"properties": {"type": {"enum": [1, 2]}}}),
                json!({"test": "any", "of": [{"test": "not", "of": {"test": "given", "field": "1/type"}}, {"test": "is", "field": "1/type", "values": [1, 2]}]}),
                vec![json!({"type": 1}), json!({})],
                vec![json!({"type": 3})],
            ),
            (
                json!({"required": ["a", "b"]}),
                json!({"test": "all", "of": [{"test": "given", "field": "1/a"}, {"test": "given", "field": "1/b"}]}),
                vec![json!({"a": null, "b": 1})],
                vec![json!({"a": 1})],
            ),
            (
                json!({"not": {"required": ["a"]}}),
                json!({"test": "not", "of": {"test": "given", "field": "1/a"}}),
                vec![json!({})],
                vec![json!({"a": 1})],
            ),
            (
                json!({"properties": {"s": {"properties": {"on": {"const": true}}, "required": ["on"]}}, "required": ["s"]}),
                json!({"test": "is", "field": "1/s/on", "values": [true]}),
                vec![json!({"s": {"on": true}})],
                vec![json!({"s": {}}), json!({})],
            ),
            (
                json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"test": "any", "of": [{"test": "given", "field": "1/a"}, {"test": "given", "field": "1/b"}]}),
                vec![json!({"b": 1})],
                vec![json!({})],
            ),
        ] {
            let condition = compiled(test.clone()).unwrap();
            assert_eq!(serde_json::to_value(&condition).unwrap(), expected, "{test}");
            for value in holds {
                assert!(condition.holds(&[&value]), "{test} holds for {value}");
            }
            for value in fails {
                assert!(!condition.holds(&[&value]), "{test} does not hold for {value}");
            }
        }
    }

    #[test]
    fn what_cannot_be_told_exactly_is_not_told() {
        assert_eq!(compiled(json!({"properties": {"n": {"minimum": 5}}})), None);
        assert_eq!(compiled(json!({"oneOf": [{"required": ["a"]}]})), None);
        assert_eq!(compiled(json!({"properties": {"n": {"const": 1, "minimum": 5}}})), None);
        assert_eq!(compiled(json!({"minProperties": 1})), None);
    }

    #[test]
    fn a_condition_is_seen_from_where_the_field_is() {
        let condition = compiled(json!({"required": ["a"]})).unwrap().seen_from_below();
        assert_eq!(serde_json::to_value(&condition).unwrap(), json!({"test": "given", "field": "2/a"}));
        let root = json!({"a": 1, "inner": {}});
        assert!(condition.holds(&[&root, &root["inner"]]) && !condition.holds(&[&root["inner"]]));
    }
}
