//! Connectors that are set up: by hand, from a file, by the guide; and what doctor finds of them.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use jackfield_tests::{Home, Outcome, Provider, Simulator, Terminal, reply};
use serde_json::{Value, json};

const CLIENT_CANARY: &str = "canary-client-5d1f0c";
const WEBHOOK_CANARY: &str = "canary-webhook-91b7e2";

/// Everything that the sample app has.
const SCOPES: &str = "user:read:user,meeting:write:meeting,meeting:update:meeting,meeting:read:list_meetings,\
                      meeting:read:meeting,meeting:delete:meeting,meeting:write:registrant,\
                      meeting:read:list_registrants,meeting:delete:registrant,meeting:read:registrant,\
                      meeting:read:participant,cloud_recording:read:recording";

/// A home whose Zoom is this simulator, at an address of its own, with more of a configuration before the rest.
fn home(simulator: &Simulator, public_url: Option<&str>) -> Home {
    let home = Home::with(&["zoom"]);
    // Given back at once, so that the server finds it free.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let here = format!("http://{address}");
    home.configure(&format!(
        "public_url = \"{}\"\n[server]\nlisten = \"{address}\"\n[integrations.zoom.endpoints]\napi = {}\noauth = {}\n",
        public_url.unwrap_or(&here),
        simulator.ready["api"],
        simulator.ready["oauth"],
    ));
    home
}

/// A file beside the home, where commands run.
fn file(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path().parent().unwrap().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn shown(home: &Home) -> Value {
    home.run(&["integration", "show", "zoom", "-o", "json"]).json()
}

fn ready<'a>(simulator: &'a Simulator, name: &str) -> &'a str {
    simulator.ready[name].as_str().unwrap()
}

/// Sets Zoom up as the simulator has it.
fn set_up(simulator: &Simulator, home: &Home, scopes: &str) {
    file(home, "client", ready(simulator, "client_secret"));
    let id = ready(simulator, "client_id");
    let args = [
        "integration",
        "add",
        "zoom",
        "--client-id",
        id,
        "--client-secret-file",
        "client",
        "--scopes",
        scopes,
    ];
    assert_eq!(home.run(&args).code, 0);
}

fn give_webhook_secret(home: &Home) {
    file(home, "webhook", "a-secret-token");
    let given = home.run(&["integration", "set", "zoom", "--webhook-secret-file", "webhook"]);
    assert_eq!(given.code, 0, "{}", given.stderr);
}

/// That no canary is in what was said, in the logs, or in any file of the home.
#[track_caller]
fn keeps_secrets(home: &Home, outcomes: &[&Outcome]) {
    let mut places: Vec<(String, Vec<u8>)> = outcomes
        .iter()
        .map(|outcome| {
            ("what was said".to_owned(), format!("{}{}", outcome.stdout, outcome.stderr).into_bytes())
        })
        .collect();
    for name in home.files().into_iter().filter(|name| !name.starts_with("plugins/")) {
        let bytes = fs::read(home.path().join(&name)).unwrap_or_default();
        places.push((name, bytes));
    }
    assert!(places.iter().any(|(name, _)| name == "data/jackfield.db"), "the store is looked through");
    for canary in [CLIENT_CANARY, WEBHOOK_CANARY] {
        for (name, bytes) in &places {
            let is_there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!is_there, "{canary} is in {name}");
        }
    }
}

