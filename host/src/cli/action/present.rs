//! How an action's output looks, and the request of a rehearsal.

use connector_protocol::schema::resolve;
use jackfield::{Error, ErrorKind, Result, api::Output, redact};
use serde_json::{Map, Value};

use super::Declared;
use crate::cli::{
    output::{self, Format, Printing},
    query::Query,
};

/// How many columns a list has at most, where its author has not chosen any.
const COLUMNS: usize = 7;

/// Prints the output, and gives how many items there were.
pub(super) fn output(
    printing: &Printing,
    query: Option<&Query>,
    declared: &Declared,
    output: &Output,
) -> Result<usize> {
    let unreadable = |error: serde_json::Error| {
        Error::new(ErrorKind::Internal, format!("the output cannot be read: {error}"))
    };
    let mut value: Value = serde_json::from_str(output.output.get()).map_err(unreadable)?;
    let paging = declared.action().paging.as_ref().map(|paging| paging.items.clone());
    // An output that is a list of things as a whole is one without pages.
    let things = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    let pointer = paging.or_else(|| things(&value).then(String::new));
    let count = |value: &Value| {
        let items = pointer.as_ref().and_then(|pointer| value.pointer(pointer)).and_then(Value::as_array);
        items.map(|items| (items.clone(), items.len()))
    };
    if query.is_some() || printing.output == Format::Json {
        let items = count(&value).map_or(0, |(_, len)| len);
        printing.print(query, &value, &[], || {})?;
        return Ok(items);
    }
    let schema = declared.manifest.standalone(&declared.action().output);
    // A table is read over the shoulder, and is copied into tickets.
    let masked = if printing.output == Format::Table { redact::mask_marked(&schema, &mut value) } else { 0 };
    match (printing.output, count(&value)) {
        (Format::Ndjson, Some((items, len))) => {
            items.iter().for_each(output::json_line);
            Ok(len)
        }
        (Format::Name, Some((items, len))) => {
            items.iter().filter_map(name_of).for_each(|name| output::data(&name));
            Ok(len)
        }
        (Format::Table, Some((items, len))) => {
            let item = pointer.as_deref().and_then(|pointer| schema_at(&schema, pointer)).cloned();
            print_items(&items, item.as_ref());
            if masked > 0 {
                output::say("secrets are masked; -o json shows them");
            }
            Ok(len)
        }
        (Format::Name, None) => {
            name_of(&value).iter().for_each(|name| output::data(name));
            Ok(0)
        }
        (Format::Table, None) => {
            let all = lines(&value);
            let chosen = important(definition(&schema));
            if let Some(members) = value.as_object_mut()
                && members.keys().any(|name| chosen.contains(name))
            {
                members.retain(|name, _| chosen.contains(name));
            }
            let shown = lines(&value);
            print_lines(&shown);
            match all.len() - shown.len() {
                0 if masked == 0 => {}
                0 => output::say("secrets are masked; -o json shows them"),
                more => output::say(&format!(
                    "-o json shows {}, and secrets as they are",
                    output::count(more, "more value")
                )),
            }
            Ok(0)
        }
        (_, None) => {
            output::json_line(&value);
            Ok(0)
        }
        (Format::Json, Some((_, len))) => Ok(len),
    }
}

/// What a schema that stands alone says at its top.
fn definition(root: &Value) -> &Value {
    root.get("$defs").and_then(Value::as_object).map_or(root, |defs| resolve(root, defs))
}

/// The schema of the items of a list, standing alone.
fn schema_at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    let defs = root.get("$defs").and_then(Value::as_object)?;
    let mut at = definition(root);
    for step in pointer.split('/').skip(1) {
        at = resolve(at.get("properties")?.get(step)?, defs);
    }
    at.get("items").map(|items| resolve(items, defs))
}

/// What names a thing: the first member that is an id by its name, as the author has put them in order; else its name.
fn name_of(value: &Value) -> Option<String> {
    let members = value.as_object()?;
    let id = members.iter().find(|(name, _)| *name == "id" || name.ends_with("_id"));
    let named = id.map(|(_, value)| value).or_else(|| members.get("name"))?;
    Some(output::one_line(&output::cell(named))).filter(|name| !name.is_empty())
}

/// Every value on a line of its own, under the name by which `--set` would know it.
fn lines(value: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    flatten(String::new(), value, &mut lines);
    lines
}

fn print_lines(lines: &[(String, String)]) {
    if let [(name, text)] = lines
        && name.is_empty()
    {
        return output::data(&output::one_line(text));
    }
    output::data(&output::pairs(lines.iter().map(|(name, text)| (name.as_str(), text.clone()))));
}

fn flatten(name: String, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(format!("{name}{dot}{member}"), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(format!("{name}[{index}]"), item, lines);
            }
        }
        Value::Array(items) => {
            lines.push((name, items.iter().map(output::cell).collect::<Vec<_>>().join(", ")));
        }
        plain => lines.push((name, output::cell(plain))),
    }
}

/// A list as a table: of the members that its author calls important, else of those that are plain values in the first
/// items, as many as fit.
fn print_items(items: &[Value], schema: Option<&Value>) {
    let mut columns = schema.map(important).unwrap_or_default();
    if columns.is_empty() {
        for (name, value) in items.iter().take(20).filter_map(Value::as_object).flatten() {
            if !value.is_object() && !value.is_array() && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        columns.truncate(COLUMNS);
    }
    let headers: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    output::rows(
        &headers,
        items.iter().map(|item| columns.iter().map(|name| output::cell(&item[name])).collect()),
    );
}

/// The members of an item that are to be columns.
fn important(schema: &Value) -> Vec<String> {
    let is_important = |field: &Value| {
        field
            .get("x-ui")
            .and_then(|ui| ui.get("visibility"))
            .is_some_and(|visibility| visibility == "important")
    };
    let fields = schema.get("properties").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .filter(|(_, field)| is_important(field))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Prints the request that would be sent.
pub(super) fn request(printing: &Printing, query: Option<&Query>, request: &Value) -> Result<()> {
    if request.is_null() {
        output::say("it would send nothing");
        return Ok(());
    }
    let url = output::cell(&request["url"]);
    printing.print(query, request, std::slice::from_ref(&url), || {
        let mut text = format!("{} {url}\n", output::cell(&request["method"]));
        let empty = Map::new();
        for (name, value) in request["headers"].as_object().unwrap_or(&empty) {
            text.push_str(&format!("{name}: {}\n", output::one_line(&output::cell(value))));
        }
        if let Some(body) = request.get("body") {
            let body = if body.is_string() { output::cell(body) } else { output::pretty(body) };
            text.push_str(&format!("\n{body}\n"));
        }
        output::data(&text);
        output::say("nothing was sent");
    })
}
