//! What becomes of each keyword of JSON Schema.

use serde_json::{Value, json};

use crate::form;

/// The form of a schema as JSON, without what every field has.
fn model(schema: &Value) -> Value {
    fn trim(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if members.contains_key("required") && members.contains_key("kind") {
                    members.shift_remove("label");
                    members.retain(|name, value| name != "required" || *value == true);
                }
                members.values_mut().for_each(trim);
            }
            Value::Array(items) => items.iter_mut().for_each(trim),
            _ => {}
        }
    }
    let mut model = serde_json::to_value(form(schema).object).unwrap();
    trim(&mut model);
    model
}

/// The one field of a schema with one field.
fn field(schema: &Value) -> Value {
    let mut field = model(&json!({"properties": {"f": schema}}))["fields"][0].clone();
    field.as_object_mut().unwrap().shift_remove("name");
    field
}

#[test]
fn each_kind_of_field_is_recognised() {
    for (schema, expected) in [
        (
            json!({"type": "string", "minLength": 1, "maxLength": 5}),
            json!({"kind": "text", "min_length": 1, "max_length": 5}),
        ),
        (json!({"type": "string", "x-ui": {"widget": "textarea"}}), json!({"kind": "text", "rows": 4})),
        (
            json!({"type": "string", "x-ui": {"widget": "textarea", "rows": 9}}),
            json!({"kind": "text", "rows": 9}),
        ),
        (json!({"type": "string", "format": "email"}), json!({"kind": "text", "format": "email"})),
        (
            json!({"type": "string", "pattern": "^a", "x-ui": {"errors": {"pattern": "must begin with a"}}}),
            json!({"kind": "text", "pattern": "^a", "pattern_message": "must begin with a"}),
        ),
        (json!({"type": "string", "x-secret": true}), json!({"secret": true, "kind": "text"})),
        (json!({"type": "string", "writeOnly": true}), json!({"secret": true, "kind": "text"})),
        (json!({"type": "string", "deprecated": true}), json!({"deprecated": true, "kind": "text"})),
        (
            json!({"type": "string", "default": "x", "examples": ["y"], "x-ui": {"placeholder": "z"}}),
            json!({"placeholder": "z", "default": "x", "examples": ["y"], "kind": "text"}),
        ),
        (
            json!({"type": "string", "x-ui": {"group": "More", "visibility": "advanced"}}),
            json!({"advanced": true, "group": "More", "kind": "text"}),
        ),
        (
            json!({"type": "string", "x-ui": {"visibility": "important"}}),
            json!({"important": true, "kind": "text"}),
        ),
        (
            json!({"type": "string", "x-options": {"lookup": "l"}}),
            json!({"options": {"lookup": "l"}, "kind": "text"}),
        ),
        (json!({"type": "string", "x-expr": "deny"}), json!({"expressions": "deny", "kind": "text"})),
        (
            json!({"type": "string", "contentMediaType": "image/png", "contentEncoding": "base64"}),
            json!({"kind": "file", "media_type": "image/png", "encoding": "base64"}),
        ),
        (
            json!({"type": "integer", "minimum": 1, "maximum": 9, "x-ui": {"unit": "minutes"}}),
            json!({"unit": "minutes", "kind": "number", "integer": true, "minimum": 1, "maximum": 9}),
        ),
        (json!({"type": "number"}), json!({"kind": "number", "integer": false})),
        (json!({"type": "boolean"}), json!({"kind": "toggle"})),
        (
            json!({"enum": ["b", "a"]}),
            json!({"kind": "choice", "choices": [{"value": "b", "title": "b"}, {"value": "a", "title": "a"}]}),
        ),
        (
            json!({"enum": [1, 2, 3], "x-ui": {"enumOrder": [3, 1], "widget": "radio"}}),
            json!({"kind": "choice", "choices": [{"value": 3, "title": "3"}, {"value": 1, "title": "1"}, {"value": 2, "title": "2"}], "open": true}),
        ),
        (
            json!({"oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "description": "Big"}]}),
            json!({"kind": "choice", "choices": [{"value": "s", "title": "Small"}, {"value": "l", "title": "l", "help": "Big"}]}),
        ),
        (
            json!({"type": "array", "uniqueItems": true, "items": {"enum": ["a"]}}),
            json!({"kind": "choices", "choices": [{"value": "a", "title": "a"}]}),
        ),
        (json!({"const": 5}), json!({"kind": "constant", "value": 5})),
        (json!({"type": "string", "format": "date"}), json!({"kind": "date"})),
        (json!({"type": "string", "format": "date-time"}), json!({"kind": "date_time"})),
        (
            json!({"type": "string", "x-ui": {"widget": "date-time"}, "x-timezone-field": "zone"}),
            json!({"kind": "date_time", "timezone_field": "zone"}),
        ),
        (json!({"type": "string", "x-ui": {"widget": "time-zone"}}), json!({"kind": "time_zone"})),
        (json!({"type": ["string", "integer"]}), json!({"kind": "text"})),
        (
            json!({"type": ["array", "string"], "items": {"type": "string"}}),
            json!({"kind": "list", "item": {"name": "", "required": true, "kind": "text"}}),
        ),
        (json!({"type": ["string", "null"]}), json!({"clearable": true, "kind": "text"})),
        (
            json!({"anyOf": [{"type": "string", "x-secret": true}, {"type": "null"}]}),
            json!({"secret": true, "clearable": true, "kind": "text"}),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer", "title": "A number"}]}),
            json!({"kind": "either", "options": [
                {"name": "", "required": true, "kind": "text"},
                {"name": "", "required": true, "kind": "number", "integer": true},
            ]}),
        ),
        (
            json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "boolean"}}),
            json!({"kind": "list", "item": {"name": "", "required": true, "kind": "toggle"}, "min_items": 1, "max_items": 2}),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^x"}}),
            json!({"kind": "object", "fields": [], "more": {"name_pattern": "^x", "value": {"name": "", "required": true, "kind": "number", "integer": true}}}),
        ),
        (
            json!({"type": "object", "patternProperties": {"^x": {"type": "boolean"}}}),
            json!({"kind": "object", "fields": [], "more": {"name_pattern": "^x", "value": {"name": "", "required": true, "kind": "toggle"}}}),
        ),
        (json!({"type": "object"}), json!({"kind": "json"})),
        (json!({}), json!({"kind": "json"})),
        (json!({"type": "array", "prefixItems": [{"type": "string"}]}), json!({"kind": "json"})),
    ] {
        assert_eq!(field(&schema), expected, "{schema}");
    }
}

