//! From schema to form.

use connector_protocol::schema::resolve;
use serde_json::{Map, Value};

use super::{Choice, Constraint, Field, Form, Kind, Rule};

/// How deep a form goes. A schema that refers to itself ends as JSON there.
const MAX_DEPTH: usize = 6;

/// Makes the form of a [standalone](connector_protocol::Manifest::standalone) schema of an object.
#[must_use]
pub fn build(title: &str, description: &str, schema: &Value) -> Form {
    let empty = Map::new();
    let builder = Builder { defs: schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty) };
    let (fields, rules) = builder.object(schema, 0);
    Form { title: title.to_owned(), description: description.to_owned(), fields, rules }
}

struct Builder<'a> {
    defs: &'a Map<String, Value>,
}

impl Builder<'_> {
    fn object(&self, schema: &Value, depth: usize) -> (Vec<Field>, Vec<Rule>) {
        let required: Vec<&str> = strings(schema.get("required"));
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| self.field(name, schema, required.contains(&name.as_str()), depth))
            .collect();
        let mut rules: Vec<Rule> =
            schema.get("allOf").and_then(Value::as_array).into_iter().flatten().filter_map(rule).collect();
        rules.extend(not_together(schema));
        (fields, rules)
    }

    fn field(&self, name: &str, schema: &Value, required: bool, depth: usize) -> Field {
        let (target, clearable) = self.target(schema);
        // What stands beside a reference goes before what stands behind it.
        let either = |keyword: &str| schema.get(keyword).or_else(|| target.get(keyword));
        let text = |keyword: &str| either(keyword).and_then(Value::as_str).map(str::to_owned);
        let flag = |keyword: &str| either(keyword) == Some(&Value::Bool(true));
        let ui = |member: &str| {
            [schema, target].iter().find_map(|schema| schema.get("x-ui")?.get(member)).and_then(Value::as_str)
        };
        Field {
            name: name.to_owned(),
            label: text("title").unwrap_or_else(|| humanise(name)),
            help: text("description").unwrap_or_default(),
            required,
            secret: flag("x-secret"),
            deprecated: flag("deprecated"),
            advanced: ui("visibility") == Some("advanced"),
            group: ui("group").map(str::to_owned),
            default: either("default").cloned(),
            examples: either("examples").and_then(Value::as_array).cloned().unwrap_or_default(),
            unit: ui("unit").map(str::to_owned),
            clearable,
            kind: self.kind(target, ui("widget"), text("x-timezone-field"), depth),
        }
    }

    /// The schema that a field is really about: behind a reference, and beside a `null` that clears.
    fn target<'s>(&'s self, schema: &'s Value) -> (&'s Value, bool) {
        let target = resolve(schema, self.defs);
        let branches = target.get("anyOf").and_then(Value::as_array);
        if let Some([value, null]) = branches.map(Vec::as_slice)
            && null.get("type").is_some_and(|kind| kind == "null")
        {
            return (resolve(value, self.defs), true);
        }
        (target, false)
    }

    fn kind(
        &self,
        schema: &Value,
        widget: Option<&str>,
        timezone_field: Option<String>,
        depth: usize,
    ) -> Kind {
        if let Some(choices) = choices(schema) {
            return Kind::Choice { choices };
        }
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let format = schema.get("format").and_then(Value::as_str);
        match (type_of(schema), widget, format) {
            (_, Some("time-zone"), _) => Kind::TimeZone,
            (_, Some("date-time"), _) | (Some("string"), _, Some("date-time")) => {
                Kind::DateTime { timezone_field }
            }
            (Some("string"), _, Some("date")) => Kind::Date,
            (Some("string"), widget, format) => Kind::Text {
                multiline: widget == Some("textarea"),
                format: format.map(str::to_owned),
                min_length: number("minLength"),
                max_length: number("maxLength"),
                pattern: schema.get("pattern").and_then(Value::as_str).map(str::to_owned),
            },
            (Some(kind @ ("integer" | "number")), ..) => Kind::Number {
                integer: kind == "integer",
                minimum: schema.get("minimum").cloned(),
                maximum: schema.get("maximum").cloned(),
            },
            (Some("boolean"), ..) => Kind::Toggle,
            (Some("array"), ..) if depth < MAX_DEPTH => match schema.get("items") {
                Some(items) => Kind::List {
                    item: Box::new(self.field("", items, true, depth + 1)),
                    min_items: number("minItems"),
                    max_items: number("maxItems"),
                },
                None => Kind::Json,
            },
            (Some("object"), ..) if depth < MAX_DEPTH && schema.get("properties").is_some() => {
                let (fields, rules) = self.object(schema, depth + 1);
                Kind::Object { fields, rules }
            }
            _ => Kind::Json,
        }
    }
}

