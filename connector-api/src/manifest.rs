//! Deriving schemas from an author's types, in the form a manifest has them.
//!
//! All types of a connector share one pool of definitions. What a type looks like when it is given (an input) and when it
//! is got (an output, an event) may differ; then the second is called `…Output`.

use connector_protocol::{Manifest, manifest::Schema, schema::local_name};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// One type's schema, its own description taken out.
pub(crate) struct Derived {
    pub(crate) schema: Schema,
    pub(crate) description: String,
}

/// The pool of schemas of one connector.
pub(crate) struct Schemas {
    given: SchemaGenerator,
    got: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        Self {
            given: SchemaSettings::draft2020_12().for_deserialize().into_generator(),
            got: SchemaSettings::draft2020_12().for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// The schema of what is given to the connector: closed, and without `null` where an absent field does.
    pub(crate) fn input<T: JsonSchema>(&mut self) -> Derived {
        derived(T::json_schema(&mut self.given).to_value(), tidy_given)
    }

    /// The schema of what the connector gives: open, since a provider may add members at any time. Its references hold
    /// only once [`finish`](Self::finish) has been over them.
    pub(crate) fn output<T: JsonSchema>(&mut self) -> Derived {
        derived(T::json_schema(&mut self.got).to_value(), tidy_got)
    }

    /// Adds the definitions, and makes the references of outputs and events lead to the right ones.
    pub(crate) fn finish(&self, manifest: &mut Manifest) {
        let mut definitions = tidied(&self.given, tidy_given);
        let got = tidied(&self.got, tidy_got);
        let differing = differing(&definitions, &got);
        for (name, mut definition) in got {
            if let Value::Object(members) = &mut definition {
                rename_references(members, &differing);
            }
            let name = if differing.contains(&name) { output_name(&name) } else { name };
            definitions.insert(name, definition);
        }
        definitions.sort_keys();
        manifest.defs = definitions;
        let outputs = manifest.actions.iter_mut().map(|action| &mut action.output);
        outputs.chain(manifest.triggers.iter_mut().map(|trigger| &mut trigger.event)).for_each(|schema| {
            rename_references(schema, &differing);
        });
    }

    /// Names that several types share: which one gets which name would depend on their order.
    #[cfg(feature = "testing")]
    pub(crate) fn shared_names(&self) -> Vec<String> {
        let mut shared = Vec::new();
        for definitions in [self.given.definitions(), self.got.definitions()] {
            for name in definitions.keys() {
                let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
                if stem != name && definitions.contains_key(stem) && !shared.iter().any(|known| known == stem)
                {
                    shared.push(stem.to_owned());
                }
            }
        }
        shared
    }
}

fn derived(schema: Value, tidy: fn(&mut Map<String, Value>)) -> Derived {
    let mut members = match schema {
        Value::Object(members) => members,
        // `true` is a type that takes anything.
        _ => Map::new(),
    };
    members.shift_remove("title");
    tidy(&mut members);
    let description = members.shift_remove("description");
    Derived {
        schema: members,
        description: description.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

fn tidied(generator: &SchemaGenerator, tidy: fn(&mut Map<String, Value>)) -> Map<String, Value> {
    let mut definitions = generator.definitions().clone();
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        tidy(definition);
    }
    definitions
}

fn output_name(name: &str) -> String {
    format!("{name}Output")
}

/// The names of definitions that are not the same given and got; one that refers to such a one is not the same either.
fn differing(given: &Map<String, Value>, got: &Map<String, Value>) -> Vec<String> {
    let mut differing: Vec<String> = Vec::new();
    loop {
        let more: Vec<String> = got
            .iter()
            .filter(|(name, _)| !differing.contains(name))
            .filter(|(name, definition)| {
                given.get(*name).is_some_and(|other| other != *definition || refers(definition, &differing))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return differing;
        }
        differing.extend(more);
    }
}

fn refers(value: &Value, names: &[String]) -> bool {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str).and_then(local_name);
            reference.is_some_and(|name| names.iter().any(|known| known == name))
                || members.values().any(|member| refers(member, names))
        }
        Value::Array(items) => items.iter().any(|item| refers(item, names)),
        _ => false,
    }
}

