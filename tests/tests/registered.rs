//! Triggers whose webhooks are registered at the provider for each subscription: registered when somebody subscribes, proven by a
//! secret of their own, renewed, and removed when nobody wants them any more. Their events are completed before they are kept.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::sync::{Arc, Mutex, RwLock};

use aws_lc_rs::hmac;
use jackfield_tests::{
    Act, Answer, Provider, Request, artifact, eventually, feeds::Fed, hooks, http_bytes, reply,
};
use serde_json::{Value, json};

const TRIGGER: &str = "forge.new_commit";

/// What the forge knows.
#[derive(Default)]
struct Forge {
    made: u64,
    /// The hooks that are registered: their ids, addresses and secrets.
    hooks: Vec<(u64, String, String)>,
    /// Instead of what was asked for, in turn: of requests with this method to paths that hold this.
    instead: Vec<(&'static str, &'static str, Vec<Act>)>,
    /// Whoever keeps it holds up what is asked about commits.
    gate: Arc<RwLock<()>>,
}

type World = Arc<Mutex<Forge>>;

fn json_reply(status: u16, body: &Value) -> Vec<Act> {
    reply(status, &[("content-type", "application/json")], body.to_string())
}

fn answer(world: &World, request: &Request) -> Vec<Act> {
    let (method, path) = (request.method.as_str(), request.target.as_str());
    if path.contains("/commits/") {
        let gate = world.lock().unwrap().gate.clone();
        drop(gate.read());
    }
    let mut forge = world.lock().unwrap();
    if let Some(at) = forge.instead.iter().position(|(its, part, _)| *its == method && path.contains(part)) {
        return forge.instead.remove(at).2;
    }
    match (method, path) {
        ("GET", "/user") => json_reply(200, &json!({"id": 7, "login": "octo"})),
        ("POST", "/repos/octo/app/hooks") => {
            let config = &request.json()["config"];
            forge.made += 1;
            let id = forge.made;
            forge.hooks.push((id, text(&config["url"]).to_owned(), text(&config["secret"]).to_owned()));
            json_reply(201, &json!({"id": id}))
        }
        ("DELETE", path) => {
            let id: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
            let before = forge.hooks.len();
            forge.hooks.retain(|(known, ..)| *known != id);
            if forge.hooks.len() < before { reply(204, &[], "") } else { json_reply(404, &json!({})) }
        }
        ("GET", path) if path.contains("/commits/") => json_reply(200, &json!({"stats": {"additions": 12}})),
        _ => json_reply(404, &json!({})),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fed() -> (Fed, World) {
    let world = World::default();
    let answers = world.clone();
    let provider = Provider::start(move |request, _| answer(&answers, request));
    (Fed::start("forge", "token", &json!({"token": "token-canary"}), provider), world)
}

fn subscribe(fed: &Fed) -> String {
    fed.subscribe(TRIGGER, &json!({"owner": "octo", "repo": "app"}))
}

/// Subscribes, and waits until that is registered: the subscription, its address and its secret.
fn registered(fed: &Fed, world: &World) -> (String, String, String) {
    let id = subscribe(fed);
    fed.is(&id, "it is registered", |feed| feed["begun"] == true);
    let hooks = world.lock().unwrap().hooks.clone();
    let (_, url, secret) = hooks.into_iter().find(|(_, url, _)| url.ends_with(&id)).unwrap();
    (id, url, secret)
}

fn push(commits: &[&str]) -> String {
    let commits: Vec<Value> = commits
        .iter()
        .map(|id| json!({"id": id, "message": "Mend it", "timestamp": "2030-01-31T09:00:00Z"}))
        .collect();
    json!({"repository": {"full_name": "octo/app"}, "sender": {"id": 99}, "commits": commits}).to_string()
}

/// Sends something as the forge does.
fn send(url: &str, secret: &str, delivery: &str, event: &str, body: &str) -> Answer {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("sha256={hex}");
    let headers = [
        ("content-type", "application/json"),
        ("x-forge-event", event),
        ("x-forge-delivery", delivery),
        ("x-forge-signature-256", signature.as_str()),
    ];
    http_bytes("POST", url, &headers, body.as_bytes())
}

fn deliveries(fed: &Fed, query: &str) -> Vec<Value> {
    let list = fed.asked("GET", &format!("/v1/deliveries?limit=200{query}"), &Value::Null);
    list["items"].as_array().unwrap().clone()
}

#[test]
fn it_is_registered_proven_by_its_own_secret_and_removed() {
    let (fed, world) = fed();
    let (id, url, secret) = registered(&fed, &world);
    assert_eq!(url, format!("{}/webhooks/forge/{}/default/{id}", fed.url(), fed.integration));
    assert_eq!(secret.len(), 64, "it is drawn at random");
    let asked = fed.provider.requests();
    let register = asked.iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(register.header("authorization"), Some("Bearer token-canary"), "as the connection");
    let feed = fed.feed(&id);
    assert!(feed["kind"] == "webhook" && feed["due"].is_null() && feed["reason"].is_null(), "{feed}");
    let answer = send(&url, &secret, "d-1", "push", &push(&["c1", "c2"]));
    assert_eq!(answer.status, 200, "{}", answer.body);
    fed.app.provider.is_asked(2);
    let events = fed.app.events();
    let commits: Vec<&str> = events.iter().map(|event| text(&event["data"]["id"])).collect();
    assert_eq!(commits, ["c1", "c2"]);
    for event in &events {
        assert_eq!(
            (&event["type"], &event["connection"]),
            (&json!(TRIGGER), &json!(fed.connection)),
            "{event}"
        );
        assert_eq!((&event["user"], &event["data"]["additions"]), (&json!("u_1"), &json!(12)), "{event}");
        assert!(event["delivery"].is_string() && event["incomplete"].is_null(), "{event}");
    }
    // The same delivery again, and the same commit in another one, are nothing new.
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1", "c2"])).status, 200);
    assert_eq!(send(&url, &secret, "d-2", "push", &push(&["c2", "c3"])).status, 200);
    fed.app.provider.is_asked(3);
    assert_eq!(deliveries(&fed, "").len(), 2);
    assert_eq!(deliveries(&fed, "")[0]["subscription"], id.as_str());
    assert_eq!(fed.kept(TRIGGER).len(), 3);
    // What proves nothing, or comes elsewhere, is not kept.
    let body = push(&["c4"]);
    assert_eq!(send(&url, "another-secret", "d-3", "push", &body).status, 401);
    let whole = format!("{}/webhooks/forge/{}", fed.url(), fed.integration);
    assert_eq!(send(&whole, &secret, "d-3", "push", &body).status, 503, "that address has no secret");
    for elsewhere in [
        format!("{whole}/default"),
        format!("{whole}/other/{id}"),
        format!("{whole}/default/sub_0"),
        url.replace("int_", "int_0"),
        url.replace("/forge/", "/forgf/"),
    ] {
        assert_eq!(send(&elsewhere, &secret, "d-3", "push", &body).status, 404, "{elsewhere}");
    }
    let removed = fed.home.run(&["subscription", "remove", &id, "--yes"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    eventually("it is removed at the provider", || world.lock().unwrap().hooks.is_empty());
    assert_eq!(send(&url, &secret, "d-4", "push", &body).status, 404);
    eventually("nothing is left of it", || {
        let count = "SELECT (SELECT count(*) FROM subscriptions) + (SELECT count(*) FROM feeds)
            + (SELECT count(*) FROM seen)";
        fed.database().query_row(count, [], |row| row.get::<_, i64>(0)) == Ok(0)
    });
    assert_eq!(fed.sent().len(), 3);
}

#[test]
fn each_subscription_has_its_own_address_and_secret_and_gets_what_comes_there() {
    let (fed, world) = fed();
    let (one, url, secret) = registered(&fed, &world);
    let (other, its_url, its_secret) = registered(&fed, &world);
    assert!(url != its_url && secret != its_secret);
    assert_eq!(send(&its_url, &secret, "d-1", "push", &push(&["c1"])).status, 401, "a secret of another one");
    // The provider tells both of the same thing, and numbers it the same.
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1"])).status, 200);
    fed.app.provider.is_asked(1);
    assert_eq!(send(&its_url, &its_secret, "d-1", "push", &push(&["c1"])).status, 200);
    fed.app.provider.is_asked(2);
    let sent = fed.asked("GET", "/v1/dispatches", &Value::Null);
    let mut to: Vec<&str> =
        sent["items"].as_array().unwrap().iter().map(|one| text(&one["subscription"])).collect();
    to.sort_unstable();
    assert_eq!(to, [one.as_str(), other.as_str()], "ids sort by time");
    fed.asked("DELETE", &format!("/v1/subscriptions/{one}"), &Value::Null);
    eventually("only one is left at the provider", || world.lock().unwrap().hooks.len() == 1);
    assert_eq!(
        send(&its_url, &its_secret, "d-2", "push", &push(&["c2"])).status,
        200,
        "the other one lives on"
    );
    fed.app.provider.is_asked(3);
}

#[test]
fn what_cannot_be_registered_says_why_and_is_tried_again() {
    let (mut fed, world) = fed();
    let no = json_reply(403, &json!({"message": "out of hooks"}));
    world.lock().unwrap().instead.extend([("POST", "/hooks", no.clone()), ("POST", "/hooks", no)]);
    let id = subscribe(&fed);
    let feed = fed.is(&id, "it failed", |feed| feed["failures"] == 1);
    assert!(feed["begun"] == false && (1..=5).contains(&fed.waits(&id)), "{feed}");
    let shown = fed.home.run(&["subscription", "show", &id]).stdout;
    assert!(shown.contains("out of hooks") && shown.contains("not registered yet"), "{shown}");
    fed.hurry(&id);
    fed.is(&id, "it failed again", |feed| feed["failures"] == 2);
    // Whoever serves next registers what is not, without being told.
    fed.end();
    let sql = "UPDATE feeds SET due = 0, wait = 0";
    assert_eq!(fed.database().execute(sql, []), Ok(1));
    fed.serve();
    let feed = fed.is(&id, "it is registered", |feed| feed["begun"] == true);
    assert!(feed["failures"] == 0 && feed["reason"].is_null(), "{feed}");
    assert_eq!(world.lock().unwrap().hooks.len(), 1);
}

#[test]
fn a_kill_while_it_is_registered_leaves_a_subscription_that_is_registered() {
    let (mut fed, world) = fed();
    world.lock().unwrap().instead.push((
        "POST",
        "/hooks",
        vec![Act::Pause(std::time::Duration::from_secs(20))],
    ));
    let before = fed.provider.requests().len();
    let id = subscribe(&fed);
    fed.provider.is_asked(before + 1);
    fed.kill();
    assert!(world.lock().unwrap().hooks.is_empty());
    fed.serve();
    fed.is(&id, "it is registered", |feed| feed["begun"] == true);
    let (_, url, secret) = world.lock().unwrap().hooks[0].clone();
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1"])).status, 200);
    fed.app.provider.is_asked(1);
}

#[test]
fn it_is_removed_later_if_the_provider_cannot_do_it_now_and_keeps_nobody_waiting() {
    let (mut fed, world) = fed();
    let (id, url, secret) = registered(&fed, &world);
    world.lock().unwrap().instead.push(("DELETE", "/hooks/", reply(500, &[], "")));
    fed.asked("DELETE", &format!("/v1/subscriptions/{id}"), &Value::Null);
    let (status, _) = fed.home.ask("GET", &format!("/v1/subscriptions/{id}"), &Value::Null);
    assert_eq!(status, 404, "it is gone at once");
    assert_eq!(fed.asked("GET", "/v1/subscriptions", &Value::Null)["items"], json!([]));
    let (status, _) = fed.home.ask("DELETE", &format!("/v1/subscriptions/{id}"), &Value::Null);
    assert_eq!(status, 404, "once");
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1"])).status, 404, "nothing is taken for it");
    eventually("it was tried", || {
        let sql = "SELECT failures FROM feeds WHERE subscription = ?1";
        fed.database().query_row(sql, [&id], |row| row.get::<_, i64>(0)) == Ok(1)
    });
    assert_eq!(world.lock().unwrap().hooks.len(), 1);
    fed.kill();
    let sql = "UPDATE feeds SET due = 0, wait = 0";
    assert_eq!(fed.database().execute(sql, []), Ok(1));
    fed.serve();
    eventually("it is removed at the provider", || world.lock().unwrap().hooks.is_empty());
    eventually("it is forgotten", || {
        fed.database().query_row("SELECT count(*) FROM subscriptions", [], |row| row.get::<_, i64>(0))
            == Ok(0)
    });
    // One that the provider has lost already is what is wanted.
    let (other, ..) = registered(&fed, &world);
    world.lock().unwrap().hooks.clear();
    fed.asked("DELETE", &format!("/v1/subscriptions/{other}"), &Value::Null);
    eventually("it is forgotten too", || {
        fed.database().query_row("SELECT count(*) FROM feeds", [], |row| row.get::<_, i64>(0)) == Ok(0)
    });
}

#[test]
fn a_home_that_has_moved_registers_its_new_address() {
    let (mut fed, world) = fed();
    let (id, url, secret) = registered(&fed, &world);
    fed.end();
    let file = fed.home.path().join("jackfield.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, toml.replace("http://localhost:", "http://127.0.0.1:")).unwrap();
    fed.serve();
    let moved = url.replace("localhost", "127.0.0.1");
    eventually("the new address is registered, and the old one is not", || {
        let hooks = world.lock().unwrap().hooks.clone();
        hooks.len() == 1 && hooks[0].1 == moved
    });
    fed.is(&id, "it is registered", |feed| feed["begun"] == true);
    assert_eq!(world.lock().unwrap().hooks[0].2, secret, "under the same secret");
}

#[test]
fn an_event_is_completed_later_if_that_cannot_be_done_now_and_kept_as_it_is_if_it_never_can() {
    let (fed, world) = fed();
    let (_, url, secret) = registered(&fed, &world);
    world.lock().unwrap().instead.push(("GET", "/commits/", reply(503, &[], "")));
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1"])).status, 200);
    fed.app.provider.is_asked(1);
    let asked =
        fed.provider.requests().iter().filter(|request| request.target.contains("/commits/c1")).count();
    assert_eq!(asked, 2, "it was put off and completed");
    assert_eq!(fed.sent()[0]["additions"], 12);
    assert_eq!(deliveries(&fed, "")[0]["attempts"], 1);
    world.lock().unwrap().instead.push((
        "GET",
        "/commits/",
        json_reply(404, &json!({"message": "no commit"})),
    ));
    assert_eq!(send(&url, &secret, "d-2", "push", &push(&["c2"])).status, 200);
    fed.app.provider.is_asked(2);
    let event = &fed.app.events()[1];
    assert!(
        event["data"]["additions"].is_null() && text(&event["incomplete"]).contains("no commit"),
        "{event}"
    );
}

#[test]
fn who_takes_long_over_deliveries_keeps_nobody_elses_waiting() {
    let (fed, world) = fed();
    let (_, url, secret) = registered(&fed, &world);
    fed.home.add(&artifact("libzoom.so"));
    eventually("Zoom's library is there", || {
        let list = fed.asked("GET", "/v1/connectors", &Value::Null);
        list["items"].as_array().unwrap().iter().any(|one| one["name"] == "zoom" && one["state"] == "ready")
    });
    let wish = json!({"connector": "zoom", "webhook_secret": hooks::SECRET});
    let zoom = fed.asked("POST", "/v1/integrations", &wish);
    let zoom = format!("{}/webhooks/zoom/{}", fed.url(), text(&zoom["id"]));
    let gate = world.lock().unwrap().gate.clone();
    let kept = gate.write().unwrap();
    // More than are looked at at once of everybody: each asks the forge, which does not answer.
    for number in 1..=80 {
        let (delivery, commit) = (format!("d-{number}"), format!("c{number}"));
        assert_eq!(send(&url, &secret, &delivery, "push", &push(&[&commit])).status, 200);
    }
    let held = || fed.provider.requests().iter().filter(|one| one.target.contains("/commits/")).count();
    eventually("the forge is asked", || held() > 0);
    let body = hooks::created(1, "somebody", &json!({})).to_string();
    let now = hooks::now().to_string();
    let answer = hooks::deliver(&zoom, body.as_bytes(), hooks::SECRET, &now, &[]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    eventually("Zoom's is done", || {
        deliveries(&fed, "&connector=zoom").iter().all(|one| one["state"] == "done")
    });
    let waiting = deliveries(&fed, "&connector=forge");
    assert!(
        waiting.iter().all(|one| one["state"] == "waiting" && one["attempts"] == 0),
        "nobody had to be given up for that: {}",
        waiting[79]
    );
    assert!(held() <= 16, "as many as one connector may have under way");
    drop(kept);
    // What has ended makes room for the next one, and all of them are made once and in order.
    fed.app.provider.is_asked(80);
    let commits: Vec<String> =
        fed.app.events().iter().map(|event| text(&event["data"]["id"]).to_owned()).collect();
    let expected: Vec<String> = (1..=80).map(|number| format!("c{number}")).collect();
    assert_eq!(commits, expected);
    assert_eq!(fed.kept(TRIGGER).len(), 80);
}

#[test]
fn it_waits_for_its_connection_and_is_given_up_with_it() {
    let (fed, world) = fed();
    let (id, url, secret) = registered(&fed, &world);
    let wish = json!({"trigger": TRIGGER, "parameters": {"owner": "octo", "repo": "app"}, "url": fed.app.provider.url()});
    let (status, refused) = fed.home.ask("POST", "/v1/subscriptions", &wish);
    assert_eq!((status, &refused["problems"][0]["path"]), (422, &json!("/connection")), "{refused}");
    fed.asked("DELETE", &format!("/v1/connections/{}", fed.connection), &Value::Null);
    eventually("its webhook is removed while that can still be done", || {
        world.lock().unwrap().hooks.is_empty()
    });
    let feed = fed.feed(&id);
    assert!(text(&feed["reason"]).contains("is gone") && feed["begun"] == false, "{feed}");
    // What comes nevertheless is nobody's.
    assert_eq!(send(&url, &secret, "d-1", "push", &push(&["c1"])).status, 200);
    eventually("it lies on the shelf", || deliveries(&fed, "&state=unrouted").len() == 1);
    assert_eq!(deliveries(&fed, "")[0]["reason"], "its subscription's connection is gone");
    fed.asked("DELETE", &format!("/v1/subscriptions/{id}"), &Value::Null);
    assert_eq!(
        fed.database().query_row("SELECT count(*) FROM feeds", [], |row| row.get::<_, i64>(0)),
        Ok(0),
        "there is nothing to end any more"
    );
    assert!(fed.sent().is_empty());
}
