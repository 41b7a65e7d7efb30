//! Triggers that poll: what is there at first is seen and not sent, what is new is sent once whatever breaks in between, and who
//! fails is left alone for longer each time.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use jackfield_tests::{Act, Provider, Request, eventually, feeds::Fed, reply};
use serde_json::{Value, json};

const TRIGGER: &str = "sensors.new_reading";

/// What the sensors have read, and how the next questions for it are answered.
#[derive(Default)]
struct Sensors {
    readings: Vec<(u64, &'static str)>,
    /// How many there are on a page at most, if not all.
    page: Option<usize>,
    /// Instead of what was read, in turn.
    instead: Vec<Vec<Act>>,
    /// Whether it is told what is there whatever was seen.
    forgetful: bool,
    /// Told of a question, whose answer waits for the other one.
    held: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

type World = Arc<Mutex<Sensors>>;

fn answer(world: &World, request: &Request) -> Vec<Act> {
    let query = request.target.split_once('?').unwrap().1;
    let asked = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name))
            .map(|pair| pair.1)
    };
    let mut sensors = world.lock().unwrap();
    if let Some((told, go)) = sensors.held.take() {
        let _ = told.send(());
        let _ = go.recv();
    }
    if !sensors.instead.is_empty() {
        return sensors.instead.remove(0);
    }
    let after: u64 = asked("after").unwrap().parse().unwrap();
    let of = asked("sensor");
    let (after, most) = (if sensors.forgetful { 0 } else { after }, sensors.page.unwrap_or(usize::MAX));
    let found: Vec<Value> = sensors
        .readings
        .iter()
        .filter(|(id, sensor)| *id > after && of.as_ref().is_none_or(|of| *of == *sensor))
        .map(
            |(id, sensor)| json!({"id": id, "sensor": sensor, "celsius": 20.5, "at": "2030-01-31T09:00:00Z"}),
        )
        .collect();
    let more = found.len() > most;
    let page: Vec<&Value> = found.iter().take(most).collect();
    reply(
        200,
        &[("content-type", "application/json")],
        json!({"ok": true, "readings": page, "more": more}).to_string(),
    )
}

/// A home whose sensors have read so many times.
fn fed(readings: u64) -> (Fed, World) {
    let world = World::default();
    world.lock().unwrap().readings = (1..=readings).map(|id| (id, "attic")).collect();
    let answers = world.clone();
    let provider = Provider::start(move |request, _| answer(&answers, request));
    (Fed::start("sensors", "key", &json!({"region": "eu", "key": "key-canary"}), provider), world)
}

fn read(world: &World, id: u64, sensor: &'static str) {
    world.lock().unwrap().readings.push((id, sensor));
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["id"].as_u64().unwrap()).collect()
}

fn begun(feed: &Value) -> bool {
    feed["begun"] == true
}

fn asked(fed: &Fed) -> usize {
    fed.provider.requests().len()
}

#[test]
fn what_is_there_at_first_is_not_sent_and_what_is_new_is_sent_once() {
    let (fed, world) = fed(5);
    world.lock().unwrap().page = Some(2);
    let id = fed.subscribe(TRIGGER, &json!({}));
    let feed = fed.is(&id, "it has begun", begun);
    assert_eq!((&feed["kind"], feed["last"].is_string()), (&json!("poll"), true), "{feed}");
    let questions = fed.provider.requests();
    let afters: Vec<&str> = questions
        .iter()
        .map(|one| one.target.split("after=").nth(1).unwrap().split('&').next().unwrap())
        .collect();
    assert_eq!(afters, ["0", "2", "4"], "while there is more, it is asked for at once");
    assert!(questions[0].target.contains("key=key-canary"), "as the connection: {}", questions[0].target);
    read(&world, 6, "attic");
    read(&world, 7, "cellar");
    fed.hurry(&id);
    fed.app.provider.is_asked(2);
    // What the provider tells of once more is the same event, also if it was there at first.
    world.lock().unwrap().forgetful = true;
    world.lock().unwrap().page = None;
    fed.hurry(&id);
    eventually("it was asked again", || fed.waits(&id) > 0);
    read(&world, 8, "attic");
    eventually("that is over", || fed.waits(&id) > 0);
    fed.hurry(&id);
    fed.app.provider.is_asked(3);
    assert_eq!(ids(&fed.sent()), [6, 7, 8]);
    let kept = fed.kept(TRIGGER);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let event = &kept[0];
    assert_eq!((&event["connection"], &event["user"]), (&json!(fed.connection), &json!("u_1")), "{event}");
    assert_eq!((&event["occurred_at"], &event["delivery"]), (&json!("2030-01-31T09:00:00Z"), &Value::Null));
    let shown = fed.home.run(&["subscription", "show", &id]).stdout;
    assert!(shown.contains("polled, last 2"), "{shown}");
}

