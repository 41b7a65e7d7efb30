//! Webhooks that are registered for a while, with a secret that the provider makes: renewed before they end, registered again when
//! they have ended, and proven by whatever secret the provider has told last, or the one before.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use jackfield_tests::{Act, Provider, Request, eventually, feeds::Fed, hooks::timestamp, http_bytes, reply};
use serde_json::{Value, json};

const TRIGGER: &str = "parcels.parcel_delivered";

/// What the parcel service knows.
struct Parcels {
    /// The hooks that are registered, and where.
    hooks: Vec<(u64, String)>,
    /// How many hooks and secrets were made.
    made: u64,
    secrets: u64,
    /// For how many seconds it registers and renews.
    life: i64,
    /// Whether it makes another secret when it renews.
    rotates: bool,
    /// How renewals are answered instead, in turn.
    instead: Vec<Vec<Act>>,
}

type World = Arc<Mutex<Parcels>>;

fn json_reply(status: u16, body: &Value) -> Vec<Act> {
    reply(status, &[("content-type", "application/json")], body.to_string())
}

impl Parcels {
    fn told(&mut self, id: u64, makes_secret: bool) -> Vec<Act> {
        let mut told = json!({"id": id, "until": timestamp(self.life)});
        if makes_secret {
            self.secrets += 1;
            told["secret"] = json!(secret(self.secrets));
        }
        json_reply(200, &told)
    }

    fn answer(&mut self, request: &Request) -> Vec<Act> {
        let id = || request.target.rsplit('/').next().unwrap().parse::<u64>().unwrap();
        match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/me") => json_reply(200, &json!({"id": 7, "name": "Anna"})),
            ("POST", "/hooks") => {
                self.made += 1;
                self.hooks.push((self.made, request.json()["url"].as_str().unwrap().to_owned()));
                self.told(self.made, true)
            }
            ("PUT", _) if !self.instead.is_empty() => self.instead.remove(0),
            ("PUT", _) if self.hooks.iter().any(|(known, _)| *known == id()) => self.told(id(), self.rotates),
            ("DELETE", _) => {
                self.hooks.retain(|(known, _)| *known != id());
                reply(204, &[], "")
            }
            _ => json_reply(404, &json!({})),
        }
    }
}

/// The secret that the provider makes as this one.
fn secret(number: u64) -> String {
    format!("secret-canary-{number}")
}

fn fed() -> (Fed, World) {
    let parcels =
        Parcels { hooks: Vec::new(), made: 0, secrets: 0, life: 3600, rotates: false, instead: Vec::new() };
    let world = Arc::new(Mutex::new(parcels));
    let answers = world.clone();
    let provider = Provider::start(move |request, _| answers.lock().unwrap().answer(request));
    (Fed::start("parcels", "key", &json!({"key": "key-canary"}), provider), world)
}

/// Subscribes, and waits until that is registered: the subscription and its address.
fn registered(fed: &Fed) -> (String, String) {
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it is registered", |feed| feed["begun"] == true);
    let url = format!("{}/webhooks/parcels/{}/deliveries/{id}", fed.url(), fed.integration);
    (id, url)
}

/// How often the provider was asked for this.
fn asked(fed: &Fed, method: &str) -> usize {
    let is_it = |request: &&Request| request.method == method && request.target.starts_with("/hooks");
    fed.provider.requests().iter().filter(is_it).count()
}

/// Renews at once, and waits for what comes of it.
fn renew(fed: &Fed, id: &str) {
    let sql = "UPDATE feeds SET last = 0 WHERE subscription = ?1";
    assert_eq!(fed.database().execute(sql, [id]), Ok(1));
    fed.hurry(id);
    eventually("it is renewed", || {
        let sql =
            "SELECT last > 0 AND failures = 0 AND lease_until IS NULL FROM feeds WHERE subscription = ?1";
        fed.database().query_row(sql, [id], |row| row.get(0)) == Ok(true)
    });
}

/// Tells of a parcel, signed with this secret of the provider's: the status of the answer.
#[track_caller]
fn tell(url: &str, number: u64, parcel: &str) -> u16 {
    let body = json!({"type": "delivered", "parcel": parcel}).to_string();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret(number).as_bytes()), body.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [("content-type", "application/json"), ("x-parcels-signature", &signature)];
    http_bytes("POST", url, &headers, body.as_bytes()).status
}

