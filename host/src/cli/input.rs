//! An action's input, as it is given on the command line: a file, and single fields. Whether it is right is not said here.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use connector_protocol::{json, schema::resolve};
use jackfield::{
    Error, ErrorKind, Result,
    forms::{Form, submitted},
    system,
};
use serde_json::{Map, Value};

use super::completion;

/// How large an input file may be, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How many items a list may be given on the command line.
const MAX_INDEX: usize = 1000;

/// What an input is made of: a file first, then single fields, in their order.
#[derive(Args)]
pub(crate) struct Input {
    /// Read the input from a file, JSON or what a form's page has saved; `-` for standard input
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    file: Option<PathBuf>,
    /// Set a field, such as topic=Demo, settings.waiting_room=true or list[0].email=…; FIELD=@FILE takes the value from a file, FIELD=@@x
    /// is @x
    #[arg(long = "set", value_name = "FIELD=VALUE", help_heading = "Input", add = completion::fields())]
    sets: Vec<String>,
    /// Set a field to a JSON value, such as 'settings={"waiting_room": true}' or agenda=null
    #[arg(long = "set-json", value_name = "FIELD=JSON", help_heading = "Input", add = completion::fields())]
    json_sets: Vec<String>,
}

impl Input {
    /// Whether the file is standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.as_os_str() == "-")
    }

    /// The input, as far as it was given.
    pub(crate) fn read(&self, schema: &Value, form: &Form) -> Result<Value> {
        self.read_with(schema, &|| form.clone())
    }

    /// The input, as far as it was given. The form is needed only for what a page has saved.
    pub(crate) fn read_with(&self, schema: &Value, form: &dyn Fn() -> Form) -> Result<Value> {
        let mut input = match &self.file {
            Some(path) => read_file(path, form)?,
            None => Value::Object(Map::new()),
        };
        for assignment in &self.sets {
            let assignment = whole("--set", assignment)?;
            set(&mut input, schema, assignment)?;
        }
        for assignment in &self.json_sets {
            let (path, text) = split(whole("--set-json", assignment)?)?;
            let value = json::read_once(text.as_bytes()).map_err(|error| {
                let path = path.escape_debug();
                usage(format!("--set-json: the value of `{path}` is not JSON: {}", words(&error)))
                    .hint(format!("a text needs no JSON: --set {path}=VALUE"))
            })?;
            put(&mut input, path, &steps(path)?, value)?;
        }
        Ok(input)
    }
}

fn usage(text: String) -> Error {
    Error::new(ErrorKind::Usage, text)
}

/// Reads a file, or standard input for `-`: JSON, or what a form's page has saved.
fn read_file(path: &Path, form: &dyn Fn() -> Form) -> Result<Value> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = read_all(path).map_err(|error| {
        usage(format!("cannot read {name}: {}", system::words(&error)))
            .hint("-f takes the file that the input is in, and - for standard input")
    })?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Err(usage(format!("{name} is empty"))
            .hint("it holds the input as JSON: an object, such as {\"topic\": \"Demo\"}"));
    }
    if is_submitted(&text) {
        return Ok(submitted::value(&form(), &submitted::pairs(&text), None));
    }
    json::read_once(&bytes).map_err(|error| {
        if error.is_data() {
            return usage(format!("{name}: {error}")).hint("keep one of the two");
        }
        let hint = "it holds the input as JSON: an object, such as {\"topic\": \"Demo\"}";
        usage(format!("{name} is not JSON: {}", words(&error))).hint(hint)
    })
}

/// Whether a text is what a page sends: names of fields, which begin with a slash, and their values; or an address with
/// them behind it.
fn is_submitted(text: &str) -> bool {
    let text = text.trim_start();
    let pairs = text.split_once('?').filter(|_| !text.starts_with('{')).map_or(text, |(_, query)| query);
    pairs.starts_with("%2F")
}

/// What the reader of JSON says, without its own vocabulary.
fn words(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_eof() { format!("it ends too early, at {place}") } else { format!("see {place}") }
}