#[test]
fn secrets_come_by_file_and_by_standard_input_and_stay_where_they_are() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    for served in [false, true] {
        let server = served.then(|| home.serve());
        file(&home, "client", &format!("{CLIENT_CANARY}\n"));
        let added = home.run(&[
            "-vv",
            "integration",
            "add",
            "zoom",
            "--client-id",
            "an-id",
            "--client-secret-file",
            "client",
            "-o",
            "json",
        ]);
        assert_eq!(
            (added.json()["has_client_secret"].clone(), added.json()["has_webhook_secret"].clone()),
            (json!(true), json!(false))
        );
        let args = ["-vv", "integration", "set", "zoom", "--webhook-secret-stdin", "-o", "json"];
        let set = home.run_with_input(&args, &format!("{WEBHOOK_CANARY}\r\n"));
        assert_eq!(set.json()["has_webhook_secret"], true);
        assert_eq!(set.json()["changes"], json!(["webhook_secret"]));
        // The same once more is no change, and one that is not said stays as it is.
        let before = shown(&home);
        let again = home.run_with_input(&args, WEBHOOK_CANARY);
        assert_eq!(again.json()["changes"], Value::Null);
        assert_eq!(shown(&home), before);
        let doctor = home.run(&["-vv", "doctor"]);
        let shown = home.run(&["integration", "show", "zoom"]);
        keeps_secrets(&home, &[&added, &set, &again, &doctor, &shown]);
        // What comes with a line break in it was pasted with something else.
        let pasted = home.run_with_input(&args, &format!("{WEBHOOK_CANARY}\nmore"));
        assert_eq!(pasted.code, 2);
        keeps_secrets(&home, &[&pasted]);
        assert_eq!(home.run(&["integration", "remove", "zoom", "--yes"]).code, 0);
        drop(server);
    }
}

#[test]
fn a_secret_is_no_argument() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    for flag in ["--client-secret", "--webhook-secret"] {
        for args in [[flag, CLIENT_CANARY].as_slice(), &[&format!("{flag}={CLIENT_CANARY}")]] {
            let outcome = home.run(&[&["integration", "add", "zoom"], args].concat());
            assert_eq!(outcome.code, 2, "{}", outcome.stderr);
            assert!(!outcome.stderr.contains(CLIENT_CANARY), "{}", outcome.stderr);
        }
    }
    assert_eq!(home.run(&["integration", "list", "-o", "json"]).json(), json!([]));
}

#[test]
fn secrets_come_by_prompt_and_are_not_seen() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    let mut terminal = Terminal::start(home.command(&["integration", "add", "zoom"]), 100, 40);
    terminal.answers("Client id of the Zoom app", "an-id");
    terminal.answers("Client secret of the Zoom app", CLIENT_CANARY);
    terminal.answers("Secret Token of its webhooks (Enter for later)", "");
    assert_eq!(terminal.waits(), 0, "{}", terminal.screen());
    assert!(!terminal.written().contains(CLIENT_CANARY), "{}", terminal.written());
    let before = shown(&home);
    assert_eq!(
        (&before["client_id"], &before["has_client_secret"], &before["has_webhook_secret"]),
        (&json!("an-id"), &json!(true), &json!(false))
    );

    // Once more: what is left empty stays.
    let mut terminal = Terminal::start(home.command(&["integration", "set", "zoom"]), 100, 40);
    terminal.answers("Client id of the Zoom app (Enter leaves it as it is)", "");
    terminal.answers("Client secret of the Zoom app (Enter leaves it as it is)", "");
    terminal.answers("Secret Token of its webhooks (Enter for later)", WEBHOOK_CANARY);
    assert_eq!(terminal.waits(), 0, "{}", terminal.screen());
    assert!(!terminal.written().contains(WEBHOOK_CANARY), "{}", terminal.written());
    let after = shown(&home);
    assert_eq!((&after["client_id"], &after["has_webhook_secret"]), (&json!("an-id"), &json!(true)));

    // What would be read from a terminal is asked for instead.
    let command = home.command(&["integration", "set", "zoom", "--client-secret-stdin"]);
    let mut terminal = Terminal::start(command, 100, 40);
    terminal.answers("Client secret", CLIENT_CANARY);
    assert_eq!(terminal.waits(), 0, "{}", terminal.screen());
    assert!(!terminal.written().contains(CLIENT_CANARY), "{}", terminal.written());
    keeps_secrets(&home, &[]);
}

