//! Their ActionKit: actions as tools for a model, under names of their form, with JSON Schemas that stand alone.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State as Shared,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind, Manifest, Result, did_you_mean, manifest::Action};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    super::{
        State,
        answer::{Asked, Body, Problem},
        guard::Tenant,
        routes::{Gives, invocations},
    },
    accounts, in_their_words, named_credential, set_up, shapes,
};
use crate::api::Invoke;

/// Under what an invocation's record is found.
const INVOCATION: HeaderName = HeaderName::from_static("jackfield-invocation");

/// The one form in which tools are described.
const FORMAT: &str = "json_schema";

/// What somebody wants to see.
#[derive(Deserialize)]
pub(in crate::server) struct Wanted {
    format: Option<String>,
    integrations: Option<String>,
    #[serde(default)]
    limit_to_available: bool,
}

/// What can be done.
#[derive(Serialize, JsonSchema)]
pub(in crate::server) struct Tools {
    /// Tools, by the type of integration.
    actions: BTreeMap<String, Vec<Tool>>,
}

/// A tool, as models take it.
#[derive(Serialize, JsonSchema)]
struct Tool {
    r#type: &'static str,
    function: Function,
}

#[derive(Serialize, JsonSchema)]
struct Function {
    name: String,
    description: String,
    /// The JSON Schema of its parameters.
    parameters: Value,
}

/// What is to be done.
#[derive(Deserialize, JsonSchema)]
pub(in crate::server) struct Call {
    /// The tool.
    action: String,
    /// Its parameters.
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// An action's name in their form: `ZOOM_CREATE_MEETING`.
fn tool_name(manifest: &Manifest, action: &Action) -> String {
    format!("{}_{}", manifest.id, action.name).replace('-', "_").to_ascii_uppercase()
}

fn tool(manifest: &Manifest, action: &Action) -> Tool {
    let mut parameters = manifest.standalone(&action.input);
    only_json_schema(&mut parameters);
    let description = match &action.description {
        text if text.is_empty() => action.title.clone(),
        text => text.clone(),
    };
    Tool {
        r#type: "function",
        function: Function { name: tool_name(manifest, action), description, parameters },
    }
}

/// Takes our own keywords out of a schema. What is a name or a value there stays, however it is called.
fn only_json_schema(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|keyword, _| !keyword.starts_with("x-"));
            for (keyword, value) in members.iter_mut() {
                match keyword.as_str() {
                    "default" | "const" | "enum" | "examples" | "required" => {}
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                        let named = value.as_object_mut().into_iter().flat_map(Map::values_mut);
                        named.for_each(only_json_schema);
                    }
                    _ => only_json_schema(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(only_json_schema),
        _ => {}
    }
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Wanted>,
) -> Gives<Tools> {
    if let Some(format) = wanted.format.as_deref().filter(|format| *format != FORMAT) {
        let text = format!("tools are described as `{FORMAT}`, not as `{}`", format.escape_debug());
        return Err(Problem(Error::new(ErrorKind::Usage, text)));
    }
    let mut known = set_up(&state, &tenant.project).await?;
    if let Some(named) = &wanted.integrations {
        let named: Vec<&str> = named.split(',').map(str::trim).collect();
        known.retain(|one| named.contains(&one.integration.connector.as_str()));
    }
    if wanted.limit_to_available {
        let own = accounts(&state, &tenant.scope(), None).await?;
        known.retain(|one| {
            own.iter()
                .any(|account| account.connector == one.integration.connector && shapes::is_usable(account))
        });
    }
    let actions = known.into_iter().map(|one| {
        let tools = one.manifest.actions.iter().map(|action| tool(&one.manifest, action)).collect();
        (one.integration.connector, tools)
    });
    Ok(Json(Tools { actions: actions.collect() }))
}

/// The action that a tool's name stands for, as `connector.action`.
async fn find(state: &State, project: &str, name: &str) -> Result<String> {
    let known = set_up(state, project).await?;
    let all: Vec<(String, String)> = known
        .iter()
        .flat_map(|one| one.manifest.actions.iter().map(|action| (&one.manifest, action)))
        .map(|(manifest, action)| (tool_name(manifest, action), format!("{}.{}", manifest.id, action.name)))
        .collect();
    let mut fitting = all.iter().filter(|(tool, _)| tool == name);
    match (fitting.next(), fitting.next()) {
        (Some((_, action)), None) => Ok(action.clone()),
        // Two connectors may be called so that their actions cannot be told apart.
        (Some((_, one)), Some((_, other))) => {
            let text = format!("`{name}` may be {one} or {other}");
            Err(Error::new(ErrorKind::Conflict, text)
                .hint("run it by its own name: POST /v1/connections/{id}/actions/{name}"))
        }
        (None, _) => {
            let short: String = name.escape_debug().take(80).collect();
            let meant = did_you_mean(name, all.iter().map(|(tool, _)| tool.as_str()));
            let hint = meant
                .map_or("see which there are: GET /projects/{project}/actions".to_owned(), |meant| {
                    format!("did you mean `{meant}`?")
                });
            Err(Error::new(ErrorKind::Unknown, format!("there is no action `{short}`")).hint(hint))
        }
    }
}

pub(in crate::server) async fn run(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    headers: HeaderMap,
    Body(call): Body<Call>,
) -> Result<Response, Problem> {
    let connection = named_credential(&headers)?;
    let action = find(&state, &tenant.project, &call.action).await?;
    let request = Invoke { action, input: Value::Object(call.parameters), connection, ..Invoke::default() };
    let caller = tenant.caller();
    // In a task of its own: what was begun is recorded to its end, also if nobody waits for it any more.
    let done = tokio::spawn(async move { invocations::run_whole(&state, caller, request).await });
    let done = done.await.map_err(|_| Error::new(ErrorKind::Internal, "the invocation broke off"))?;
    let output = done.map_err(in_their_words)?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = ([kind], output.output.get().to_owned()).into_response();
    if let Some(id) = output.id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(INVOCATION, id);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn our_keywords_go_and_whatever_else_is_called_like_one_stays() {
        let mut schema = json!({
            "type": "object", "x-ui": {"groups": []}, "required": ["x-a"],
            "properties": {"x-a": {"type": "string", "x-secret": true, "default": "x", "examples": [{"x-b": 1}]}},
            "allOf": [{"if": {"x-ui": 1}, "then": {"properties": {"b": {"x-options": {}}}}}],
            "dependentSchemas": {"x-a": {"x-ui": {}, "const": {"x-c": 2}}},
            "$defs": {"X": {"enum": [{"x-d": 3}], "x-expr": {}}},
        });
        only_json_schema(&mut schema);
        assert_eq!(
            schema,
            json!({
                "type": "object", "required": ["x-a"],
                "properties": {"x-a": {"type": "string", "default": "x", "examples": [{"x-b": 1}]}},
                "allOf": [{"if": {}, "then": {"properties": {"b": {}}}}],
                "dependentSchemas": {"x-a": {"const": {"x-c": 2}}},
                "$defs": {"X": {"enum": [{"x-d": 3}]}},
            })
        );
    }
}