fn rename_references(members: &mut Map<String, Value>, names: &[String]) {
    walk(members, false, &mut |members, _| {
        let name = members.get("$ref").and_then(Value::as_str).and_then(local_name);
        if let Some(name) = name.filter(|name| names.iter().any(|known| known == name)) {
            let reference = format!("#/$defs/{}", output_name(name));
            members.insert("$ref".to_owned(), Value::String(reference));
        }
    });
}

fn tidy_given(members: &mut Map<String, Value>) {
    walk(members, false, &mut |members, conditional| {
        tidy_text(members);
        tidy_numbers(members);
        drop_null(members);
        if !conditional {
            close(members);
        }
    });
}

fn tidy_got(members: &mut Map<String, Value>) {
    walk(members, false, &mut |members, _| {
        tidy_text(members);
        tidy_numbers(members);
        drop_null_of_optional(members);
    });
}

/// A doc comment is wrapped for whoever edits it; its paragraphs and lists are for whoever reads it.
fn tidy_text(members: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = members.get_mut("description") {
        *text = unwrap_lines(text);
    }
}

fn unwrap_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim) {
        let item = line.starts_with("- ") || line.starts_with("* ");
        match out.chars().last() {
            None => {}
            Some('\n') if line.is_empty() => continue,
            Some('\n') => {}
            Some(_) if line.is_empty() => out.push_str("\n\n"),
            Some(_) if item => out.push('\n'),
            Some(_) => out.push(' '),
        }
        out.push_str(line);
    }
    out.trim_end().to_owned()
}

/// What is left out when there is nothing is never `null`.
fn drop_null_of_optional(members: &mut Map<String, Value>) {
    let required = members.get("required").cloned().unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
    for (name, field) in members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let (false, Value::Object(field)) = (is_required(name), field) {
            drop_null(field);
        }
    }
}

/// Formats such as `uint32` name Rust types; the bounds beside them say what matters.
fn tidy_numbers(members: &mut Map<String, Value>) {
    let number = |format: &str| {
        let digits = format.trim_start_matches("uint").trim_start_matches("int");
        format == "float"
            || format == "double"
            || format.contains("int") && digits.chars().all(|c| c.is_ascii_digit())
    };
    if members.get("format").and_then(Value::as_str).is_some_and(number) {
        members.shift_remove("format");
    }
}