#[test]
fn the_guide_is_there_before_and_after_and_says_what_is_missing() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, Some("https://jackfield.example.com/tools"));
    let shown = |show: &str| {
        let guide = home.run(&["integration", "show", "zoom", "--setup", "-o", "json"]).json();
        let steps = guide["steps"].as_array().unwrap().clone();
        let all = steps.iter().flat_map(|step| step["shown"].as_array().cloned().unwrap_or_default());
        all.into_iter().find(|shown| shown["show"] == show).unwrap()
    };
    assert_eq!(shown("redirect_uri")["value"], "https://jackfield.example.com/tools/oauth/callback");
    assert_eq!(shown("redirect_origin")["value"], "https://jackfield.example.com");
    assert_eq!(
        shown("client"),
        json!({"show": "client", "is_set": false, "command": "jackfield integration add zoom"})
    );
    assert_eq!(shown("webhook_url")["value"], Value::Null);
    let events = shown("events")["events"].as_array().unwrap().len();
    assert_eq!(events, 9);
    let families = shown("scopes")["families"].as_array().unwrap().clone();
    let must: Vec<String> = families
        .iter()
        .flat_map(|family| family["scopes"].as_array().unwrap())
        .filter(|scope| scope["identifies"] == true)
        .map(|scope| scope["scope"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(must, ["user:read:user", "user:read"]);

    set_up(&simulator, &home, "user:read:user");
    assert_eq!(
        shown("client"),
        json!({"show": "client", "is_set": true, "command": "jackfield integration set zoom"})
    );
    assert_eq!(shown("webhook_secret")["is_set"], false);
    give_webhook_secret(&home);
    assert_eq!(shown("webhook_secret")["is_set"], true);
    let url = shown("webhook_url");
    let begins = "https://jackfield.example.com/tools/webhooks/zoom/int_";
    assert!(url["value"].as_str().unwrap().starts_with(begins) && url["note"].is_null(), "{url}");

    let nobody = home.run(&["integration", "show", "zom", "--setup", "-o", "json"]).error(2);
    assert_eq!(nobody["kind"], "unknown");
}

#[test]
fn a_connector_without_a_guide_says_so() {
    let home = Home::with(&["faulty"]);
    let error = home.run(&["integration", "show", "faulty", "--setup", "-o", "json"]).error(1);
    assert_eq!(error["kind"], "unsupported");
    assert!(error["hint"].as_str().unwrap().contains("jackfield integration add faulty"), "{error}");
}

const FILE: &str = r#"
[[projects.default.integrations]]
connector = "zoom"
auth = "user"
client_id = "an-id"
client_secret_file = "secrets/client"
webhook_secret_file = "secrets/webhook"
scopes = ["users:read", "meeting:write"]

[projects.shop]
integrations = [{ connector = "zoom", client_id = "another-id" }]
"#;

#[test]
fn a_file_is_applied_whole_or_not_at_all_and_twice_like_once() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    // Paths are relative to the file, wherever the command runs.
    file(&home, "set-up/integrations.toml", FILE);
    file(&home, "set-up/secrets/client", CLIENT_CANARY);
    file(&home, "set-up/secrets/webhook", WEBHOOK_CANARY);
    let apply = |more: &[&str]| {
        home.run(&[&["integration", "apply", "-f", "set-up/integrations.toml", "-o", "json"], more].concat())
    };
    let results = |outcome: &Outcome| -> Vec<(String, String, Value)> {
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        let all = outcome.json().as_array().unwrap().clone();
        all.iter().map(|one| (text(one, "project"), text(one, "result"), one["changes"].clone())).collect()
    };
    let of = |project: &str, result: &str, changes: Value| (project.to_owned(), result.to_owned(), changes);

    // One project is not there: nothing is done of the other one either.
    let error = apply(&[]).error(2);
    assert!(error["message"].as_str().unwrap().contains("no project `shop`"), "{error}");
    assert_eq!(home.run(&["integration", "list", "-o", "json"]).json(), json!([]));
    assert_eq!(home.run(&["project", "add", "shop"]).code, 0);

    let dry = apply(&["--dry-run"]);
    let added = [of("default", "added", Value::Null), of("shop", "added", Value::Null)];
    assert_eq!(results(&dry), added);
    assert_eq!(home.run(&["--project", "default", "integration", "list", "-o", "json"]).json(), json!([]));
    let first = apply(&[]);
    assert_eq!(results(&first), added);
    assert_eq!(first.json()[0]["notes"][0], "Zoom has no scope `users:read`; it is `user:read` there");

    let list = || home.run(&["--project", "default", "integration", "list", "-o", "json"]).json();
    let before = list();
    assert_eq!(before[0]["scopes"], json!(["user:read", "meeting:write"]));
    for served in [false, true] {
        let server = served.then(|| home.serve());
        let again = apply(&[]);
        assert_eq!(
            results(&again),
            [of("default", "as_it_was", Value::Null), of("shop", "as_it_was", Value::Null)]
        );
        assert_eq!(list(), before, "not even the time of the last change");
        keeps_secrets(&home, &[&dry, &first, &again]);
        drop(server);
    }

    file(&home, "set-up/secrets/client", "another-secret");
    file(&home, "set-up/integrations.toml", &FILE.replace("\"meeting:write\"", "\"meeting:read\""));
    let changed =
        [of("default", "changed", json!(["client_secret", "scopes"])), of("shop", "as_it_was", Value::Null)];
    assert_eq!(results(&apply(&["--dry-run"])), changed);
    assert_eq!(list(), before);
    assert_eq!(results(&apply(&[])), changed);

    // As JSON, and by standard input: then secrets lie where the command runs.
    let text = r#"{"projects": {"default": {"integrations": [{"connector": "zoom", "client_secret_file": "set-up/secrets/client"}]}}}"#;
    let read = home.run_with_input(&["integration", "apply", "-f", "-", "-o", "json"], text);
    assert_eq!(results(&read), [of("default", "as_it_was", Value::Null)]);
}

