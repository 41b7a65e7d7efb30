//! What people are told about events by the command line and the API: what is mistyped, why something is so, and who did what.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{
    hooks::{self, Hooks},
    http,
};
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn what_is_mistyped_is_said_and_not_taken_for_nothing() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let run = |args: &[&str]| hooks.accounts.home.run(args);
    let (no_event, no_subscription) =
        (connection.replace("conn_", "evt_"), connection.replace("conn_", "sub_"));
    let no_connection = format!("{}0", &connection[..connection.len() - 1]).replace("conn_0", "conn_1");
    assert_eq!(
        run(&["event", "list", "--type", "zoom.new_meeting", "-c", &connection]).code,
        0,
        "nothing is fine"
    );
    let cases: [(&[&str], &str); 9] = [
        (&["event", "show", &no_event], "there is no event"),
        (&["event", "list", "--type", "zoom.new_meting"], "did you mean `zoom.new_meeting`?"),
        (&["event", "list", "--type", "connection.state_chnged"], "did you mean `connection.state_changed`?"),
        (&["event", "list", "-c", &no_connection], "there is no connection"),
        (&["event", "sent", "--event", &no_event], "there is no event"),
        (&["event", "sent", "--subscription", &no_subscription], "there is no subscription"),
        (&["event", "replay", &no_event], "there is no event"),
        (&["event", "replay", "--type", "zoom.new_meting"], "did you mean `zoom.new_meeting`?"),
        (&["event", "replay", "--subscription", &no_subscription], "there is no subscription"),
    ];
    let code = run(cases[0].0).code;
    assert_ne!(code, 0);
    for (args, says) in cases {
        let outcome = run(args);
        assert_eq!(outcome.code, code, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(says), "{args:?}: {}", outcome.stderr);
    }
    let fire = ["trigger", "fire", "zoom.new_meeting"];
    let fired = run(&[&fire[..], &["--set", "payload.object.topc=Lunch"]].concat());
    assert_eq!(fired.code, 2, "{}", fired.stderr);
    assert!(fired.stderr.contains("did you mean `payload.object.topic`?"), "{}", fired.stderr);
    // Whoever wants more than the sample has says the whole of it.
    let object = json!({"id": 1, "uuid": "u==", "host_id": "a-stranger", "type": 2, "agenda": "Plans"});
    let more = format!("payload.object={object}");
    assert_eq!(run(&[&fire[..], &["--set", &more]].concat()).code, 0);
    let add = ["subscription", "add", "zoom.new_meeting", "--url"];
    for url in ["https://localhost/hook", "https://app.localhost./hook"] {
        let local = run(&[&add[..], &[url]].concat());
        assert_eq!(local.code, 2, "{}", local.stderr);
        for says in ["leads to", "private_urls under [events]", "trigger listen TRIGGER --forward-to"] {
            assert!(local.stderr.contains(says), "{}", local.stderr);
        }
    }
    let filters = [
        (
            r#"{"all": [{"field": "a", "operator": "containz"}]}"#,
            "/all/0/operator of the filter is no operator, `containz`: did you mean `contains`?",
        ),
        (r#"{"any": {"field": "a"}}"#, "/any of the filter is no list of filters"),
        (r#"{"feld": "a"}"#, "did you mean `field`?"),
        ("{", "the filter is no JSON, at line 1, column 1"),
    ];
    for (filter, says) in filters {
        let refused = run(&[&add[..], &["https://app.example.com/hook", "--filter", filter]].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            refused.stderr.contains(says) && refused.stderr.contains("it looks like {"),
            "{}",
            refused.stderr
        );
    }
    let wish =
        json!({"trigger": "zoom.new_meeting", "url": "https://app.example.com", "filter": {"field": "a"}});
    let (status, refused) = hooks.accounts.ask("POST", "/v1/subscriptions", &wish);
    assert!(
        matches!(status, 400 | 422) && refused["message"].to_string().contains("has no `operator`"),
        "{refused}"
    );
    // What is Jackfield's own is listed and shown beside what connectors have.
    assert!(run(&["trigger", "list"]).stdout.contains("connection.state_changed"));
    let own = run(&["trigger", "show", "connection.state_changed"]);
    assert!(own.code == 0 && own.stdout.contains("Jackfield itself"), "{}{}", own.stdout, own.stderr);
    let (status, _) = hooks.accounts.ask("DELETE", &format!("/v1/connections/{connection}"), &Value::Null);
    assert_eq!(status, 200);
    let again = hooks.accounts.connect("u_1", "host@example.com");
    let (status, _) = hooks.accounts.ask("POST", &format!("/v1/connections/{again}/revoke"), &Value::Null);
    assert_eq!(status, 200);
    for more in [&["-c", &*again][..], &[]] {
        let fired = run(&[&fire[..], more].concat());
        assert_ne!(fired.code, 0);
        assert!(
            fired.stderr.contains("is revoked") && fired.stderr.contains("nothing is sent"),
            "{}",
            fired.stderr
        );
    }
}

#[test]
fn one_is_said_as_one() {
    let hooks = Hooks::zoom();
    let forge = || hooks.send_signed(b"{}", "another secret", &hooks::now().to_string(), &[]).status;
    let doctor = || hooks.accounts.home.run(&["doctor"]).stdout;
    assert_eq!(forge(), 401);
    let said = doctor();
    assert!(said.contains("1 request to the webhook was refused") && said.contains("once"), "{said}");
    assert_eq!(forge(), 401);
    let said = doctor();
    assert!(said.contains("2 requests to the webhook were refused") && said.contains("2 times"), "{said}");
}

#[test]
fn why_nobody_was_known_is_not_said_of_what_is_somebodys() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    assert_eq!(hooks.send(hooks.created(1, "a-stranger", &json!({})).to_string().as_bytes()).status, 200);
    hooks.settle();
    let reason = || hooks.deliveries("")[0]["reason"].clone();
    assert!(text(&reason()).contains("no connection"), "{}", reason());
    let stray = text(&hooks.events("&unrouted=true")[0]["id"]).to_owned();
    assert_eq!(hooks.accounts.home.run(&["event", "route", &stray, "-c", &connection]).code, 0);
    assert_eq!(reason(), Value::Null);
}

