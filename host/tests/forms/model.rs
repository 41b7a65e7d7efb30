//! The form model is a contract with whoever draws forms: its schema is committed, and every form fits it.

use std::{fs, path::PathBuf};

use connector_protocol::{
    keywords::{Keywords, VOCABULARY},
    validate::Validator,
};
use jackfield::forms::Form;
use serde_json::{Value, json};

use crate::{form, inputs};

/// The schema of what a type is written as. What is left out when there is nothing is never `null`.
fn schema_of<T: schemars::JsonSchema>() -> Value {
    fn tidy(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::Array(types)) = members.get_mut("type") {
                    types.retain(|kind| kind != "null");
                    if let [one] = types.as_slice() {
                        let one = one.clone();
                        members.insert("type".to_owned(), one);
                    }
                }
                let branches = members.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_default();
                if let [Value::Object(one), null] = branches.as_slice()
                    && *null == json!({"type": "null"})
                {
                    members.shift_remove("anyOf");
                    members.extend(one.clone());
                }
                members.values_mut().for_each(tidy);
            }
            Value::Array(items) => items.iter_mut().for_each(tidy),
            _ => {}
        }
    }
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// Compares a generated file with the committed one; `JACKFIELD_UPDATE=1` writes it down.
fn is_current(name: &str, schema: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("JACKFIELD_UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "manifests/{name} is not what the types say; to rewrite it: cargo xtask manifests"
    );
}

#[test]
fn the_schemas_are_current() {
    is_current("form.schema.json", &schema_of::<Form>());
    let mut keywords = schema_of::<Keywords>();
    keywords["$id"] = json!(VOCABULARY);
    // Beside these, a schema holds those of JSON Schema.
    keywords.as_object_mut().unwrap().shift_remove("additionalProperties");
    let known: Vec<String> = keywords["properties"].as_object().unwrap().keys().cloned().collect();
    let escaped = known.iter().map(|name| format!("^{name}$")).collect::<Vec<_>>().join("|");
    keywords["propertyNames"] = json!({"anyOf": [{"pattern": escaped}, {"not": {"pattern": "^x-"}}]});
    is_current("form-keywords.schema.json", &keywords);
    let valid = Validator::new(keywords).unwrap();
    assert_eq!(valid.check(&json!({"type": "string", "x-ui": {"widget": "textarea"}, "x-secret": true})), []);
    for wrong in [json!({"x-iu": {}}), json!({"x-ui": {"wigdet": "date"}}), json!({"x-secret": "yes"})] {
        assert_ne!(valid.check(&wrong), [], "{wrong}");
    }
}

#[test]
fn every_form_fits_the_schema_of_forms() {
    let valid = Validator::new(schema_of::<Form>()).unwrap();
    for (name, schema) in inputs() {
        let model = serde_json::to_value(form(schema)).unwrap();
        assert_eq!(valid.check(&model), [], "{name}");
    }
    assert_ne!(valid.check(&json!({"form_version": 1, "title": "T", "fields": [{"name": "x"}]})), []);
}
