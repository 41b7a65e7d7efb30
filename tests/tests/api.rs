//! The HTTP API as its own document has it: whatever that allows and whatever it forbids is sent, and the answers are judged by it.
//! What HTTP itself has a word for is said in that word.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{Answer, eventually, http, schemathesis, tenants::Tenants};
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

/// What a schema allows is not always done: a key in PEM, the address of an app, or that an operator has to name the user are beyond
/// what JSON Schema can say, and are refused with 400 or 422. Whether another user sees something is what `access.rs` looks at, at
/// every address.
const NOT_CHECKED: &str = "positive_data_acceptance,object_level_authorization";

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
                if names.is_empty() || takes_away(&method.to_uppercase(), path) {
                    continue;
                }
                parameter["schema"] = if parameter["in"] == "path" {
                    json!({"enum": names})
                } else {
                    // Some addresses have no use for it, and do not look at what it says.
                    json!({"anyOf": [{"enum": names}, parameter["schema"]]})
                };
            }
        }
    }
    document
}

fn is_as_it_says(who: &str, tenants: &Tenants, token: &str, known: &[(&str, &str)]) {
    let authorization = format!("Authorization: Bearer {token}");
    let more = [
        "--header",
        &authorization,
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "5",
        "--continue-on-failure",
        "--suppress-health-check",
        "filter_too_much",
        "--exclude-checks",
        NOT_CHECKED,
    ];
    let document = document(tenants, known);
    let Some(audit) = schemathesis("api", &document, &tenants.url, &more) else { return };
    assert!(audit.passed, "{who}: {}", audit.report);
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|all| all.as_object().unwrap().len()).sum();
    assert!(audit.report.contains(&format!("Tested: {operations}\n")), "{who}: {}", audit.report);
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

/// The methods of each address, as the document has them.
fn addresses(tenants: &Tenants) -> Vec<(String, Vec<String>)> {
    let document = http("GET", &format!("{}/openapi.json", tenants.url), &[], "").json();
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = |all: &Value| all.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
    paths.map(|(path, all)| (path.clone(), methods(all))).collect()
}