/// The type to ask for. Of several, the one that people write: a list rather than its text, text rather than a number.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(many) => {
            let many: Vec<&str> = many.iter().filter_map(Value::as_str).collect();
            ["array", "object", "string", "number", "integer", "boolean"]
                .into_iter()
                .find(|kind| many.contains(kind))
        }
        _ => None,
    }
}

fn choices(schema: &Value) -> Option<Vec<Choice>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let choice = |value: &Value| Choice { value: value.clone(), title: plain(value), help: None };
        return Some(values.iter().map(choice).collect());
    }
    let branches = schema.get("oneOf")?.as_array()?;
    let choice = |branch: &Value| {
        let value = branch.get("const")?.clone();
        let text = |keyword: &str| branch.get(keyword).and_then(Value::as_str).map(str::to_owned);
        Some(Choice {
            title: text("title").unwrap_or_else(|| plain(&value)),
            help: text("description"),
            value,
        })
    };
    branches.iter().map(choice).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `start_time` as `Start time`.
fn humanise(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut characters = words.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + characters.as_str())
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rule(condition: &Value) -> Option<Rule> {
    if let Some(together) = not_together(condition) {
        return Some(together);
    }
    let test = condition.get("if")?;
    let (field, is) = match test.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let (field, test) = properties.iter().next().filter(|_| properties.len() == 1)?;
            let values = match (test.get("const"), test.get("enum").and_then(Value::as_array)) {
                (Some(value), _) => vec![value.clone()],
                (None, Some(values)) => values.clone(),
                (None, None) => return None,
            };
            (field.clone(), values)
        }
        None => (strings(test.get("required")).first().map(|field| (*field).to_owned())?, Vec::new()),
    };
    let branch = |word: &str| {
        let branch = condition.get(word);
        let require = owned(&strings(branch.and_then(|branch| branch.get("required"))));
        let properties = branch.and_then(|branch| branch.get("properties")).and_then(Value::as_object);
        let forbid = properties.into_iter().flatten().filter(|(_, schema)| **schema == Value::Bool(false));
        (require, forbid.map(|(name, _)| name.clone()).collect::<Vec<_>>())
    };
    let ((require, forbid), (otherwise_require, otherwise_forbid)) = (branch("then"), branch("else"));
    let narrowed = condition.pointer("/then/properties").and_then(Value::as_object);
    let constrain =
        narrowed.into_iter().flatten().filter_map(|(name, schema)| constraint(name, schema)).collect();
    Some(Rule::When { field, is, require, forbid, constrain, otherwise_require, otherwise_forbid })
}

/// What a schema that applies under a condition asks of a field, or of the fields in it: `settings.approval_type`.
fn constraint(name: &str, schema: &Value) -> Option<Constraint> {
    let schema = schema.as_object()?;
    if let Some((inner, schema)) =
        schema.get("properties").and_then(Value::as_object).and_then(|p| p.iter().next())
    {
        return constraint(&format!("{name}.{inner}"), schema);
    }
    let values = match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(value), _) => vec![value.clone()],
        (None, values) => values.cloned().unwrap_or_default(),
    };
    let messages = schema.get("x-ui").and_then(|ui| ui.get("errors")).and_then(Value::as_object);
    Some(Constraint {
        field: name.to_owned(),
        values,
        minimum: schema.get("minimum").cloned(),
        maximum: schema.get("maximum").cloned(),
        messages: messages
            .into_iter()
            .flatten()
            .filter_map(|(_, text)| text.as_str())
            .map(str::to_owned)
            .collect(),
    })
}