#[test]
fn each_subscription_sees_for_itself() {
    let (fed, world) = fed(2);
    let all = fed.subscribe(TRIGGER, &json!({}));
    let cellar = fed.subscribe(TRIGGER, &json!({"sensor": "cellar"}));
    fed.is(&all, "all has begun", begun);
    fed.is(&cellar, "the cellar has begun", begun);
    read(&world, 3, "cellar");
    fed.hurry(&all);
    fed.app.provider.is_asked(1);
    // The other one has not been told of it by that.
    fed.hurry(&cellar);
    fed.app.provider.is_asked(2);
    // One that comes later has its own beginning, and takes nothing from anybody.
    read(&world, 4, "cellar");
    let late = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&late, "the late one has begun", begun);
    fed.hurry(&all);
    fed.app.provider.is_asked(3);
    assert_eq!(ids(&fed.sent()), [3, 3, 4]);
}

#[test]
fn a_subscription_that_polls_is_for_one_connection() {
    let (fed, _) = fed(0);
    let wish = json!({"trigger": TRIGGER, "user": "u_1", "url": fed.app.provider.url()});
    let (status, refused) = fed.home.ask("POST", "/v1/subscriptions", &wish);
    assert_eq!(status, 422, "{refused}");
    assert_eq!(refused["problems"][0]["path"], "/connection", "{refused}");
}