/// An address with something in the place of each name.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{project}" => "default",
        part if part.starts_with('{') => "x",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn a_method_that_an_address_does_not_take_is_answered_with_those_it_takes() {
    let tenants = Tenants::start(&[]);
    let mut asked = 0;
    for (path, takes) in addresses(&tenants) {
        let mut expected = takes.clone();
        // Whoever may get something may also ask whether it is there.
        if takes.iter().any(|method| method == "GET") && !takes.iter().any(|method| method == "HEAD") {
            expected.push("HEAD".to_owned());
        }
        expected.sort();
        let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
        for method in all.iter().filter(|method| !expected.iter().any(|takes| takes == *method)) {
            for token in [None, Some(&tenants.operator)] {
                let bearer = token.map(|token| format!("Bearer {token}"));
                let headers: Vec<_> =
                    bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
                let answer = http(method, &format!("{}{}", tenants.url, filled(&path)), &headers, "");
                assert_eq!(answer.status, 405, "{method} {path}: {}", answer.body);
                let mut allowed: Vec<&str> = answer.header("allow").unwrap_or_default().split(',').collect();
                allowed.sort_unstable();
                allowed.dedup();
                assert_eq!(allowed, expected, "{method} {path}");
                if *method != "HEAD" {
                    is_problem(&answer, 405, "usage", &format!("{method} {path}"));
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
    // What is nowhere has no methods either.
    let nowhere = http("POST", &format!("{}/v1/nonsense", tenants.url), &[], "");
    is_problem(&nowhere, 404, "unknown", "POST /v1/nonsense");
    assert_eq!(nowhere.header("allow"), None);
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, kind: &str, what: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["kind"]), (status, &json!(kind)), "{what}: {}", answer.body);
    assert_eq!(problem["status"], status, "{what}: {}", answer.body);
    // Whoever was written for the vendor's server looks for errors under another name.
    let named = ["application/problem+json", "application/json"];
    assert!(answer.header("content-type").is_some_and(|kind| named.contains(&kind)), "{what}: {answer:?}");
}

#[test]
fn a_body_that_nobody_reads_is_refused_in_http_s_own_words() {
    let tenants = Tenants::start(&[]);
    let document = http("GET", &format!("{}/openapi.json", tenants.url), &[], "").json();
    let connection = tenants.connect("u_1", "");
    // One byte more than is taken: all of it is read before that is known.
    let large = " ".repeat(17 * 1024 * 1024 + 1);
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("requestBody").is_none() {
                continue;
            }
            let method = method.to_uppercase();
            let what = format!("{method} {path}");
            let is_vendors = path.contains("/projects/{project}/");
            let token = if is_vendors { tenants.rsa.user("u_1") } else { tenants.operator.clone() };
            let path = path.replace("{project}", "default").replace("{connector}", "zoom");
            let path = match path.strip_prefix("/v1/connections/{id}/") {
                Some(rest) => {
                    format!("/v1/connections/{connection}/{}", rest.replace("{name}", "get_meetings"))
                }
                None => path.replace("users/{id}", "users/u_1").replace("projects/{id}", "projects/default"),
            };
            let bearer = format!("Bearer {token}");
            let ask = |kind: &str, body: &str| {
                let mut headers = vec![("authorization", bearer.as_str()), ("jackfield-project", "default")];
                headers.extend((!kind.is_empty()).then_some(("content-type", kind)));
                http(&method, &format!("{}{path}", tenants.url), &headers, body)
            };
            for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"] {
                is_problem(&ask(kind, "{}"), 415, "usage", &format!("{what} as {kind:?}"));
            }
            let json = "application/json";
            for body in ["", "{", "nonsense", "[]", "[null, null]", "null", "1", "\"text\""] {
                is_problem(&ask(json, body), 400, "usage", &format!("{what} with {body:?}"));
            }
            is_problem(&ask(json, &large), 413, "usage", &what);
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked}");
}

/// How long whoever is turned away is told to wait.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    let told = answer.header("retry-after").unwrap_or_else(|| panic!("{answer:?}"));
    told.parse().unwrap_or_else(|_| panic!("{told}"))
}

#[test]
fn whoever_is_turned_away_for_now_is_told_until_when() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    let run = |action: &str, body: &str| {
        let path = format!("/v1/connections/{connection}/actions/{action}");
        tenants.ask(&tenants.rsa.user("u_1"), "POST", &path, &[], body)
    };
    let headers = json!([["content-type", "application/json"], ["retry-after", "120"]]);
    tenants.simulator.fault(&json!({"path": "/v2/users/me/meetings", "perform": false, "answer": {
        "kind": "fixed", "status": 429, "headers": headers, "body": r#"{"code": 429, "message": "slow down"}"#,
    }}));
    let limited = run("get_meetings", "{}");
    is_problem(&limited, 429, "rate_limited", "get_meetings");
    assert!((100..=121).contains(&wait(&limited)), "{limited:?}");
    // What may not be done at all is not worth coming back for.
    assert_eq!(run("nonsense", "{}").header("retry-after"), None);

    tenants.simulator.fault(&json!({"method": "POST", "delay_ms": 3000}));
    std::thread::scope(|scope| {
        let under_way = scope.spawn(|| run("create_meeting", r#"{"topic": "Demo"}"#));
        eventually("the invocation", || tenants.get("/v1/health")["running"] == 1);
        tenants.server.signal(Signal::TERM);
        eventually("the end of the socket", || !tenants.home.socket().exists());
        let late = run("get_meetings", "{}");
        is_problem(&late, 503, "unavailable", "get_meetings");
        assert!((1..=31).contains(&wait(&late)), "{late:?}");
        assert_eq!(http("GET", &format!("{}/readyz", tenants.url), &[], "").status, 503);
        let done = under_way.join().unwrap();
        assert_eq!(done.status, 200, "{}", done.body);
    });
}