#[test]
fn a_file_with_mistakes_is_refused_with_all_of_them_and_without_what_stands_there() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    file(&home, "client", CLIENT_CANARY);
    let canary = format!("\"{CLIENT_CANARY}\"");
    for (text, expected) in [
        ("", "/projects must be there"),
        ("projects = 3", "/projects must be there"),
        ("project = {}", "/project is not a key; did you mean `projects`?"),
        ("[projects.default]\nintegration = []", "is not a key; did you mean `integrations`?"),
        ("[projects.default]\nintegrations = {}", "/projects/default/integrations must be a list"),
        ("[[projects.default.integrations]]\nconector = \"zoom\"", "did you mean `connector`?"),
        (
            "[[projects.default.integrations]]\nauth = \"user\"",
            "/projects/default/integrations/0/connector must be there",
        ),
        (
            "[[projects.default.integrations]]\nconnector = 3",
            "/projects/default/integrations/0/connector must be a text",
        ),
        (
            "[[projects.default.integrations]]\nconnector = \"zoom\"\nscopes = \"a\"",
            "must be a list of names",
        ),
        (
            "[projects.default]\nintegrations = [{connector = \"zoom\"}, {connector = \"zoom\"}]",
            "/projects/default/integrations/1/connector is there twice in this project",
        ),
        (
            &format!("[[projects.default.integrations]]\nconnector = \"zoom\"\nclient_secret = {canary}"),
            "/projects/default/integrations/0/client_secret is a secret, which does not stand in this file",
        ),
        (
            &format!("[[projects.default.integrations]]\nconnector = \"zoom\"\nwebhook_secret = {canary}"),
            "/projects/default/integrations/0/webhook_secret is a secret",
        ),
        (&format!("[[projects.default.integrations]]\nclient_id = {canary} x"), "line 2 is not TOML"),
        (&format!("{{\"projects\": {canary}"), "neither as TOML nor as JSON"),
        ("[[projects.default.integrations]]\nconnector = \"zom\"", "there is no connector `zom`"),
        (
            "[[projects.default.integrations]]\nconnector = \"zoom\"\nclient_secret_file = \"nowhere\"",
            "cannot read the secret from nowhere",
        ),
    ] {
        let outcome = home.run_with_input(&["integration", "apply", "-f", "-", "-o", "json"], text);
        let error = outcome.error(2);
        let problems = error["problems"].as_array().cloned().unwrap_or_default();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| {
                format!("{} {}", problem["path"].as_str().unwrap(), problem["message"].as_str().unwrap())
            })
            .chain([error["message"].as_str().unwrap().to_owned()])
            .collect();
        assert!(told.iter().any(|told| told.contains(expected)), "{text}: {told:?}");
        assert!(error["hint"].is_string(), "{error}");
        assert!(!outcome.stderr.contains(CLIENT_CANARY), "{}", outcome.stderr);
        if text.contains("_secret =") {
            assert!(error["hint"].as_str().unwrap().contains("client_secret_file = \"FILE\""), "{error}");
        }
    }
    assert_eq!(home.run(&["integration", "list", "-o", "json"]).json(), json!([]));
}