#[test]
fn fault_27_a_clock_that_was_set_back_stalls_nothing_and_one_that_was_put_on_makes_no_burst() {
    let (mut fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it has begun", begun);
    fed.end();
    // To whoever is asked when the next question is due, this is an hour's way back.
    let back = "UPDATE feeds SET due = due + 3600000 WHERE subscription = ?1";
    assert_eq!(fed.database().execute(back, [&id]), Ok(1));
    read(&world, 2, "attic");
    let before = asked(&fed);
    fed.serve();
    fed.app.provider.is_asked(1);
    eventually("the next one is due within the interval", || (1..70).contains(&fed.waits(&id)));
    assert_eq!(asked(&fed), before + 1);
    // And a day's way on: what was missed is not asked for as often as it was missed.
    fed.end();
    let on = "UPDATE feeds SET due = due - 86400000 WHERE subscription = ?1";
    assert_eq!(fed.database().execute(on, [&id]), Ok(1));
    read(&world, 3, "attic");
    fed.serve();
    fed.app.provider.is_asked(2);
    eventually("it was asked", || fed.waits(&id) > 0);
    assert_eq!(asked(&fed), before + 2, "once");
    assert_eq!(ids(&fed.sent()), [2, 3]);
}

#[test]
fn fault_02_a_kill_between_the_answer_and_the_commit_loses_and_doubles_nothing() {
    let (mut fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it has begun", begun);
    read(&world, 2, "attic");
    read(&world, 3, "attic");
    let ((told, question), (go, wait)) = (mpsc::channel(), mpsc::channel());
    world.lock().unwrap().held = Some((told, wait));
    fed.hurry(&id);
    question.recv().unwrap();
    // Somebody keeps the store, so that what is answered now cannot be kept.
    let database = fed.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    go.send(()).unwrap();
    // However long this takes, nothing is committed meanwhile; it only has to be long enough for the answer to be there.
    std::thread::sleep(Duration::from_millis(700));
    fed.kill();
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    assert!(fed.sent().is_empty());
    let events: i64 = fed
        .database()
        .query_row("SELECT count(*) FROM events WHERE kind = ?1", [TRIGGER], |row| row.get(0))
        .unwrap();
    assert_eq!(events, 0, "nothing was kept by half");
    fed.serve();
    fed.app.provider.is_asked(2);
    assert_eq!(ids(&fed.sent()), [2, 3]);
    // What was kept is not asked for again.
    read(&world, 4, "attic");
    eventually("it was asked", || fed.waits(&id) > 0);
    fed.hurry(&id);
    fed.app.provider.is_asked(3);
    assert_eq!(ids(&fed.sent()), [2, 3, 4]);
}

#[test]
fn who_fails_is_asked_again_later_each_time_and_as_late_as_the_provider_says() {
    let (fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it has begun", begun);
    read(&world, 2, "attic");
    // In turn: twice a failure, a limit with and one without a word of when, and a no that comes with status 200.
    let until = [("retry-after", "7200")];
    let fails = [
        (reply(500, &[], ""), 0..=5),
        (reply(500, &[], ""), 0..=10),
        (reply(429, &until, ""), 7000..=7200),
        (reply(429, &[], ""), 0..=40),
        (
            reply(200, &[("content-type", "application/json")], r#"{"ok": false, "error": "too_fast"}"#),
            0..=80,
        ),
    ];
    for (count, (acts, waits)) in (1..).zip(fails) {
        world.lock().unwrap().instead.push(acts);
        fed.hurry(&id);
        let feed = fed.is(&id, &format!("failure {count}"), |feed| feed["failures"] == count);
        assert!(waits.contains(&fed.waits(&id)), "failure {count}: {feed}");
        assert!(feed["reason"].as_str().unwrap().contains("Sensors"), "{feed}");
        if count == 4 {
            let shown = fed.home.run(&["subscription", "show", &id]).stdout;
            assert!(shown.contains("failing") && shown.contains("tried again"), "{shown}");
        }
    }
    // It goes on where it was, and everything is forgotten that went wrong.
    fed.hurry(&id);
    fed.app.provider.is_asked(1);
    let feed = fed.is(&id, "it is well", |feed| feed["failures"] == 0);
    assert!(feed["reason"].is_null() && begun(&feed), "{feed}");
    assert_eq!(ids(&fed.sent()), [2]);
}

#[test]
fn one_that_is_paused_is_not_asked_for_and_one_that_is_gone_neither() {
    let (fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    let other = fed.subscribe(TRIGGER, &json!({"sensor": "cellar"}));
    fed.is(&id, "it has begun", begun);
    fed.is(&other, "the other one has begun", begun);
    fed.asked("PATCH", &format!("/v1/subscriptions/{id}"), &json!({"paused": true}));
    read(&world, 2, "cellar");
    let set = "UPDATE feeds SET due = 0, wait = 0";
    assert_eq!(fed.database().execute(set, []), Ok(2));
    // The other one is asked for in the same breath.
    fed.hurry(&other);
    fed.app.provider.is_asked(1);
    let of_both = asked(&fed);
    assert!(fed.provider.requests().last().unwrap().target.contains("sensor=cellar"));
    assert!(fed.feed(&id)["due"].as_str().unwrap().starts_with("1970"), "it still waits");
    fed.asked("PATCH", &format!("/v1/subscriptions/{id}"), &json!({"paused": false}));
    fed.app.provider.is_asked(2);
    assert_eq!(asked(&fed), of_both + 1);
    for gone in [&id, &other] {
        fed.asked("DELETE", &format!("/v1/subscriptions/{gone}"), &Value::Null);
    }
    let left: i64 = fed
        .database()
        .query_row("SELECT (SELECT count(*) FROM feeds) + (SELECT count(*) FROM seen)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "nothing is left of them");
    assert_eq!(ids(&fed.sent()), [2, 2]);
}

#[test]
fn one_whose_connection_cannot_be_used_waits_for_it() {
    let (fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it has begun", begun);
    read(&world, 2, "attic");
    let state = |state: &str| {
        let sql = "UPDATE connections SET state = ?2, head = json_set(head, '$.state', ?2) WHERE id = ?1";
        assert_eq!(fed.database().execute(sql, [&fed.connection, state]), Ok(1));
    };
    state("needs_reauth");
    let before = asked(&fed);
    fed.hurry(&id);
    let feed = fed.feed(&id);
    assert!(feed["reason"].as_str().unwrap().contains("which is needs_reauth"), "{feed}");
    let other = fed.subscribe(TRIGGER, &json!({}));
    // Somebody else's goes on meanwhile.
    let theirs = json!({
        "connector": "sensors", "auth": "key", "user": "u_2", "parameters": {"region": "eu", "key": "their-key"},
    });
    let theirs = fed.asked("POST", "/v1/connections", &theirs)["connection"]["id"].clone();
    let wish = json!({"trigger": TRIGGER, "connection": theirs, "url": fed.app.provider.url()});
    let theirs = fed.asked("POST", "/v1/subscriptions", &wish)["id"].as_str().unwrap().to_owned();
    fed.is(&theirs, "theirs has begun", begun);
    assert!(!begun(&fed.feed(&other)));
    assert_eq!(asked(&fed), before + 1, "nobody is asked as a connection that cannot be used");
    for waiting in [&id, &other] {
        assert_eq!(fed.feed(waiting)["failures"], 0, "and it is no failure");
    }
    // It is connected again: that is enough to have it go on.
    let again = json!({
        "connector": "sensors", "auth": "key", "user": "u_1", "connection": fed.connection,
        "parameters": {"region": "eu", "key": "key-canary"},
    });
    fed.asked("POST", "/v1/connections", &again);
    fed.app.provider.is_asked(1);
    fed.is(&other, "the other one has begun", begun);
    assert_eq!(ids(&fed.sent()), [2]);
}

#[test]
fn what_cannot_be_kept_whole_is_not_kept_by_half() {
    let (fed, world) = fed(1);
    let id = fed.subscribe(TRIGGER, &json!({}));
    fed.is(&id, "it has begun", begun);
    let known = || -> (String, i64) {
        let sql = "SELECT state, (SELECT count(*) FROM seen) FROM feeds WHERE subscription = ?1";
        fed.database().query_row(sql, [&id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let before = known();
    assert_eq!(before, (r#"{"last":1}"#.to_owned(), 1));
    read(&world, 2, "attic");
    read(&world, 3, "attic");
    // The second of the two events cannot be written.
    let full = "CREATE TRIGGER full BEFORE INSERT ON events WHEN new.head LIKE '%\"id\":3,%'
        BEGIN SELECT RAISE(ABORT, 'there is no room'); END";
    fed.database().execute_batch(full).unwrap();
    fed.hurry(&id);
    let feed = fed.is(&id, "it cannot be kept", |feed| feed["failures"] == 1);
    assert!(feed["reason"].is_string() && fed.kept(TRIGGER).is_empty(), "{feed}");
    assert_eq!(known(), before);
    fed.database().execute_batch("DROP TRIGGER full").unwrap();
    fed.hurry(&id);
    fed.app.provider.is_asked(2);
    assert_eq!(ids(&fed.sent()), [2, 3]);
    assert_eq!(known(), (r#"{"last":3}"#.to_owned(), 3));
}
