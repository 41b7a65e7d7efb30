//! What people, apps and providers write, where it is read by other people: it makes no line of its own, and nothing happens to
//! a terminal or a page because of it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use jackfield_tests::{Answer, Home, Provider, Request, Visitor, http, reply};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Ends of lines of every kind, what a terminal obeys, quotes of every kind, and an element of a page.
fn hostile(name: &str) -> String {
    format!(
        "{name}\r\n{{\"level\":\"INFO\",\"message\":\"forged {name}\"}}\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{0}\u{2028}\u{2029}\u{85}'\"`\\<b>"
    )
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Text for people: nothing in it but lines, and none that somebody else has written.
#[track_caller]
fn is_plain(what: &str, text: &str) {
    let breaks = ['\u{2028}', '\u{2029}'];
    assert!(!text.contains(breaks), "{what}: {text:?}");
    is_log(what, text);
}

/// Text for programs that read it line by line, and for a terminal that shows it.
#[track_caller]
fn is_log(what: &str, text: &str) {
    let wild = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(wild, None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("{\"level")), "{what}: {text}");
}

/// A page for people: what is written on it is text.
#[track_caller]
fn is_page(what: &str, page: &Answer) {
    let wild = page.body.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(wild, None, "{what}: {:?}", page.body);
    assert!(!page.body.contains("<b>"), "{what}: {}", page.body);
    let headers: BTreeSet<&str> = page.headers.iter().map(|(name, _)| &**name).collect();
    assert!(!headers.iter().any(|name| name.contains("level")), "{what}: {headers:?}");
}

/// A provider that says such things wherever it says something, and fails when it is told to.
fn provider(fails: Arc<Mutex<bool>>) -> Provider {
    Provider::start(move |request: &Request, _| {
        let kind = ("content-type", "application/json");
        let evil = |name: &str| hostile(&format!("provider's {name}"));
        if *fails.lock().unwrap() {
            let said = json!({
                "code": 300, "message": evil("message"), "error": evil("error"), "reason": evil("reason"),
                "error_description": evil("description"), "errors": [{"field": evil("field"), "message": evil("problem")}],
            });
            return reply(
                400,
                &[kind, ("x-hostile", "a\u{9b}31m"), ("retry-after", "\u{9b}31m")],
                said.to_string(),
            );
        }
        let answer = match request.target.split('?').next().unwrap_or_default() {
            "/oauth/token" => json!({
                "access_token": "token", "refresh_token": "another", "expires_in": 3600, "api_url": evil("address"),
                "scope": format!("user:read:user meeting:read:list_meetings {}", evil("scope")),
            }),
            "/v2/users/me" => {
                json!({"id": evil("user"), "account_id": evil("account"), "email": evil("label")})
            }
            _ => json!({"meetings": [{"id": 1, "topic": evil("topic")}]}),
        };
        reply(200, &[kind], answer.to_string())
    })
}

