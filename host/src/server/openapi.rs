//! The OpenAPI 3.1 document, made of the [`table`](super::table): JSON Schema 2020-12 is its language of shapes, and that of our
//! types.

use axum::http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    guard::Access,
    routes::invocations::MAX_KEY,
    table::{Route, table},
};

/// What an error is called that is answered.
const PROBLEM: &str = "ProblemDetails";

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in table() {
        let operation = operation(&route, &mut generator);
        let path = route.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let error = generator.subschema_for::<connector_protocol::Error>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert(
        // Not to be taken for what an error says of single fields, which has the name that is nearer at hand.
        PROBLEM.to_owned(),
        json!({
            "description": "An error, by RFC 9457.",
            "allOf": [error],
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
            },
            "required": ["type", "title", "status"],
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Jackfield",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Connectors: their actions, the accounts that are connected, and what was run.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's token, a user's token for development, or a JWT that the app has signed for a user (RS256 or EdDSA).",
                },
            },
        },
        "security": [{"token": []}],
    })
}

fn operation(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for name in route.path.split(['{', '}']).skip(1).step_by(2) {
        let name = name.trim_start_matches('*');
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}));
    }
    for parameter in &route.query {
        let schema = without_null((parameter.shape)(generator).to_value());
        parameters.push(json!({
            "name": parameter.name, "in": "query", "required": parameter.required, "description": parameter.about, "schema": schema,
        }));
    }
    if matches!(route.access, Access::User | Access::Operator) {
        parameters.push(json!({
            "name": "Jackfield-Project", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The project, where there are several and the token is not of one.",
        }));
    }
    if route.keyed {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
            "description": "Makes a repetition of the request recognisable: it is done once, and answered again.",
        }));
    }
    let media = route.media.unwrap_or("application/json");
    let schema = match route.gives {
        Some(gives) => gives(generator).to_value(),
        None => json!({}),
    };
    let shown = json!({"application/json": {"schema": schema}});
    let body = if route.method == Method::HEAD { json!({}) } else { json!({media: {"schema": schema}}) };
    // Whoever was written for another server looks for errors under another name.
    let named =
        if route.access == Access::UserOfProject { "application/json" } else { "application/problem+json" };
    let problem = json!({named: {"schema": {"$ref": format!("#/components/schemas/{PROBLEM}")}}});
    let mut responses = json!({
        "200": {"description": "It is done.", "content": body},
        "default": {"description": "It is not, and this is why.", "content": problem.clone()},
    });
    for (status, description) in refusals(route, &parameters) {
        responses[status.as_str()] = json!({"description": description, "content": problem.clone()});
    }
    if let Some((status, description)) = route.otherwise {
        responses[status.as_str()] = json!({"description": description, "content": shown});
    }
    if route.media.is_some() {
        // What a page or a provider answers is theirs to say.
        for response in responses.as_object_mut().into_iter().flatten().filter(|(status, _)| *status != "200")
        {
            response.1["content"]["*/*"] = json!({});
        }
    }
    let mut operation = json!({
        "summary": route.about,
        "operationId": operation_id(route),
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(takes) = route.takes {
        let schema = takes(generator).to_value();
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    match route.access {
        Access::Public => operation["security"] = json!([]),
        Access::User => {
            operation["description"] = json!("For operators, and for users as far as it is theirs.")
        }
        Access::Operator => operation["description"] = json!("For operators alone."),
        Access::UserOfProject => {
            operation["description"] = json!(
                "For users of the project alone, and for what is theirs. As Paragon's clients ask for it."
            );
        }
    }
    operation
}

/// What an address refuses before it does anything; what else may go wrong is said of all of them.
fn refusals(route: &Route, parameters: &[Value]) -> Vec<(StatusCode, &'static str)> {
    let mut refusals = Vec::new();
    if !parameters.is_empty() || route.takes.is_some() {
        refusals.push((StatusCode::BAD_REQUEST, "What was sent cannot be read."));
    }
    if route.access != Access::Public {
        refusals.push((StatusCode::UNAUTHORIZED, "Whoever asks has not said who they are."));
        refusals.push((StatusCode::FORBIDDEN, "Whoever asks may not do this."));
        refusals.push((StatusCode::NOT_FOUND, "There is no such thing, or it is somebody else's."));
    }
    if route.takes.is_some() {
        refusals.push((StatusCode::PAYLOAD_TOO_LARGE, "The body is too large."));
        refusals.push((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON."));
        refusals.push((
            StatusCode::UNPROCESSABLE_ENTITY,
            "The body does not fit; `path` or `problems` says where.",
        ));
    }
    refusals
}

/// A parameter is there or not; it is never `null`.
fn without_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
    }
    if let Some(any) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        any.retain(|one| one.get("type") != Some(&json!("null")));
    }
    schema
}

fn operation_id(route: &Route) -> String {
    let parts = route.path.split(['/', '-']).filter(|part| !part.is_empty());
    let words: Vec<String> = parts
        .map(|part| match part.trim_start_matches("{*").trim_start_matches('{').trim_end_matches('}') {
            name if part.starts_with('{') => format!("by_{name}"),
            name => name.replace('.', "_"),
        })
        .collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}