/// What doctor finds of one check: how it is, its words, and its parts.
#[derive(Debug, PartialEq)]
struct Found {
    state: String,
    text: String,
    hint: String,
    details: Value,
}

fn doctor(home: &Home, code: i32) -> impl Fn(&str) -> Found {
    let outcome = home.run(&["doctor", "-o", "json"]);
    assert_eq!(outcome.code, code, "{}{}", outcome.stdout, outcome.stderr);
    let findings: Vec<Value> = serde_json::from_str(&outcome.stdout).unwrap();
    move |check: &str| {
        let found = findings.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("{check}: {findings:#?}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Found {
            state: text("state"),
            text: text("text"),
            hint: text("hint"),
            details: found["details"].clone(),
        }
    }
}

#[test]
fn doctor_finds_an_integration_well() {
    let simulator = Simulator::start(&[]);
    let home = home(&simulator, None);
    set_up(&simulator, &home, SCOPES);
    give_webhook_secret(&home);
    let server = home.serve();
    let found = doctor(&home, 0);
    for check in ["client", "public_url", "scopes", "webhooks", "clock", "vault", "address", "connection"] {
        assert_eq!(found(check).state, "ok", "{:?}", found(check));
    }
    assert!(found("public_url").text.ends_with("/oauth/callback"), "{:?}", found("public_url"));
    let seals_with = found("vault").details["seals with"].clone();
    assert!(seals_with.as_str().unwrap().starts_with("key_"), "{seals_with}");
    assert_eq!(found("vault").details["in use"], seals_with);
    drop(server);
    // Nobody serves it: then nothing can be at its address, and that is no fault.
    let found = doctor(&home, 0);
    assert_eq!(found("client").state, "ok");
    let address = found("public_url");
    assert_eq!(address.state, "warn");
    assert!(address.text.starts_with("nobody serves this home: "), "{address:?}");
    assert!(address.hint.starts_with("serve it: jackfield serve"), "{address:?}");
}

#[test]
fn doctor_finds_what_is_wrong_with_an_integration() {
    let simulator = Simulator::start(&[]);
    // It says that it is reached where somebody else is.
    let home = home(&simulator, Some(ready(&simulator, "origin")));
    file(&home, "client", CLIENT_CANARY);
    let id = ready(&simulator, "client_id");
    let args = ["integration", "add", "zoom", "--client-id", id, "--client-secret-file", "client"];
    assert_eq!(home.run(&[&args[..], &["--scopes", "meeting:write:meeting"]].concat()).code, 0);
    let server = home.serve();
    let found = doctor(&home, 1);
    let client = found("client");
    assert_eq!(client.state, "bad");
    assert!(
        client.hint.contains("jackfield integration set zoom --client-id ID --client-secret-file FILE"),
        "{client:?}"
    );
    assert_eq!(found("public_url").state, "bad");
    let identify = found("identify");
    assert_eq!(
        (identify.state.as_str(), identify.text.as_str()),
        ("bad", "zoom: without user:read:user: no account can be connected")
    );
    assert!(
        identify
            .hint
            .ends_with("jackfield integration set zoom --scopes meeting:write:meeting,user:read:user")
    );
    let scopes = found("scopes");
    assert_eq!(scopes.state, "warn");
    assert_eq!(scopes.details["without meeting:update:meeting"], "no update_meeting");
    assert_eq!(
        scopes.details["without cloud_recording:read:recording"],
        "no new_recording, complete_recording, recording_transcript_completed"
    );
    assert_eq!(scopes.details["without meeting:write:meeting"], Value::Null);
    let webhooks = found("webhooks");
    assert_eq!(webhooks.state, "warn");
    assert!(
        webhooks.hint.contains("jackfield integration set zoom --webhook-secret-file FILE"),
        "{webhooks:?}"
    );
    drop(server);
    keeps_secrets(&home, &[&home.run(&["-vv", "doctor"])]);
}

