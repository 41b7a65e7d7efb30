//! The HTTP API as its own document has it: whatever that allows and whatever it forbids is sent, and the answers are judged by it.
//! What HTTP itself has a word for is said in that word.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{
    Answer, Provider, eventually, http, reply, schemathesis,
    tenants::{Tenants, claims},
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What schemathesis cannot try, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    // It would end the server that is tried.
    ("POST", "/v1/drain"),
    // It would write files on this machine under whatever names come up.
    ("POST", "/v1/backup"),
    // Pages for people, by one-time tokens and cookies, which no schema describes.
    ("GET", "/connect/{token}"),
    ("POST", "/connect/{token}"),
    ("GET", "/oauth/callback"),
    ("GET", "/projects/{project}/sdk/actions/oauth-nonce"),
    ("GET", "/projects/{project}/sdk/actions/oauth-popup/{token}"),
    // What the vendor has and we have not: its promise is that it answers 501, which counts as a fault here.
    ("POST", "/v2/projects/{project}/sdk/events/trigger"),
    ("GET", "/projects/{project}/sdk/triggers/{id}"),
    ("POST", "/projects/{project}/sdk/triggers/{id}"),
    ("POST", "/projects/{project}/sdk/workflows/{id}"),
    ("DELETE", "/projects/{project}/sdk/workflows/{id}"),
    ("GET", "/projects/{project}/triggers"),
    ("POST", "/projects/{project}/trigger-subscriptions"),
];

/// Whether what answers there is a provider: what it says is its own.
fn passes_on(path: &str) -> bool {
    path.contains("/proxy/")
}

/// What takes away what the rest of the run needs is tried with names that nobody has.
fn takes_away(method: &str, path: &str) -> bool {
    method == "DELETE" || path.ends_with("/revoke")
}

/// The document, as the server gives it, without what cannot be tried. Where a name stands in an address, it is one that there is,
/// or any.
fn document(tenants: &Tenants, known: &[(&str, &str)]) -> Value {
    let mut document = http("GET", &format!("{}/openapi.json", tenants.url), &[], "").json();
    let paths = document["paths"].as_object_mut().unwrap();
    for (method, path) in LEFT_OUT {
        let left_out = paths[*path].as_object_mut().unwrap().remove(&method.to_lowercase());
        assert!(left_out.is_some(), "{method} {path} is not there to be left out");
    }
    paths.retain(|path, methods| !passes_on(path) && methods.as_object().is_some_and(|all| !all.is_empty()));
    for (path, methods) in paths.iter_mut() {
        for (method, operation) in methods.as_object_mut().unwrap() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap().to_owned();
                let place = path.split('/').rev().skip_while(|part| *part != format!("{{{name}}}")).nth(1);
                let of = if parameter["in"] == "path" { place.unwrap_or_default() } else { &name };
                let fits = known.iter().filter(|(what, _)| *what == of);
                let names: Vec<&str> = fits.map(|(_, name)| *name).collect();
                if !names.is_empty() && !takes_away(&method.to_uppercase(), path) {
                    parameter["schema"] = json!({"anyOf": [{"enum": names}, parameter["schema"]]});
                }
            }
        }
    }
    document
}

fn is_as_it_says(who: &str, tenants: &Tenants, token: &str, known: &[(&str, &str)]) {
    let authorization = format!("Authorization: Bearer {token}");
    let more = ["--header", &authorization, "--phases", "coverage,fuzzing", "--max-examples", "12", "--continue-on-failure"];
    let Some(audit) = schemathesis("api", &document(tenants, known), &tenants.url, &more) else { return };
    assert!(audit.passed && audit.report.contains("No issues found"), "{who}: {}", audit.report);
}

/// What an operator and a user see of what there is.
fn known(tenants: &Tenants) -> Vec<(&'static str, String)> {
    let connection = tenants.connect("u_1", "");
    let run = format!("/v1/connections/{connection}/actions/get_meetings");
    let run = tenants.set(&run, &json!({}));
    let link = tenants.set("/v1/connect-links", &json!({"connector": "zoom", "user": "u_1"}));
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    vec![
        ("connections", connection),
        ("invocations", text(&run["id"])),
        ("connect-links", text(&link["id"])),
        ("users", "u_1".to_owned()),
        ("integrations", "zoom".to_owned()),
        ("connectors", "zoom".to_owned()),
        ("actions", "get_meetings".to_owned()),
        ("projects", "default".to_owned()),
        ("Jackfield-Project", "default".to_owned()),
    ]
}

#[test]
fn the_api_is_as_its_document_says_for_an_operator() {
    let tenants = Tenants::start(&[]);
    let known = known(&tenants);
    let known: Vec<(&str, &str)> = known.iter().map(|(what, name)| (*what, name.as_str())).collect();
    let operator = tenants.set("/v1/tokens", &json!({}))["token"].as_str().unwrap().to_owned();
    is_as_it_says("an operator", &tenants, &operator, &known);
    // And it still serves.
    assert_eq!(tenants.get("/v1/health")["state"], "serving");
}

#[test]
fn the_api_is_as_its_document_says_for_a_user() {
    let tenants = Tenants::start(&[]);
    let known = known(&tenants);
    let known: Vec<(&str, &str)> = known.iter().map(|(what, name)| (*what, name.as_str())).collect();
    is_as_it_says("a user", &tenants, &tenants.rsa.user("u_1"), &known);
    assert_eq!(tenants.get("/v1/health")["state"], "serving");
}