fn not_together(schema: &Value) -> Option<Rule> {
    let fields = owned(&strings(schema.get("not")?.get("required")));
    let message = schema.pointer("/x-ui/errors/not").and_then(Value::as_str).map(str::to_owned);
    (fields.len() > 1).then_some(Rule::NotTogether { fields, message })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_field_is_recognised() {
        let form = build(
            "T",
            "D",
            &json!({
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 5, "description": "A name"},
                    "notes": {"type": "string", "x-ui": {"widget": "textarea", "group": "More"}},
                    "count": {"type": "integer", "minimum": 1, "default": 3},
                    "on": {"type": "boolean"},
                    "size": {"$ref": "#/$defs/Size", "description": "How large"},
                    "id": {"type": ["string", "integer"]},
                    "start": {"type": "string", "x-ui": {"widget": "date-time"}, "x-timezone-field": "zone"},
                    "zone": {"type": "string", "x-ui": {"widget": "time-zone"}},
                    "day": {"type": "string", "format": "date"},
                    "note": {"anyOf": [{"type": "string", "x-secret": true}, {"type": "null"}]},
                    "people": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/Person"}},
                    "any": {},
                },
                "allOf": [
                    {"if": {"properties": {"on": {"const": true}}, "required": ["on"]}, "then": {"required": ["size"], "properties": {"count": {"maximum": 2}}}, "else": {"properties": {"zone": false}}},
                    {"not": {"required": ["count", "day"]}, "x-ui": {"errors": {"not": "one of them"}}},
                ],
                "$defs": {
                    "Size": {"type": "string", "description": "x", "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "description": "Big"}]},
                    "Person": {"type": "object", "required": ["email"], "properties": {"email": {"type": "string", "format": "email"}}},
                },
            }),
        );
        let kinds: Vec<String> = form
            .fields
            .iter()
            .map(|field| {
                let mut value = serde_json::to_value(field).unwrap();
                let members = value.as_object_mut().unwrap();
                members.retain(|name, _| !["label", "help"].contains(&name.as_str()));
                value.to_string()
            })
            .collect();
        assert_eq!(
            kinds,
            [
                r#"{"name":"name","required":true,"kind":"text","max_length":5}"#,
                r#"{"name":"notes","required":false,"group":"More","kind":"text","multiline":true}"#,
                r#"{"name":"count","required":false,"default":3,"kind":"number","integer":true,"minimum":1}"#,
                r#"{"name":"on","required":false,"kind":"toggle"}"#,
                r#"{"name":"size","required":false,"kind":"choice","choices":[{"value":"s","title":"Small"},{"value":"l","title":"l","help":"Big"}]}"#,
                r#"{"name":"id","required":false,"kind":"text"}"#,
                r#"{"name":"start","required":false,"kind":"date_time","timezone_field":"zone"}"#,
                r#"{"name":"zone","required":false,"kind":"time_zone"}"#,
                r#"{"name":"day","required":false,"kind":"date"}"#,
                r#"{"name":"note","required":false,"secret":true,"clearable":true,"kind":"text"}"#,
                r#"{"name":"people","required":false,"kind":"list","item":{"name":"","label":"","required":true,"kind":"object","fields":[{"name":"email","label":"Email","required":true,"kind":"text","format":"email"}]},"max_items":2}"#,
                r#"{"name":"any","required":false,"kind":"json"}"#,
            ]
        );
        assert_eq!(form.fields[4].help, "How large");
        assert_eq!(
            form.rules,
            [
                Rule::When {
                    field: "on".into(),
                    is: vec![json!(true)],
                    require: vec!["size".into()],
                    forbid: vec![],
                    constrain: vec![Constraint {
                        field: "count".into(),
                        values: vec![],
                        minimum: None,
                        maximum: Some(json!(2)),
                        messages: vec![],
                    }],
                    otherwise_require: vec![],
                    otherwise_forbid: vec!["zone".into()],
                },
                Rule::NotTogether {
                    fields: vec!["count".into(), "day".into()],
                    message: Some("one of them".into())
                },
            ]
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let form = build(
            "T",
            "",
            &json!({
                "properties": {"child": {"$ref": "#/$defs/Node"}},
                "$defs": {"Node": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}},
            }),
        );
        assert!(serde_json::to_string(&form).unwrap().contains(r#""kind":"json""#));
    }
}
