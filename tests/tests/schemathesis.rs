//! What judges our own OpenAPI document finds what it should: otherwise its silence would prove nothing.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{Act, Provider, Request, reply, schemathesis};
use serde_json::{Value, json};

/// A thing that may be asked for by number, by whoever has a token.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1"},
        "security": [{"bearer": []}],
        "paths": {"/things/{number}": {"get": {
            "parameters": [{
                "name": "number", "in": "path", "required": true,
                "schema": {"type": "integer", "minimum": 1, "maximum": 9999}
            }],
            "responses": {
                "200": {"description": "It", "content": {"application/json": {"schema": {
                    "type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}
                }}}},
                "401": problem("No token"),
                "404": problem("No such thing"),
                "405": problem("Another method")
            }
        }}},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
    })
}

fn problem(description: &str) -> Value {
    json!({"description": description, "content": {"application/problem+json": {"schema": {"type": "object"}}}})
}

fn refuse(status: u16) -> Vec<Act> {
    reply(status, &[("content-type", "application/problem+json"), ("allow", "GET")], "{}")
}

/// As it should be.
fn proper(request: &Request) -> Vec<Act> {
    if request.method != "GET" {
        return refuse(405);
    }
    if request.header("authorization") != Some("Bearer right") {
        return refuse(401);
    }
    let number = request.target.strip_prefix("/things/").and_then(|number| number.parse::<u16>().ok());
    match number.filter(|number| (1..=9999).contains(number)) {
        Some(number) => {
            reply(200, &[("content-type", "application/json")], json!({"number": number}).to_string())
        }
        None => refuse(404),
    }
}

#[test]
fn what_breaks_its_own_document_is_found() {
    type Server = fn(&Request) -> Vec<Act>;
    let fails: Server = |request| if request.target.len() > 11 { refuse(500) } else { proper(request) };
    let lies: Server = |request| match proper(request) {
        answer if request.header("authorization").is_none() || request.target.len() > 11 => answer,
        _ => reply(200, &[("content-type", "application/json")], r#"{"number": "one"}"#),
    };
    let open: Server = |request| match request.method.as_str() {
        "GET" => reply(200, &[("content-type", "application/json")], r#"{"number": 1}"#),
        _ => refuse(405),
    };
    for (name, server, found) in [
        ("proper", proper as Server, None),
        ("fails", fails, Some("Server error")),
        ("lies", lies, Some("Response violates schema")),
        ("open", open, Some("API accepts requests without authentication")),
    ] {
        let provider = Provider::start(move |request, _| server(request));
        let more = [
            "--header",
            "Authorization: Bearer right",
            "--max-examples",
            "30",
            "--phases",
            "coverage,fuzzing",
        ];
        let Some(audit) = schemathesis("schemathesis", &document(), &provider.url(), &more) else { return };
        assert_eq!(audit.passed, found.is_none(), "{name}: {}", audit.report);
        assert!(audit.report.contains(found.unwrap_or("No issues found")), "{name}: {}", audit.report);
    }
}