#[test]
fn fault_103_what_anybody_writes_makes_no_record_and_moves_no_terminal() {
    let fails: Arc<Mutex<bool>> = Arc::default();
    let provider = provider(fails.clone());
    let home = Home::with(&["zoom"]);
    let port = home.listens_somewhere();
    home.configure(&format!(
        "[integrations.zoom.endpoints]\napi = \"{0}/v2\"\noauth = \"{0}/oauth\"\n[limits]\nretries = 0",
        provider.url()
    ));
    let server = home.start(&["-vvv", "serve"], "");
    server.says("; Ctrl-C ends it");
    let url = format!("http://localhost:{port}");
    let ask = |method: &str, path: &str, body: Value| home.ask(method, path, &body);

    // What an operator and an app write.
    let set = json!({
        "connector": "zoom", "client_id": "our-app", "client_secret": "x1y2z3", "scopes": [hostile("a scope")],
    });
    if ask("POST", "/v1/integrations", set.clone()).0 != 200 {
        let mut plain = set;
        plain["scopes"] = json!([]);
        assert_eq!(ask("POST", "/v1/integrations", plain).0, 200);
    }
    for (method, path, body) in [
        ("POST", "/v1/projects".to_owned(), json!({"id": "default", "title": hostile("title")})),
        ("POST", "/v1/projects".to_owned(), json!({"id": hostile("project")})),
        ("POST", "/v1/tokens".to_owned(), json!({"name": hostile("token")})),
        ("POST", "/v1/tokens".to_owned(), json!({"user": hostile("user")})),
        ("POST", "/v1/projects/default/keys".to_owned(), json!({"pem": hostile("key")})),
        ("POST", "/v1/connect-links".to_owned(), json!({"connector": hostile("connector"), "user": "u"})),
        ("POST", "/v1/connect-links".to_owned(), json!({"connector": "zoom", "user": hostile("user")})),
        (
            "POST",
            "/v1/connect-links".to_owned(),
            json!({"connector": "zoom", "user": "u", "return_url": hostile("return")}),
        ),
        (
            "POST",
            "/v1/connect-links".to_owned(),
            json!({"connector": "zoom", "user": "u", "auth": hostile("auth")}),
        ),
        (
            "POST",
            "/v1/connect-links".to_owned(),
            json!({"connector": "zoom", "user": "u", "connection": hostile("id")}),
        ),
        ("POST", "/v1/invocations".to_owned(), json!({"action": hostile("action"), "input": {}})),
        (
            "POST",
            "/v1/invocations".to_owned(),
            json!({"action": "zoom.get_meetings", "input": {hostile("field"): 1}}),
        ),
        ("POST", "/v1/backup".to_owned(), json!({"file": format!("/nowhere/{}", hostile("file"))})),
        ("GET", format!("/v1/connections/{}", encoded(&hostile("connection"))), Value::Null),
        ("GET", format!("/v1/connections?user={}", encoded(&hostile("query"))), Value::Null),
        ("GET", format!("/v1/invocations?after={}", encoded(&hostile("cursor"))), Value::Null),
        ("GET", format!("/{}", encoded(&hostile("path"))), Value::Null),
        ("GET", format!("/oauth/nonce/{}", encoded(&hostile("nonce"))), Value::Null),
        ("DELETE", format!("/v1/tokens/{}", encoded(&hostile("token"))), Value::Null),
        ("DELETE", format!("/v1/users/{}", encoded(&hostile("nobody"))), Value::Null),
    ] {
        let (_, answer) = ask(method, &path, body);
        assert!(answer.is_object(), "{method} {path}: {answer}");
    }
    // What anybody sends along.
    for header in
        ["user-agent", "x-forwarded-for", "jackfield-project", "idempotency-key", "authorization", "cookie"]
    {
        let value = format!("{}\u{9b}31m'\"<b>", encoded(&hostile(header)));
        let answer = http("GET", &format!("{url}/v1/connections"), &[(header, &value)], "");
        assert_eq!(answer.status, 401, "{header}: {}", answer.body);
    }

    // What a user and a provider bring back.
    let (status, meta) = ask("POST", "/v1/connect-links", json!({"connector": "zoom", "user": "u_42"}));
    assert_eq!(status, 200, "{meta}");
    let mut visitor = Visitor::default();
    let mut come_back = |fitting: &dyn Fn(&str) -> String| {
        let (_, link) = ask("POST", "/v1/connect-links", json!({"connector": "zoom", "user": "u_42"}));
        let link = link["url"].as_str().unwrap().to_owned();
        is_page("the page that asks", &visitor.get(&link));
        let away = visitor.post(&link, "");
        let away = away.header("location").unwrap_or_else(|| panic!("{}", away.body)).to_owned();
        let (_, rest) = away.split_once("state=").unwrap();
        let state = rest.split('&').next().unwrap();
        visitor.get(&format!("{url}/oauth/callback?{}", fitting(state)))
    };
    let evil = |name: &str| encoded(&hostile(name));
    let page = come_back(&|state| {
        format!("state={state}&error={}&error_description={}", evil("error"), evil("error's description"))
    });
    is_page("an error", &page);
    is_page("a state", &come_back(&|_| format!("state={}&code={}", evil("state"), evil("code"))));
    is_page("an issuer", &come_back(&|state| format!("state={state}&code=x&iss={}", evil("issuer"))));
    *fails.lock().unwrap() = true;
    is_page("a refusal of the code", &come_back(&|state| format!("state={state}&code={}", evil("code"))));
    *fails.lock().unwrap() = false;
    let page = come_back(&|state| format!("state={state}&code=fine"));
    is_page("the end", &page);
    assert!(page.body.contains("Connected"), "{}", page.body);
    let (_, found) = ask("GET", "/v1/connections", Value::Null);
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    // It is kept as it is, for whoever can bear it.
    assert!(found["items"][0]["label"].as_str().unwrap().contains("provider's label"), "{found}");
    let meta = json!({"meta": {hostile("name"): hostile("value")}});
    assert_eq!(ask("PATCH", "/v1/users/u_42", meta).0, 200);
    let at = format!("/v1/connections/{id}");
    assert_eq!(ask("POST", &format!("{at}/actions/get_meetings"), json!({})).0, 200);
    *fails.lock().unwrap() = true;
    for path in ["/actions/get_meetings", "/test", "/refresh"] {
        let (status, answer) = ask("POST", &format!("{at}{path}"), json!({}));
        assert!(status >= 400, "{path}: {answer}");
    }
    ask("GET", &format!("{at}/proxy/{}", encoded(&hostile("proxied"))), Value::Null);

    let (_, run) = ask("GET", "/v1/invocations", Value::Null);
    let run: Vec<String> =
        run["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    for args in [
        &["connection", "list"][..],
        &["connection", "show", &id],
        &["connection", "test", &id],
        &["user", "list"],
        &["user", "show", "u_42"],
        &["token", "list"],
        &["project", "list"],
        &["project", "show", "default"],
        &["integration", "list"],
        &["integration", "show", "zoom"],
        &["integration", "show", "zoom", "--setup"],
        &["invocation", "list"],
        &["invocation", "show", &run[0]],
        &["invocation", "show", &run[1]],
        &["action", "invoke", "zoom.get_meetings", "-c", &id],
        &["invocation", "show", &run[0], "-o", "json"],
        &["invocation", "list", "-o", "ndjson"],
        &["connection", "list", "-o", "json"],
        &["action", "invoke", "zoom.get_meetings", "-c", &id, "-o", "json"],
        &["doctor"],
        &["user", "delete", "u_42", "--yes"],
    ] {
        let outcome = home.run(&[&["-vvv"], args].concat());
        is_plain(&args.join(" "), &format!("{}{}", outcome.stdout, outcome.stderr));
    }
    let (status, log) = ask("GET", "/v1/audit?limit=200", Value::Null);
    assert!(status == 200 && log["items"].as_array().unwrap().len() > 5, "{log}");

    server.signal(Signal::TERM);
    is_log("the server", &server.ends().stderr);
    let logs = home.logs();
    let of_it = logs.split('\n').filter(|line| line.contains("forged error"));
    assert_eq!(of_it.count(), 1, "what was brought back once is one record: {logs}");
    for line in logs.split('\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = record["message"].as_str().unwrap_or_default();
        assert!(!message.starts_with("forged") && record["timestamp"].is_string(), "{record}");
        is_log("the log", line.trim_start_matches('{'));
    }
}