#[test]
fn doctor_counts_the_connections_that_wait_for_somebody() {
    let simulator = Simulator::start(&["--app", "server-to-server"]);
    let home = home(&simulator, None);
    let added = home.run(&["integration", "add", "zoom", "--auth", "server_to_server"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    let typed = ["account_id", "client_id", "client_secret"].map(|name| (name, &simulator.ready[name]));
    let typed: serde_json::Map<String, Value> =
        typed.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    file(&home, "account.json", &Value::Object(typed).to_string());
    let connected = home.run(&["connect", "zoom", "-f", "account.json"]);
    assert_eq!(connected.code, 0, "{}", connected.stderr);
    let found = doctor(&home, 0);
    assert_eq!(
        (found("client").state.as_str(), found("client").text.as_str()),
        ("ok", "zoom: each connection brings its own")
    );
    assert_eq!(
        (found("connection").state.as_str(), found("connection").text.as_str()),
        ("ok", "none waits for anybody")
    );

    // Not even a fresh token is accepted any more.
    simulator.fault(&json!({"path": "/users/*/meetings", "times": 9, "answer": {"kind": "expired-token"}}));
    let invoke = ["action", "invoke", "zoom.get_meetings", "--set", "user_id=host@example.com", "-o", "json"];
    assert_eq!(home.run(&invoke).error(4)["kind"], "unauthorized");
    let waiting = doctor(&home, 0)("connection");
    assert_eq!(
        (waiting.state.as_str(), waiting.text.as_str()),
        ("warn", "1 connection to zoom needs its user to connect again (needs_reauth)")
    );
    // What it says to type works.
    let command = waiting.hint.split(": ").nth(1).unwrap().split(';').next().unwrap();
    assert_eq!(command, "jackfield connection list --connector zoom --state needs_reauth");
    let args: Vec<&str> = command.split(' ').skip(1).chain(["-o", "json"]).collect();
    assert_eq!(home.run(&args).json().as_array().unwrap().len(), 1);
}

#[test]
fn doctor_does_not_take_another_server_for_this_one() {
    let simulator = Simulator::start(&[]);
    // It knows what an answer looks like, and not the key that it is made with.
    let other = Provider::start(|_, _| {
        reply(200, &[], r#"{"nonce": "ZxtYl0J3g1zYt1v8y4uQm5sHkqk1nWc2b7Xo9Rr6TtE"}"#)
    });
    let home = home(&simulator, Some(&other.url()));
    set_up(&simulator, &home, SCOPES);
    let server = home.serve();
    let address = doctor(&home, 1)("public_url");
    assert!(address.state == "bad" && address.text.ends_with(" leads to something else"), "{address:?}");
    drop(server);
}

#[test]
fn doctor_waits_for_nobody_and_condemns_nobody_who_cannot_be_asked() {
    let simulator = Simulator::start(&[]);
    let (provider, let_go) = Provider::held(200, &[], "{}");
    let home = Home::with(&["zoom"]);
    home.configure(&format!(
        "[integrations.zoom.endpoints]\napi = \"{0}\"\noauth = \"{0}\"\n",
        provider.url()
    ));
    set_up(&simulator, &home, SCOPES);
    let found = doctor(&home, 0);
    for check in ["client", "clock"] {
        assert_eq!(found(check).state, "warn", "{:?}", found(check));
    }
    let outcome = home.run(&["doctor"]);
    assert!(outcome.took < Duration::from_secs(15), "{:?}", outcome.took);
    drop(let_go);
}

#[test]
fn doctor_misses_keys_and_tells_addresses_that_others_can_read() {
    let simulator = Simulator::start(&[]);
    // An address of this machine that does not look like one.
    let home = home(&simulator, Some("http://0.0.0.0:9"));
    assert_eq!(doctor(&home, 0)("vault").text, "there are no secrets yet; a key is made with the first one");
    set_up(&simulator, &home, SCOPES);
    let address = doctor(&home, 0)("address");
    assert_eq!(address.state, "warn");
    assert!(address.hint.contains("public_url"), "{address:?}");
    let keys = home.path().join("keys/vault.keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(doctor(&home, 1)("vault").state, "bad");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(doctor(&home, 0)("vault").state, "ok");
    fs::rename(&keys, home.path().join("moved")).unwrap();
    let vault = doctor(&home, 1)("vault");
    assert!(vault.state == "bad" && vault.text.contains(" lacks key_"), "{vault:?}");
    assert!(!keys.exists(), "no key is made while something is sealed");
}
