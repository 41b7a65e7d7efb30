//! Rate limits. No test waits for one: the clock can be advanced.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use zoom_simulator::{Config, Plan};

use crate::client::{COLLEAGUE, Reply, Sim, path_of};

async fn with_plan(plan: Plan) -> Sim {
    Sim::with(Config { plan, ..Config::default() }).await
}

/// A simulator at the beginning of a UTC day, so that no midnight falls into a test, and with a token that outlives it.
async fn in_the_morning(plan: Plan) -> Sim {
    let token_life = Duration::from_secs(7 * 24 * 3600);
    let sim = Sim::with(Config { plan, token_life, ..Config::default() }).await;
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let midnight = now.tomorrow().and_then(|tomorrow| tomorrow.start_of_day()).expect("tomorrow comes");
    let seconds = now.duration_until(&midnight).as_secs() + 1;
    sim.advance(u32::try_from(seconds).expect("less than a day")).await;
    sim
}

/// The four headers of a rate limit.
fn headers(reply: &Reply) -> [Option<&str>; 4] {
    ["category", "type", "limit", "remaining"].map(|name| reply.header(&format!("x-ratelimit-{name}")))
}

#[tokio::test]
async fn each_answer_says_where_the_limit_is() {
    for (plan, light, medium) in [
        (Plan::Free, ["Light", "Daily-limit", "6000", "5999"], ["Medium", "Daily-limit", "2000", "1999"]),
        (Plan::Pro, ["Light", "QPS", "30", "29"], ["Medium", "QPS", "20", "19"]),
        (Plan::Business, ["Light", "QPS", "80", "79"], ["Medium", "QPS", "60", "59"]),
    ] {
        let sim = with_plan(plan).await;
        assert_eq!(headers(&sim.get("/v2/users/me").await.expect(200)), light.map(Some));
        assert_eq!(headers(&sim.get("/v2/users/me/meetings").await.expect(200)), medium.map(Some));
        // A refusal counts, and says so too.
        let refused = sim.get("/v2/meetings/1").await.expect_error(404, 3001);
        assert_eq!(headers(&refused)[0], Some("Light"));
    }
}

#[tokio::test]
async fn too_many_calls_in_a_second() {
    let sim = with_plan(Plan::Free).await;
    let call = || sim.get("/v2/users/me/meetings");
    // Two are allowed. All are sent at once, so that a slow machine does not need a second for them.
    let (first, second, third, fourth) = tokio::join!(call(), call(), call(), call());
    let (refused, answered): (Vec<_>, Vec<_>) =
        [first, second, third, fourth].into_iter().partition(|reply| reply.status == 429);
    assert_eq!((answered.len(), refused.len()), (2, 2), "{answered:?}");
    let refused = refused.into_iter().next().expect("there are two").expect_error(429, 429);
    assert_eq!(headers(&refused), ["Medium", "QPS", "2", "0"].map(Some));
    assert_eq!(refused.header("retry-after"), None);
    assert!(refused.message().contains("per-second"));
    // Other labels have their own limit, and a second later it is over.
    sim.get("/v2/users/me").await.expect(200);
    sim.advance(1).await;
    sim.get("/v2/users/me/meetings").await.expect(200);
}

#[tokio::test]
async fn too_many_calls_in_a_day() {
    let sim = in_the_morning(Plan::Free).await;
    for _ in 0..1_000 {
        // As many as a second allows.
        for _ in 0..2 {
            sim.get("/v2/users/me/meetings").await.expect(200);
        }
        sim.advance(1).await;
    }
    let refused = sim.get("/v2/users/me/meetings").await.expect_error(429, 429);
    assert_eq!(headers(&refused), ["Medium", "Daily-limit", "2000", "0"].map(Some));
    let retry_after = refused.header("retry-after").expect("a header");
    assert!(retry_after.ends_with("T00:00:00Z"), "{retry_after}");
    sim.advance(24 * 3600).await;
    sim.get("/v2/users/me/meetings").await.expect(200);
}

/// As observed: no type, no `Retry-After`, the label Light, and plenty remaining.
#[track_caller]
fn assert_daily_per_person(refused: &Reply) {
    let [category, kind, limit, remaining] = headers(refused);
    assert_eq!((category, kind, limit), (Some("Light"), None, Some("80")), "{refused:?}");
    assert!(remaining.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0));
    assert_eq!(refused.header("retry-after"), None);
    assert!(refused.message().ends_with("GMT 00:00:00."), "{refused:?}");
}

#[tokio::test]
async fn a_hundred_creations_and_updates_of_a_host_in_a_day() {
    let sim = in_the_morning(Plan::Business).await;
    let mut meeting = Value::Null;
    for _ in 0..50 {
        // A few at a time stay below the limit per second.
        sim.advance(1).await;
        meeting = sim.create(json!({})).await;
        sim.patch(&path_of(&meeting), json!({})).await.expect_done();
    }
    sim.advance(1).await;
    let refused =
        [sim.post("/v2/users/me/meetings", json!({})).await, sim.patch(&path_of(&meeting), json!({})).await];
    for reply in refused {
        assert_daily_per_person(&reply.expect_error(429, 429));
    }
    // Reading and deleting are not concerned, nor is another host.
    sim.get(&path_of(&meeting)).await.expect(200);
    sim.delete(&path_of(&meeting)).await.expect_done();
    let colleague = sim.token_for(COLLEAGUE, None).await;
    sim.call_as(&colleague, "POST", "/v2/users/me/meetings", Some(json!({}))).await.expect(201);
    sim.advance(24 * 3600).await;
    sim.create(json!({})).await;
}

#[tokio::test]
async fn three_registrations_of_a_person_in_a_day() {
    let sim = in_the_morning(Plan::Business).await;
    let person = |email: &str| json!({"email": email, "first_name": "A"});
    // One person, different meetings.
    for number in 0..4 {
        let body = json!({"start_time": "2099-01-01T00:00:00Z", "settings": {"approval_type": 0}});
        let path = format!("{}/registrants", path_of(&sim.create(body).await));
        let reply = sim.post(&path, person("a@example.com")).await;
        if number < 3 {
            reply.expect(201);
        } else {
            assert_daily_per_person(&reply.expect_error(429, 429));
            sim.post(&path, person("b@example.com")).await.expect(201);
        }
    }
}

#[tokio::test]
async fn limits_can_be_switched() {
    let sim = Sim::with(Config { plan: Plan::Free, rate_limits: false, ..Config::default() }).await;
    for _ in 0..8 {
        let reply = sim.get("/v2/users/me/meetings").await.expect(200);
        assert_eq!(headers(&reply), [None; 4]);
    }
    let limits = sim.control("PUT", "/limits", json!({"enabled": true, "plan": "pro"})).await;
    assert_eq!(limits, json!({"enabled": true, "plan": "pro"}));
    assert_eq!(headers(&sim.get("/v2/users/me").await)[2], Some("30"));
}