fn read_all(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("has more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// Sets a field of the input, from `path=value`. The value is what the field's type makes of it: text stays text.
/// `@file` takes the value from a file.
fn set(input: &mut Value, schema: &Value, assignment: &str) -> Result<()> {
    let (path, value) = split(assignment)?;
    let steps = steps(path)?;
    let value = match value.strip_prefix('@') {
        None => value.to_owned(),
        Some(literal) if literal.starts_with('@') => literal.to_owned(),
        Some(file) => {
            let bytes = read_all(Path::new(file)).map_err(|error| {
                usage(format!("`{path}`: cannot read {file}: {}", system::words(&error)))
                    .hint("@ takes the value from a file; a value that begins with @ is written @@")
            })?;
            let text =
                String::from_utf8(bytes).map_err(|_| usage(format!("`{path}`: {file} is not text")))?;
            // The line break at the end of a file belongs to the file.
            text.strip_suffix('\n')
                .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text))
                .to_owned()
        }
    };
    let value = typed(schema_at(schema, &steps), &value);
    put(input, path, &steps, value)
}

fn put(input: &mut Value, path: &str, steps: &[Step], value: Value) -> Result<()> {
    let mut at = input;
    for step in steps {
        at = match step {
            Step::Name(name) => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                let members = at.as_object_mut().ok_or_else(|| {
                    usage(format!(
                        "`{path}`: what was to hold `{name}` has a value already that has no fields"
                    ))
                    .hint("set either the whole or what is in it, not both")
                })?;
                members.entry(name.clone()).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let items = at.as_array_mut().ok_or_else(|| {
                    usage(format!("`{path}`: what was to hold [{index}] has a value already that is no list"))
                        .hint("set either the whole or what is in it, not both")
                })?;
                if *index > items.len() || *index > MAX_INDEX {
                    let (next, most) = (items.len(), MAX_INDEX);
                    let text = if *index > most {
                        format!("`{path}`: a list has {most} items at most on the command line")
                    } else {
                        format!("`{path}`: items come one after another, and the next one is [{next}]")
                    };
                    return Err(usage(text).hint("a long list is easier in a file: -f FILE"));
                }
                if *index == items.len() {
                    items.push(Value::Null);
                }
                &mut items[*index]
            }
        };
    }
    *at = value;
    Ok(())
}

/// An assignment that has both its parts.
fn whole<'a>(flag: &str, assignment: &'a str) -> Result<&'a str> {
    split(assignment).map_err(|error| {
        // A field that was named alone lacks only its value.
        let name = if assignment.contains('=') { "FIELD" } else { assignment };
        error.hint(format!("give the field and its value: {flag} {}=VALUE", name.escape_debug()))
    })?;
    Ok(assignment)
}

/// Splits `name=value`.
pub(crate) fn split(assignment: &str) -> Result<(&str, &str)> {
    assignment
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| usage(format!("`{}` is not NAME=VALUE", assignment.escape_debug())))
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

fn steps(path: &str) -> Result<Vec<Step>> {
    let bad = || {
        usage(format!(
            "`{}` is not a field; fields look like settings.meeting_invitees[0].email",
            path.escape_debug()
        ))
    };
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return Err(bad());
        }
        steps.push(Step::Name(name.to_owned()));
        while !rest.is_empty() {
            let (index, after) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(bad)?;
            steps.push(Step::Index(index.parse().map_err(|_| bad())?));
            rest = after;
        }
    }
    Ok(steps)
}

/// The schema of a field, if the path leads to one.
fn schema_at<'a>(root: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    static NONE: Value = Value::Null;
    let empty = NONE.as_object();
    let defs = root.get("$defs").and_then(Value::as_object).or(empty);
    let follow = |schema: &'a Value| defs.map_or(schema, |defs| resolve(schema, defs));
    let mut at = follow(root);
    for step in steps {
        let next = match step {
            Step::Name(name) => at.get("properties")?.get(name)?,
            Step::Index(_) => at.get("items")?,
        };
        at = follow(next);
    }
    Some(at)
}

