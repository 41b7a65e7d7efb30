//! Schemas of all kinds that forms know, and values that fit them.

use connector_protocol::{schema::resolve, validate::Validator};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A schema of an object, with everything in it that a form makes something of.
pub(crate) fn schema() -> impl Strategy<Value = Value> {
    object(3)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "string", "minLength": 1, "maxLength": 8})),
        Just(json!({"type": "string", "x-ui": {"widget": "textarea"}})),
        Just(json!({"type": "string", "format": "email"})),
        Just(json!({"type": "string", "pattern": "^[a-z]+$"})),
        Just(json!({"type": "string", "x-secret": true})),
        Just(json!({"type": "string", "format": "date"})),
        Just(json!({"type": "string", "format": "date-time"})),
        Just(json!({"type": "string", "x-ui": {"widget": "date-time"}, "x-timezone-field": "zone"})),
        Just(json!({"type": "string", "x-ui": {"widget": "time-zone"}})),
        Just(json!({"type": "string", "contentEncoding": "base64"})),
        Just(json!({"type": "integer", "minimum": -3, "maximum": 9_007_199_254_740_993_i64})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "boolean", "default": true})),
        Just(json!({"enum": ["a", "b", "", 3, null, true]})),
        Just(json!({"oneOf": [{"const": 1, "title": "One"}, {"const": 2}], "x-ui": {"widget": "radio"}})),
        Just(json!({"const": "fixed"})),
        Just(json!({"type": ["string", "integer"]})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
        Just(json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})),
        Just(json!({"type": "array", "uniqueItems": true, "items": {"enum": ["x", "y", "z"]}})),
        Just(json!({})),
        Just(json!({"$ref": "#/$defs/Tree"})),
    ]
}

fn any(depth: u32) -> BoxedStrategy<Value> {
    if depth == 0 {
        return scalar().boxed();
    }
    prop_oneof![
        5 => scalar(),
        1 => object(depth - 1),
        1 => (any(depth - 1), 0..3_u32).prop_map(|(items, least)| json!({"type": "array", "items": items, "minItems": least})),
        1 => any(depth - 1).prop_map(|value| json!({"type": "object", "additionalProperties": value})),
        1 => any(depth - 1).prop_map(|value| json!({"type": "object", "patternProperties": {"^[a-z]": value}})),
    ]
    .boxed()
}

/// What an object may say of its fields beside `properties`.
fn rules() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"allOf": [
            {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}, "else": {"properties": {"c": false}}},
        ]})),
        1 => Just(json!({"if": {"required": ["a"]}, "then": {"properties": {"b": false}}, "else": {"required": ["b"]}})),
        1 => Just(json!({"dependentRequired": {"a": ["b"]}})),
        1 => Just(json!({"dependentSchemas": {"a": {"properties": {"extra": {"type": "string"}}, "required": ["extra"]}}})),
        1 => Just(json!({"not": {"required": ["a", "b"]}})),
        1 => Just(json!({"anyOf": [{"required": ["a"]}, {"required": ["c"]}]})),
        1 => Just(json!({"oneOf": [
            {"type": "object", "title": "Mail", "properties": {"kind": {"const": "mail"}, "address": {"type": "string"}}, "required": ["kind", "address"]},
            {"type": "object", "title": "Post", "properties": {"kind": {"const": "post"}, "street": {"type": "string"}, "floor": {"type": "integer"}}, "required": ["kind"]},
        ]})),
        1 => Just(json!({"oneOf": [
            {"type": "object", "properties": {"by_name": {"type": "string"}}, "required": ["by_name"]},
            {"type": "object", "properties": {"by_id": {"type": "integer"}}, "required": ["by_id"]},
        ]})),
        1 => Just(json!({"allOf": [{"properties": {"merged": {"type": "integer"}}}, {"properties": {"merged": {"maximum": 5}}}]})),
        1 => Just(json!({"propertyNames": {"pattern": "^[a-z#/~ _]+$"}})),
    ]
}