#[test]
fn who_did_what_is_listed_and_an_apps_user_is_told_no_commands() {
    let hooks = Hooks::zoom();
    let home = &hooks.accounts.home;
    let log = |args: &[&str]| home.run(&[&["audit", "-o", "json"][..], args].concat()).json();
    let whole = log(&[]);
    let whole = whole.as_array().unwrap();
    let numbers: Vec<i64> = whole.iter().map(|one| one["seq"].as_i64().unwrap()).collect();
    assert!(
        numbers.len() > 1 && numbers.is_sorted_by(|one, next| one > next),
        "the newest first: {numbers:?}"
    );
    assert_eq!(log(&["-n", "1"]).as_array().unwrap()[..], whole[..1]);
    let token = home.run(&["token", "create"]).stdout.trim().to_owned();
    assert_eq!(home.run(&["project", "add", "other"]).code, 0);
    let of = |project: &str| log(&["--project", project]).as_array().unwrap().clone();
    assert!(of("other").iter().all(|one| one["project"] == "other"));
    assert!(of("default").len() < log(&[]).as_array().unwrap().len() && !of("default").is_empty());
    assert_ne!(home.run(&["audit", "--project", "nope"]).code, 0);
    let file = home.path().join("token");
    std::fs::write(&file, &token).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.display().to_string();
    let elsewhere = ["--server", &hooks.accounts.url(), "--server-token-file", &file, "-n", "1"];
    assert_eq!(log(&elsewhere)[0]["action"], "token.create", "of the token's own project alone");
    // What an operator could type helps an operator alone.
    let user =
        home.run(&["token", "create", "--user", "u_1", "--project", "default"]).stdout.trim().to_owned();
    let hint = |token: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        let url = format!("{}{path}", hooks.accounts.url());
        let answer = http("GET", &url, &[("authorization", &bearer), ("jackfield-project", "default")], "");
        assert!(answer.status >= 400 && !answer.json()["message"].is_null(), "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        answer.json()["hint"].clone()
    };
    for path in [
        "/v1/events/evt_01a226fb8ac97116a69441a9b648685c",
        "/v1/connections/conn_01a226fb8ac97116a69441a9b648685c",
    ] {
        assert!(text(&hint(&token, path)).contains("jackfield "), "{path}");
        assert_eq!(hint(&user, path), Value::Null, "{path}");
    }
    assert_eq!(hint(&user, "/v1/audit"), Value::Null);
}