/// What a text on the command line means for a field. What does not fit stays text, for validation to name.
fn typed(schema: Option<&Value>, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let as_json = || json::read::<Value>(text.as_bytes()).ok();
    let Some(schema) = schema else { return as_text() };
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        // A text that may be cleared, and the like.
        _ => schema
            .get("anyOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|branch| branch.get("type")?.as_str())
            .collect(),
    };
    let structured = text.starts_with(['[', '{']);
    if (types.contains(&"array") || types.contains(&"object"))
        && let Some(value) = as_json().filter(|_| structured)
    {
        return value;
    }
    if types.contains(&"string") {
        return as_text();
    }
    let fits = |value: &Value| match value {
        Value::Number(_) => types.iter().any(|kind| ["integer", "number"].contains(kind)),
        Value::Bool(_) => types.contains(&"boolean"),
        _ => false,
    };
    as_json().filter(|value| fits(value)).unwrap_or_else(as_text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {
                "topic": {"type": "string"}, "count": {"type": "integer"}, "on": {"type": "boolean"},
                "id": {"type": ["string", "integer"]}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "hosts": {"type": ["array", "string"]}, "inner": {"$ref": "#/$defs/Inner"},
                "kind": {"$ref": "#/$defs/Kind"},
            },
            "$defs": {
                "Inner": {"properties": {"list": {"type": "array", "items": {"properties": {"email": {"type": "string"}, "n": {"type": "number"}}}}}},
                "Kind": {"type": "integer", "oneOf": [{"const": 8}]},
            },
        })
    }

    #[test]
    fn a_value_is_what_its_field_makes_of_it() {
        for (assignment, expected) in [
            ("topic=Demo", json!({"topic": "Demo"})),
            ("topic=123", json!({"topic": "123"})),
            ("topic=a=b {{x}}", json!({"topic": "a=b {{x}}"})),
            ("topic=", json!({"topic": ""})),
            ("count=5", json!({"count": 5})),
            ("count=five", json!({"count": "five"})),
            ("kind=8", json!({"kind": 8})),
            ("on=true", json!({"on": true})),
            ("on=yes", json!({"on": "yes"})),
            ("id=92674392836", json!({"id": "92674392836"})),
            ("note=null", json!({"note": "null"})),
            ("hosts=a@b", json!({"hosts": "a@b"})),
            (r#"hosts=["a","b"]"#, json!({"hosts": ["a", "b"]})),
            ("inner.list[0].email=1", json!({"inner": {"list": [{"email": "1"}]}})),
            ("inner.list[0].n=1.5", json!({"inner": {"list": [{"n": 1.5}]}})),
            (r#"inner={"list":[]}"#, json!({"inner": {"list": []}})),
            ("unknown=5", json!({"unknown": "5"})),
        ] {
            let mut input = json!({});
            // An object given as JSON needs a type to be taken for one.
            let mut schema = schema();
            schema["$defs"]["Inner"]["type"] = json!("object");
            set(&mut input, &schema, assignment).unwrap();
            assert_eq!(input, expected, "{assignment}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_told() {
        let mut input = json!({"topic": "x", "inner": {"list": []}});
        for (assignment, expected) in [
            ("topic", "`topic` is not NAME=VALUE"),
            ("=x", "`=x` is not NAME=VALUE"),
            ("a..b=x", "`a..b` is not a field"),
            ("a[x]=1", "`a[x]` is not a field"),
            ("a[0=1", "`a[0` is not a field"),
            ("topic.x=1", "`topic.x`: what was to hold `x` has a value already that has no fields"),
            ("inner.list[2]=1", "`inner.list[2]`: items come one after another, and the next one is [0]"),
            ("inner[0]=1", "what was to hold [0] has a value already that is no list"),
        ] {
            let error = set(&mut input, &schema(), assignment).unwrap_err();
            assert!(error.message.contains(expected), "{assignment}: {error}");
        }
    }
}