fn object(depth: u32) -> BoxedStrategy<Value> {
    let names = ["a", "b", "c", "zone", "with/slash", "with~tilde", "#hash", "with space"];
    let fields = prop::collection::vec((any(depth), any_bool(), any_bool()), names.len());
    (fields, rules(), prop::option::of(any_bool()))
        .prop_map(move |(fields, rules, closed)| {
            let mut schema = Map::new();
            schema.insert("type".to_owned(), json!("object"));
            let mut properties = Map::new();
            let mut required = Vec::new();
            for (name, (field, there, needed)) in names.iter().zip(fields) {
                // The fields that rules are about take what rules ask for.
                let field = if *name == "a" { json!({"type": "integer"}) } else { field };
                if there {
                    properties.insert((*name).to_owned(), field);
                    if needed && !["a", "b", "c"].contains(name) {
                        required.push(json!(name));
                    }
                }
            }
            schema.insert("properties".to_owned(), Value::Object(properties));
            if !required.is_empty() {
                schema.insert("required".to_owned(), Value::Array(required));
            }
            if closed == Some(true) {
                schema.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            if let Value::Object(rules) = rules {
                schema.extend(rules);
            }
            Value::Object(schema)
        })
        .boxed()
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

/// The same schema with the definitions that it refers to.
pub(crate) fn with_defs(mut schema: Value) -> Value {
    schema["$defs"] = json!({"Tree": {
        "type": "object",
        "properties": {"value": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    }});
    schema
}

/// Numbers that look like chance and are the same for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "abc",
    "a",
    " padded ",
    "two\nlines",
    "\nfirst line empty",
    "crlf\r\nline",
    "tab\t",
    "quote\" & <script>",
    "emoji 😀",
    "ünïcode",
    "{{ not a template }}",
    "0",
    "123",
    "null",
    "true",
    "\u{0}",
    "\u{202e}rtl",
    "a=b&c=d",
    "%41",
    "+",
    "trailing\n",
];

/// A value that fits a schema, if chance finds one.
pub(crate) fn value(schema: &Value, chance: &mut Chance, valid: &Validator) -> Option<Value> {
    (0..60).find_map(|_| {
        let defs = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        let value = any_value(schema, &defs, chance, 0);
        valid.check(&value).is_empty().then_some(value)
    })
}

fn any_value(schema: &Value, defs: &Map<String, Value>, chance: &mut Chance, depth: usize) -> Value {
    let schema = resolve(schema, defs);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return chance.pick(values).clone();
    }
    let is_object =
        schema.get("type").is_some_and(|kind| kind == "object") || schema.get("properties").is_some();
    if !is_object
        && let Some(branches) = ["oneOf", "anyOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array())
    {
        return any_value(chance.pick(branches), defs, chance, depth);
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec!["string", "integer", "boolean", "null", "object"],
    };
    match *chance.pick(&kinds) {
        "string" => any_text(schema, chance),
        "integer" => {
            let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(-5);
            chance
                .pick(&[
                    json!(least),
                    json!(least + 1),
                    json!(1),
                    json!(2),
                    json!(7),
                    json!(9_007_199_254_740_993_i64),
                ])
                .clone()
        }
        "number" => chance
            .pick(&[json!(0.5), json!(-1), json!(1.0), json!(1e300), json!(12_345_678_901_234_567_u64)])
            .clone(),
        "boolean" => json!(chance.one_in(2)),
        "null" => Value::Null,
        "array" => {
            let count = if depth > 3 { 0 } else { chance.below(3) };
            let items = schema.get("items").cloned().unwrap_or(json!({}));
            let mut values: Vec<Value> =
                (0..count).map(|_| any_value(&items, defs, chance, depth + 1)).collect();
            if schema.get("uniqueItems").is_some() {
                values.sort_by_key(Value::to_string);
                values.dedup();
                if chance.one_in(2) {
                    values.reverse();
                }
            }
            Value::Array(values)
        }
        _ => any_object(schema, defs, chance, depth),
    }
}

fn any_object(schema: &Value, defs: &Map<String, Value>, chance: &mut Chance, depth: usize) -> Value {
    let mut members = Map::new();
    let mut schemas = vec![schema];
    for keyword in ["oneOf", "anyOf"] {
        if let Some(branches) = schema.get(keyword).and_then(Value::as_array) {
            schemas.push(chance.pick(branches));
        }
    }
    schemas.extend(schema.get("allOf").and_then(Value::as_array).into_iter().flatten());
    schemas.extend(schema.pointer("/dependentSchemas/a"));
    for part in schemas {
        let required = part.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, field) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let needed = required.iter().any(|required| required == name);
            if needed || (depth < 4 && chance.one_in(2)) {
                members.entry(name.clone()).or_insert_with(|| any_value(field, defs, chance, depth + 1));
            }
        }
    }
    let others = schema.get("additionalProperties").or_else(|| schema.pointer("/patternProperties/^[a-z]"));
    if let Some(value) = others.filter(|value| value.is_object()) {
        for name in ["x", "y y", "z/z", ""] {
            if chance.one_in(3) {
                members.insert(name.to_owned(), any_value(value, defs, chance, depth + 1));
            }
        }
    }
    // Members that nobody has declared.
    if chance.one_in(6) {
        members.insert("unheard_of".to_owned(), json!({"deep": [1, null]}));
    }
    Value::Object(members)
}

fn any_text(schema: &Value, chance: &mut Chance) -> Value {
    let widget = schema.pointer("/x-ui/widget").and_then(Value::as_str);
    let text = match (schema.get("format").and_then(Value::as_str), widget) {
        (Some("email"), _) => *chance.pick(&["a@example.com", "b.c@example.org"]),
        (Some("date"), _) => *chance.pick(&["2026-12-01", "0001-01-01", "1999-02-28"]),
        (Some("date-time"), _) => *chance.pick(&[
            "2026-12-01T10:00:00Z",
            "2026-12-01T10:00:00+02:00",
            "2026-12-01T10:00:00.5Z",
            "2026-12-01t10:00:00z",
        ]),
        (_, Some("date-time")) => *chance.pick(&[
            "2026-12-01T10:00:00",
            "2026-12-01T10:00",
            "2026-12-01 10:00",
            "2026-12-01T10:00:00Z",
            "soon",
        ]),
        (_, Some("time-zone")) => *chance.pick(&["Europe/Berlin", "UTC", "Nowhere/Town"]),
        _ => *chance.pick(TEXTS),
    };
    json!(text)
}