/// An absent field says what `null` would: `Option<T>` is `T`, not required. The `null` of a `Patch` stays.
fn drop_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            members.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(branches)) = members.get_mut("anyOf") {
        let null = json!({"type": "null"});
        branches.retain(|branch| *branch != null);
        if let [Value::Object(one)] = branches.as_slice() {
            let one = one.clone();
            members.shift_remove("anyOf");
            for (keyword, value) in one {
                members.entry(keyword).or_insert(value);
            }
        }
    }
    if members.get("default") == Some(&Value::Null) {
        members.shift_remove("default");
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// An object takes the fields it names and no others, so that a mistyped field is not lost without a word.
fn close(members: &mut Map<String, Value>) {
    let is_object = members.get("type").is_some_and(|kind| kind == "object");
    if !is_object
        || members.contains_key("additionalProperties")
        || members.contains_key("unevaluatedProperties")
    {
        return;
    }
    let spread = ["oneOf", "anyOf"].iter().any(|keyword| members.contains_key(*keyword));
    let keyword = if spread { "unevaluatedProperties" } else { "additionalProperties" };
    members.insert(keyword.to_owned(), Value::Bool(false));
}

/// Visits a schema and all within it; `conditional` tells those that only test or refine another one.
fn walk(
    members: &mut Map<String, Value>,
    conditional: bool,
    visitor: &mut dyn FnMut(&mut Map<String, Value>, bool),
) {
    visitor(members, conditional);
    for (keyword, value) in members.iter_mut() {
        match keyword.as_str() {
            "properties" | "patternProperties" | "$defs" | "dependentSchemas" => {
                for schema in value.as_object_mut().into_iter().flat_map(|schemas| schemas.values_mut()) {
                    if let Value::Object(schema) = schema {
                        walk(schema, conditional, visitor);
                    }
                }
            }
            "oneOf" | "anyOf" | "allOf" | "prefixItems" => {
                let conditional = conditional || keyword == "allOf";
                for schema in value.as_array_mut().into_iter().flatten() {
                    if let Value::Object(schema) = schema {
                        walk(schema, conditional, visitor);
                    }
                }
            }
            "if" | "then" | "else" | "not" | "contains" | "propertyNames" => {
                if let Value::Object(schema) = value {
                    walk(schema, true, visitor);
                }
            }
            "items" | "additionalProperties" | "unevaluatedProperties" | "unevaluatedItems" => {
                if let Value::Object(schema) = value {
                    walk(schema, conditional, visitor);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{Connector, Id, Patch, prelude::*};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        /// A number
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u32>,
    }

    /// What it is
    ///
    /// And more.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Outer {
        /// Its id
        id: Id,
        /// A note
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        note: Patch<String>,
        /// What is inside
        inner: Option<Inner>,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[schemars(transform = rest_rules)]
    struct Rest {
        /// Its size
        #[serde(default)]
        size: i64,
    }

    fn rest_rules(schema: &mut schemars::Schema) {
        schema.rule(when("size").is(1).require(["inner"]));
    }

    struct Do;

    impl Action for Do {
        const NAME: &'static str = "do";
        const TITLE: &'static str = "Do";
        const EFFECT: Effect = Effect::Reads;

        type Input = Outer;
        type Output = Outer;

        async fn run(_: &Ctx, input: Outer) -> Result<Outer> {
            Ok(input)
        }
    }

    #[test]
    fn a_wrapped_doc_comment_is_unwrapped_but_keeps_its_paragraphs_and_lists() {
        let text = "One\ntwo.\n\n\nThree\n- a\n- b\n  more\n";
        assert_eq!(unwrap_lines(text), "One two.\n\nThree\n- a\n- b more");
    }

    #[test]
    fn a_type_is_closed_when_given_and_open_when_got() {
        let connector =
            Connector::new("acme", "Acme", "0.1.0").description("x").auth(Auth::none()).action::<Do>();
        let manifest = connector.manifest();
        assert_eq!(manifest.check(), []);
        let action = &manifest.actions[0];
        assert_eq!(action.description, "What it is\n\nAnd more.");
        assert_eq!(
            Value::Object(action.input.clone()),
            json!({
                "type": "object",
                "properties": {
                    "id": {"description": "Its id", "type": ["string", "integer"]},
                    "note": {"description": "A note", "anyOf": [{"type": "string"}, {"type": "null", "title": "Clear"}]},
                    "inner": {"description": "What is inside", "$ref": "#/$defs/Inner"},
                    "size": {"description": "Its size", "type": "integer", "default": 0},
                },
                "required": ["id"],
                "allOf": [{
                    "if": {"properties": {"size": {"const": 1}}, "required": ["size"]},
                    "then": {"required": ["inner"]},
                }],
                "additionalProperties": false,
            })
        );
        assert_eq!(manifest.defs["Inner"]["additionalProperties"], false);
        assert_eq!(manifest.defs["InnerOutput"].get("additionalProperties"), None);
        assert_eq!(action.output["properties"]["inner"]["anyOf"][0]["$ref"], "#/$defs/InnerOutput");
        assert_eq!(action.output["properties"]["id"]["type"], "string");
    }
}
