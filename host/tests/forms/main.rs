//! Forms: each keyword of JSON Schema where it belongs, and every value back as it was.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod ask;
mod generate;
mod keywords;
mod model;
mod round_trip;

use std::sync::OnceLock;

use connector_protocol::{Manifest, validate::Validator};
use jackfield::forms::{self, Form};
use serde_json::Value;

/// The form of a schema.
fn form(schema: &Value) -> Form {
    forms::build("Title", "Description", schema)
}

/// Every input that the connectors of this project declare: what it belongs to, and its schema.
fn inputs() -> &'static [(String, Value)] {
    static INPUTS: OnceLock<Vec<(String, Value)>> = OnceLock::new();
    INPUTS.get_or_init(read_inputs)
}

fn read_inputs() -> Vec<(String, Value)> {
    let mut inputs = Vec::new();
    for path in [
        "../manifests/zoom.json",
        "../tests/connectors/forge/manifest.json",
        "../tests/connectors/sensors/manifest.json",
    ] {
        let bytes = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let manifest = Manifest::read(&bytes).unwrap();
        for action in &manifest.actions {
            inputs.push((format!("{}.{}", manifest.id, action.name), manifest.standalone(&action.input)));
        }
        for auth in manifest.auth.iter().filter(|auth| !auth.parameters.is_empty()) {
            inputs.push((format!("{} {}", manifest.id, auth.name), manifest.standalone(&auth.parameters)));
        }
        for trigger in &manifest.triggers {
            inputs.push((
                format!("{}.{}", manifest.id, trigger.name),
                manifest.standalone(&trigger.parameters),
            ));
        }
    }
    inputs
}

fn validator(schema: &Value) -> Validator {
    Validator::new(schema.clone()).unwrap()
}
