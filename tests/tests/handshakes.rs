//! Handshakes that repeat a secret of their own: where the operator gives it, and who is answered by it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::fs;

use jackfield_tests::{Answer, Outcome, Provider, Terminal, artifact, feeds::Fed, http};
use serde_json::{Value, json};

const TOKEN: &str = "verify-token-canary";

/// A home that takes what the parcel service sends.
fn fed() -> Fed {
    let me = json!({"id": 7, "name": "Anna"}).to_string();
    let provider = Provider::always(200, &[("content-type", "application/json")], &me);
    let fed = Fed::start("parcels", "key", &json!({"key": "key-canary"}), provider);
    fed.asked("PATCH", "/v1/integrations/parcels", &json!({"webhook_secret": "signing-key-canary"}));
    fed
}

/// Validates the address as the parcel service does.
fn validate(fed: &Fed, token: &str) -> Answer {
    let (url, integration) = (fed.url(), &fed.integration);
    let query = format!("mode=subscribe{token}&challenge=c-1");
    http("GET", &format!("{url}/webhooks/parcels/{integration}?{query}"), &[], "")
}

#[track_caller]
fn is_answered(fed: &Fed, token: &str) {
    let answer = validate(fed, &format!("&token={token}"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "c-1"), "{token}");
}

#[track_caller]
fn is_refused(fed: &Fed, token: &str, status: u16, reason: &str) {
    let answer = validate(fed, token);
    assert_eq!(answer.status, status, "{token}: {}", answer.body);
    assert!(!answer.body.contains("c-1"), "{}", answer.body);
    let refused = fed.asked("GET", "/v1/deliveries/refused", &Value::Null);
    assert_eq!(refused["items"][0]["reason"], reason, "{token}");
}

#[track_caller]
fn went_well(outcome: Outcome) -> String {
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    outcome.stdout
}

#[test]
fn a_handshake_is_answered_by_its_own_secret_and_by_no_other() {
    let fed = fed();
    let home = &fed.home;
    is_refused(&fed, "&token=", 503, "no_secret");
    is_refused(&fed, "&token=signing-key-canary", 503, "no_secret");
    let shown = went_well(home.run(&["integration", "show", "parcels"]));
    assert!(shown.contains("handshake secret  not set"), "{shown}");
    let guide = went_well(home.run(&["integration", "show", "parcels", "--setup"]));
    assert!(guide.contains("Verify token  jackfield integration set parcels"), "{guide}");
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("--handshake-secret-file FILE"), "{doctor}");

    let file = home.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let set = home.run(&["integration", "set", "parcels", "--handshake-secret-file", file.to_str().unwrap()]);
    assert!(went_well(set).contains("handshake secret  set"));
    is_answered(&fed, TOKEN);
    is_refused(&fed, "&token=another", 401, "wrong_handshake_secret");
    is_refused(&fed, "&token=signing-key-canary", 401, "wrong_handshake_secret");
    is_refused(&fed, "", 401, "wrong_handshake_secret");
    let guide = went_well(home.run(&["integration", "show", "parcels", "--setup"]));
    assert!(guide.contains("Verify token  here already"), "{guide}");
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("they repeat the Verify token, which is here"), "{doctor}");

    // Another one takes its place at once, also by standard input; and lasts.
    let set =
        home.run_with_input(&["integration", "set", "parcels", "--handshake-secret-stdin"], "the-next\n");
    went_well(set);
    is_answered(&fed, "the-next");
    is_refused(&fed, &format!("&token={TOKEN}"), 401, "wrong_handshake_secret");
    let mut fed = fed;
    fed.end();
    fed.serve();
    is_answered(&fed, "the-next");
    assert!(!fed.home.logs().contains("the-next"), "a secret stands in the log");
}

#[test]
fn a_file_that_git_keeps_names_the_file_of_it() {
    let fed = fed();
    let home = &fed.home;
    let apply = |toml: &str| {
        let path = home.path().join("integrations.toml");
        fs::write(&path, toml).unwrap();
        home.run(&["integration", "apply", "-f", path.to_str().unwrap(), "-o", "json"])
    };
    fs::write(home.path().join("token"), TOKEN).unwrap();
    let entry = "[[projects.default.integrations]]\nconnector = \"parcels\"\n";
    let refused = apply(&format!("{entry}handshake_secret = \"{TOKEN}\"\n"));
    let error = refused.error(2);
    assert_eq!(error["problems"][0]["path"], "/projects/default/integrations/0/handshake_secret", "{error}");
    assert!(!error.to_string().contains(TOKEN), "{error}");
    let done = apply(&format!("{entry}handshake_secret_file = \"token\"\n")).json();
    assert!(done.to_string().contains("handshake_secret"), "{done}");
    is_answered(&fed, TOKEN);
}

#[test]
fn it_is_asked_for_where_a_connector_has_one_and_refused_where_it_has_none() {
    let fed = fed();
    let home = &fed.home;
    let mut terminal = Terminal::start(home.command(&["integration", "set", "parcels"]), 100, 40);
    terminal.answers("Signing key of its webhooks (Enter leaves it as it is)", "");
    terminal.answers("Verify token for the address of its webhooks (Enter for later)", TOKEN);
    assert_eq!(terminal.waits(), 0, "{}", terminal.screen());
    assert!(!terminal.written().contains(TOKEN), "{}", terminal.written());
    is_answered(&fed, TOKEN);
    home.add(&artifact("libforge.so"));
    let set = json!({"connector": "forge", "auth": "token", "handshake_secret": TOKEN});
    let (status, refused) = home.ask("POST", "/v1/integrations", &set);
    assert_eq!((status, &refused["problems"][0]["path"]), (422, &json!("/handshake_secret")), "{refused}");
    let made = fed.asked("POST", "/v1/integrations", &json!({"connector": "forge", "auth": "token"}));
    assert!(made["has_handshake_secret"].is_null() && made["has_webhook_secret"] == false, "{made}");
}