#[test]
fn it_is_renewed_when_a_quarter_of_its_time_is_left() {
    let (fed, world) = fed();
    let (id, _) = registered(&fed);
    assert!((2_600..=2_700).contains(&fed.waits(&id)), "{}", fed.waits(&id));
    let until = fed.feed(&id)["expires"].clone();
    world.lock().unwrap().life = 86_400;
    renew(&fed, &id);
    assert_eq!((asked(&fed, "POST"), asked(&fed, "PUT")), (1, 1));
    assert!((64_000..=64_800).contains(&fed.waits(&id)), "{}", fed.waits(&id));
    let feed = fed.feed(&id);
    assert!(feed["expires"].as_str() > until.as_str(), "{feed}, before {until}");
    let renewal = fed.provider.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!((renewal.target.as_str(), renewal.header("x-api-key")), ("/hooks/1", Some("key-canary")));
    let shown = fed.home.run(&["subscription", "show", &id]).stdout;
    assert!(shown.contains("good until"), "{shown}");
    // One that ends in a moment is not asked about all the time.
    world.lock().unwrap().life = 20;
    renew(&fed, &id);
    assert!((50..=60).contains(&fed.waits(&id)), "{}", fed.waits(&id));
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_what_is_registered_goes_on() {
    let (mut fed, world) = fed();
    let (id, url) = registered(&fed);
    // Its time is not over, so a refusal is no reason to register another one.
    let answers = [reply(503, &[], ""), json_reply(400, &json!({"message": "not now"}))];
    world.lock().unwrap().instead.extend(answers);
    fed.hurry(&id);
    fed.is(&id, "it failed", |feed| feed["failures"] == 1);
    assert!((1..=5).contains(&fed.waits(&id)), "{}", fed.waits(&id));
    assert_eq!(tell(&url, 1, "p-1"), 200);
    fed.app.provider.is_asked(1);
    fed.hurry(&id);
    let feed = fed.is(&id, "it failed again", |feed| feed["failures"] == 2);
    assert!(
        feed["reason"].as_str().unwrap().contains("refused with status 400") && feed["begun"] == true,
        "{feed}"
    );
    // Whoever is killed over it leaves it to whoever serves next.
    world.lock().unwrap().instead.push(vec![Act::Pause(Duration::from_secs(20))]);
    let before = fed.provider.requests().len();
    fed.hurry(&id);
    fed.provider.is_asked(before + 1);
    fed.kill();
    fed.serve();
    let feed = fed.is(&id, "it is renewed", |feed| feed["failures"] == 0);
    assert!(feed["reason"].is_null() && feed["begun"] == true, "{feed}");
    assert_eq!((asked(&fed, "POST"), asked(&fed, "PUT")), (1, 4));
    assert!((2_600..=2_700).contains(&fed.waits(&id)), "{}", fed.waits(&id));
    assert_eq!(tell(&url, 1, "p-2"), 200, "under the same secret");
    fed.app.provider.is_asked(2);
}

#[test]
fn one_that_the_provider_has_forgotten_is_registered_again_at_its_address() {
    let (fed, world) = fed();
    let (id, url) = registered(&fed);
    world.lock().unwrap().hooks.clear();
    renew(&fed, &id);
    assert_eq!((asked(&fed, "PUT"), asked(&fed, "POST")), (1, 2));
    assert_eq!(world.lock().unwrap().hooks, [(2, url.clone())]);
    assert_eq!(tell(&url, 2, "p-1"), 200);
    // What it sent before it forgot may still be on its way.
    assert_eq!(tell(&url, 1, "p-2"), 200);
    // Not everybody says of what has run out that it is not found.
    world.lock().unwrap().life = -1;
    renew(&fed, &id);
    let mut answers = world.lock().unwrap();
    answers.instead.push(json_reply(400, &json!({"message": "it has run out"})));
    answers.life = 3600;
    drop(answers);
    renew(&fed, &id);
    assert_eq!((asked(&fed, "PUT"), asked(&fed, "POST")), (3, 3));
    assert_eq!(tell(&url, 3, "p-3"), 200);
    // The next renewal is of what was registered last.
    renew(&fed, &id);
    assert_eq!(fed.provider.requests().last().unwrap().target, "/hooks/3");
    fed.app.provider.is_asked(3);
}

#[test]
fn what_the_provider_signs_with_is_its_own_secret_and_for_a_while_the_one_before() {
    let (mut fed, world) = fed();
    let (id, url) = registered(&fed);
    assert_eq!((tell(&url, 1, "p-1"), tell(&url, 2, "p-2")), (200, 401));
    // A renewal that brings none changes none.
    renew(&fed, &id);
    assert_eq!((tell(&url, 1, "p-3"), tell(&url, 2, "p-4")), (200, 401));
    // One that brings another: both count until there is a third.
    world.lock().unwrap().rotates = true;
    renew(&fed, &id);
    assert_eq!((tell(&url, 1, "p-5"), tell(&url, 2, "p-6"), tell(&url, 3, "p-7")), (200, 200, 401));
    world.lock().unwrap().rotates = false;
    renew(&fed, &id);
    assert_eq!((tell(&url, 1, "p-8"), tell(&url, 2, "p-9")), (200, 200));
    world.lock().unwrap().rotates = true;
    renew(&fed, &id);
    assert_eq!((tell(&url, 1, "p-10"), tell(&url, 2, "p-11"), tell(&url, 3, "p-12")), (401, 200, 200));
    fed.app.provider.is_asked(8);
    fed.end();
    fed.serve();
    assert_eq!((tell(&url, 1, "p-13"), tell(&url, 2, "p-14"), tell(&url, 3, "p-15")), (401, 200, 200));
    fed.app.provider.is_asked(10);
    // Nobody else is told, and a copy of the store tells nobody.
    assert!(!fed.home.logs().contains("secret-canary"), "a secret stands in the log");
    for file in fed.home.files() {
        let bytes = std::fs::read(fed.home.path().join(&file)).unwrap_or_default();
        assert!(!bytes.windows(13).any(|part| part == b"secret-canary"), "{file}");
    }
    let (other, its_url) = registered(&fed);
    assert_eq!((tell(&its_url, 3, "p-1"), tell(&its_url, 4, "p-1")), (401, 200), "{other} has its own");
}

#[test]
fn before_it_is_registered_nothing_proves_what_comes() {
    let (fed, world) = fed();
    let held = world.lock().unwrap();
    let id = fed.subscribe(TRIGGER, &json!({}));
    let url = format!("{}/webhooks/parcels/{}/deliveries/{id}", fed.url(), fed.integration);
    assert_eq!(tell(&url, 1, "p-1"), 503, "it is sent again");
    let refused = fed.asked("GET", "/v1/deliveries/refused", &Value::Null);
    assert_eq!(refused["items"][0]["message"], "no Hook secret is configured", "{refused}");
    drop(held);
    eventually("it is taken", || tell(&url, 1, "p-1") == 200);
    fed.app.provider.is_asked(1);
}