#[test]
fn what_nobody_may_fill_is_not_asked_for() {
    let names = |schema: Value| {
        let form = form(&schema);
        form.object.fields.into_iter().map(|field| field.name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(json!({"properties": {
            "a": {"type": "string", "readOnly": true}, "b": {"type": "string"}, "c": {"x-ui": {"visibility": "internal"}}, "d": false,
        }})),
        ["b"]
    );
    assert_eq!(
        names(
            json!({"properties": {"a": {}, "b": {"x-ui": {"order": 2}}, "c": {}, "d": {"x-ui": {"order": 1}}}})
        ),
        ["d", "b", "a", "c"]
    );
    assert_eq!(names(json!({"properties": {"a": {}}, "required": ["a", "unsaid"]})), ["a", "unsaid"]);
    // A zone stands beside its time; nothing is its own zone.
    let time = json!({"type": "string", "x-ui": {"widget": "date-time"}, "x-timezone-field": "zone"});
    assert_eq!(
        names(json!({"properties": {"at": time, "b": {}, "zone": {"type": "string"}}})),
        ["at", "zone", "b"]
    );
    assert_eq!(names(json!({"properties": {"a": {}, "b": {}, "zone": time}})), ["a", "b", "zone"]);
}

/// What a condition does to the fields: the schema, the field, and what the model says of it.
#[test]
fn every_condition_arrives_at_its_field() {
    let given = |field: &str| json!({"test": "given", "field": field});
    let is = |field: &str, value: Value| json!({"test": "is", "field": field, "values": [value]});
    let not = |condition: Value| json!({"test": "not", "of": condition});
    let test = json!({"properties": {"a": {"const": 1}}, "required": ["a"]});
    let fields = json!({"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "integer"}, "inner": {"type": "object", "properties": {"x": {"type": "integer"}}}});
    for (rule, pointer, expected) in [
        (json!({"if": test, "then": {"required": ["b"]}}), "/1/required_when", is("1/a", json!(1))),
        (json!({"if": test, "else": {"required": ["b"]}}), "/1/required_when", not(is("1/a", json!(1)))),
        (
            json!({"allOf": [{"if": test, "then": {"properties": {"b": false}}}]}),
            "/1/shown_when",
            not(is("1/a", json!(1))),
        ),
        (json!({"if": test, "else": {"properties": {"b": false}}}), "/1/shown_when", is("1/a", json!(1))),
        (
            json!({"if": test, "then": {"not": {"required": ["b"]}}}),
            "/1/shown_when",
            not(is("1/a", json!(1))),
        ),
        (
            json!({"if": test, "then": {"properties": {"c": {"maximum": 5}}}}),
            "/2/limits",
            json!([{"when": is("1/a", json!(1)), "maximum": 5}]),
        ),
        (
            json!({"if": test, "then": {"properties": {"c": {"enum": [1, 2], "x-ui": {"errors": {"enum": "must be small"}}}}}}),
            "/2/limits",
            json!([{"when": is("1/a", json!(1)), "values": [1, 2], "messages": ["must be small"]}]),
        ),
        (json!({"dependentRequired": {"a": ["b"]}}), "/1/required_when", given("1/a")),
        (
            json!({"dependentSchemas": {"a": {"properties": {"new": {"type": "string"}}, "required": ["new"]}}}),
            "/4",
            json!({"name": "new", "required_when": given("1/a"), "shown_when": given("1/a"), "kind": "text"}),
        ),
        (
            json!({"if": test, "then": {"properties": {"inner": {"required": ["x"], "properties": {"x": {"minimum": 3}}}}}}),
            "/3/fields/0",
            json!({"name": "x", "required_when": is("2/a", json!(1)), "limits": [{"when": is("2/a", json!(1)), "minimum": 3}], "kind": "number", "integer": true}),
        ),
        (
            json!({"if": test, "then": {"properties": {"inner": {"propertyNames": {"enum": ["y"]}}}}}),
            "/3/fields/0/shown_when",
            not(is("2/a", json!(1))),
        ),
        (
            json!({"if": test, "then": {"if": {"required": ["c"]}, "then": {"required": ["b"]}}}),
            "/1/required_when",
            json!({"test": "all", "of": [is("1/a", json!(1)), given("1/c")]}),
        ),
        (
            json!({"allOf": [{"dependentRequired": {"a": ["b"]}}, {"dependentRequired": {"c": ["b"]}}]}),
            "/1/required_when",
            json!({"test": "any", "of": [given("1/a"), given("1/c")]}),
        ),
        (
            json!({"allOf": [{"properties": {"c": {"minimum": 2}}}, {"required": ["c"]}]}),
            "/2",
            json!({"name": "c", "required": true, "kind": "number", "integer": true, "minimum": 2}),
        ),
        // What cannot be told exactly changes nothing: the check has the last word.
        (
            json!({"if": {"minProperties": 2}, "then": {"required": ["b"]}}),
            "/1",
            json!({"name": "b", "kind": "text"}),
        ),
    ] {
        let mut schema = json!({"type": "object", "properties": fields});
        schema.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        let model = model(&schema);
        assert_eq!(model["fields"].pointer(pointer), Some(&expected), "{rule}");
    }
}

#[test]
fn what_holds_between_fields_is_a_rule() {
    let properties = json!({"a": {}, "b": {}});
    for (rule, expected) in [
        (json!({"not": {"required": ["a", "b"]}}), json!([{"count": "not_all", "fields": ["a", "b"]}])),
        (
            json!({"allOf": [{"not": {"required": ["a", "b"]}, "x-ui": {"errors": {"not": "must have one of them"}}}]}),
            json!([{"count": "not_all", "fields": ["a", "b"], "message": "must have one of them"}]),
        ),
        (
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!([{"count": "at_least_one", "fields": ["a", "b"]}]),
        ),
        (
            json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!([{"count": "exactly_one", "fields": ["a", "b"]}]),
        ),
    ] {
        let mut schema = json!({"type": "object", "properties": properties});
        schema.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        assert_eq!(model(&schema)["rules"], expected, "{rule}");
    }
}

#[test]
fn forms_of_which_one_is_chosen_are_told_apart_by_the_member_that_says_so() {
    let tagged = model(&json!({
        "type": "object",
        "properties": {"shared": {"type": "string"}},
        "oneOf": [
            {"type": "object", "title": "By mail", "properties": {"kind": {"const": "mail"}, "to": {"type": "string"}}, "required": ["kind", "to"]},
            {"type": "object", "properties": {"kind": {"const": "by_post"}}, "required": ["kind"]},
        ],
    }));
    assert_eq!(
        tagged,
        json!({
            "fields": [{"name": "shared", "kind": "text"}],
            "variants": {"member": "kind", "of": [
                {"title": "By mail", "value": "mail", "fields": [{"name": "to", "required": true, "kind": "text"}]},
                {"title": "By post", "value": "by_post", "fields": []},
            ]},
        })
    );
    let untagged = model(&json!({"anyOf": [
        {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    ]}));
    assert_eq!(untagged["variants"]["member"], Value::Null);
    assert_eq!(untagged["variants"]["of"][1]["fields"][0]["name"], "name");
}

#[test]
fn fault_83_a_schema_that_refers_to_itself_or_is_huge_ends_as_json() {
    let tree = json!({
        "properties": {"child": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Node"}, "right": {"$ref": "#/$defs/Node"}}}},
    });
    let text = serde_json::to_string(&form(&tree)).unwrap();
    assert!(text.contains(r#""kind":"json""#) && text.len() < 1_000_000, "{}", text.len());
    let circle = json!({
        "allOf": [{"$ref": "#/$defs/A"}],
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/B"}]}, "B": {"allOf": [{"$ref": "#/$defs/A"}], "properties": {"x": {"type": "string"}}}},
    });
    assert_eq!(form(&circle).object.fields.len(), 1);
    let wide: serde_json::Map<String, Value> = (0..10_000)
        .map(|n| (format!("f{n}"), json!({"type": "object", "properties": {"x": {"type": "string"}}})))
        .collect();
    let form = form(&json!({"properties": wide}));
    assert_eq!(form.object.fields.len(), 10_000);
}
