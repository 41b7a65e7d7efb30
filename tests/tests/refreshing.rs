//! Renewing tokens: once, whatever happens meanwhile and whoever is killed, so that no grant is burnt. At the Zoom simulator,
//! whose refresh tokens are good for one use, and at `oidc-provider`, which takes the whole grant back for a second one.
//!
//! That several processes refresh once is shown by `host/tests/refresh.rs`.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use jackfield_tests::{Accounts, At, Fault, eventually, process};
use rustix::process::Signal;
use serde_json::{Value, json};

const USER: &str = "u_42";

/// Does this at each provider, at the same time: most of it is waiting.
fn at_each(check: impl Fn(Accounts) + Sync) {
    thread::scope(|scope| {
        for accounts in Accounts::everywhere("refreshing") {
            scope.spawn(|| check(accounts));
        }
    });
}

/// One account that is connected.
fn connected(accounts: &Accounts) -> String {
    accounts.connect(USER, accounts.people()[0])
}

fn is_valid(accounts: &Accounts, id: &str) {
    assert_eq!(accounts.state(id), ("valid".to_owned(), String::new()));
    // Nobody was told anything else in the meantime either.
    assert_eq!(accounts.came_to(id), ["valid"]);
}

/// How many refreshes were begun whose answer nobody has kept.
fn begun(accounts: &Accounts, id: &str) -> i64 {
    accounts
        .database()
        .query_row("SELECT sent FROM connections WHERE id = ?1", [id], |row| row.get(0))
        .unwrap()
}

/// Whether somebody holds the lease of a connection's grant.
fn is_leased(accounts: &Accounts, id: &str) -> bool {
    let sql = "SELECT lease_owner IS NOT NULL FROM connections WHERE id = ?1";
    accounts.database().query_row(sql, [id], |row| row.get(0)).unwrap()
}

fn kind(answer: &(u16, Value)) -> &str {
    answer.1["kind"].as_str().unwrap_or_default()
}

/// An answer of a token endpoint as it should be, with this access token and nothing to renew it with.
fn tokens(access_token: &str) -> Value {
    json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 3600})
}

fn says(status: u16, body: &Value) -> Fault {
    Fault::Answers(status, "application/json", body.to_string())
}

#[test]
fn fault_38_64_callers_of_a_server_cause_one_refresh() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let callers: Vec<_> = (0..64)
                .map(|number| {
                    let (accounts, id) = (&accounts, &id);
                    // By each of the ways that need a credential.
                    scope.spawn(move || match number % 3 {
                        0 => accounts.proxy(id).0,
                        1 => accounts.read(id).0,
                        _ => accounts.ask("POST", &format!("/v1/connections/{id}/test"), &Value::Null).0,
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        assert_eq!((accounts.asked("refresh_token"), accounts.granted("refresh_token")), (1, 1));
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_40_killed_between_the_answer_and_the_commit_it_asks_once_more_and_then_says_why() {
    at_each(|mut accounts| {
        let id = connected(&accounts);
        accounts.ends_in(&id, -1);
        accounts.fault(&Fault::After(Duration::from_secs(1)));
        thread::scope(|scope| {
            let refresh = scope.spawn(|| accounts.home.run(&["connection", "refresh", &id]));
            eventually("a refresh", || begun(&accounts, &id) == 1);
            // Whoever has the answer cannot write it down, and is killed over that.
            let database = accounts.database();
            database.execute_batch("BEGIN IMMEDIATE").unwrap();
            eventually("an answer", || accounts.granted("refresh_token") == 1);
            thread::sleep(Duration::from_secs(2));
            accounts.server().signal(Signal::KILL);
            assert_ne!(refresh.join().unwrap().code, 0);
            database.execute_batch("ROLLBACK").unwrap();
        });
        accounts.kill();
        assert_eq!(begun(&accounts, &id), 1, "the tokens of the answer are lost");

        // Nobody waits for a lease whose holder is dead.
        accounts.serve();
        let since = Instant::now();
        let answer = accounts.read(&id);
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        assert_eq!((answer.0, kind(&answer)), (409, "unauthorized"), "{}", answer.1);
        let (state, reason) = accounts.state(&id);
        assert_eq!(state, "needs_reauth");
        assert!(reason.contains("the answer to a refresh was lost"), "{reason}");
        assert!(answer.1["message"].as_str().unwrap().contains(&reason), "{}", answer.1);
        let again = format!("jackfield connect {} --user {USER} --connection {id}", accounts.connector());
        assert!(answer.1["hint"].as_str().unwrap().contains(&again), "{}", answer.1);
        // No loop, whoever asks and however often.
        for _ in 0..3 {
            assert_eq!((accounts.read(&id).0, accounts.proxy(&id).0), (409, 409));
        }
        accounts.end();
        accounts.serve();
        assert_eq!((accounts.read(&id).0, accounts.asked("refresh_token")), (409, 2));

        let page = accounts.come_back(&accounts.link(USER, &json!({"connection": id})), accounts.people()[0]);
        assert!(page.body.contains("Connected"), "{}", page.body);
        assert_eq!((accounts.read(&id).0, accounts.asked("refresh_token")), (200, 2));
    });
}

#[test]
fn fault_40_killed_twice_it_does_not_ask_a_third_time() {
    at_each(|mut accounts| {
        let id = connected(&accounts);
        accounts.ends_in(&id, -1);
        for times in 1..=2 {
            accounts.fault(&Fault::AnswersAfter(Duration::from_secs(30), 503, "text/html", String::new()));
            thread::scope(|scope| {
                scope.spawn(|| accounts.home.run(&["connection", "refresh", &id]));
                eventually("a refresh", || begun(&accounts, &id) == times);
                // It is on its way.
                thread::sleep(Duration::from_millis(500));
                accounts.server().signal(Signal::KILL);
            });
            accounts.kill();
            accounts.serve();
        }
        let before = accounts.token_requests();
        let answer = accounts.read(&id);
        assert_eq!(
            (answer.0, kind(&answer), accounts.token_requests()),
            (409, "unauthorized", before),
            "{}",
            answer.1
        );
        let (state, reason) = accounts.state(&id);
        assert!(state == "needs_reauth" && reason.contains("lost, twice"), "{state}: {reason}");
    });
}

#[test]
fn fault_40_tokens_that_cannot_be_written_for_a_while_are_kept_all_the_same() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        accounts.fault(&Fault::After(Duration::from_secs(1)));
        thread::scope(|scope| {
            let read = scope.spawn(|| accounts.read(&id));
            eventually("a refresh", || begun(&accounts, &id) == 1);
            let database = accounts.database();
            database.execute_batch("BEGIN IMMEDIATE").unwrap();
            // Longer than the store waits for others, and than a lease lasts.
            thread::sleep(Duration::from_secs(13));
            database.execute_batch("ROLLBACK").unwrap();
            let answer = read.join().unwrap();
            assert_eq!(answer.0, 200, "{}", answer.1);
        });
        is_valid(&accounts, &id);
        // What was kept is what came: it can be renewed.
        accounts.end_tokens();
        assert_eq!((accounts.read(&id).0, accounts.granted("refresh_token")), (200, 2));
    });
}

#[test]
fn fault_41_no_refresh_begins_whose_answer_could_not_be_kept() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        let database = accounts.database();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let since = Instant::now();
        let answer = accounts.read(&id);
        assert!(answer.0 >= 500 && since.elapsed() < Duration::from_secs(20), "{}", answer.1);
        assert!(answer.1["message"].as_str().unwrap().contains("another process has kept"), "{}", answer.1);
        assert_eq!(accounts.asked("refresh_token"), 0);
        database.execute_batch("ROLLBACK").unwrap();

        // A file that may be read and not written, as on a disk that was mounted again after an error.
        database.execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON connections BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        ).unwrap();
        assert_eq!(
            (accounts.read(&id).0, accounts.proxy(&id).0, accounts.asked("refresh_token")),
            (500, 500, 0)
        );
        database.execute_batch("DROP TRIGGER full").unwrap();

        assert_eq!((accounts.read(&id).0, accounts.asked("refresh_token")), (200, 1));
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_42_an_answer_without_a_refresh_token_leaves_the_one_there_is() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        for (times, none) in [json!(null), json!("")].iter().enumerate() {
            accounts.ends_in(&id, -1);
            let mut answer = tokens("a-token-that-is-good-for-nothing");
            answer["refresh_token"] = none.clone();
            accounts.fault(&says(200, &answer));
            // The API does not know that token; the old refresh token brings another one.
            let answer = accounts.read(&id);
            assert_eq!(answer.0, 200, "{}", answer.1);
            assert_eq!(accounts.granted("refresh_token"), times + 1);
        }
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_43_a_success_that_is_none_changes_nothing() {
    let long = "x".repeat(1024 * 1024);
    let bodies = [
        ("text/html", "<!doctype html><p>Log in at canary-page".to_owned()),
        ("application/json", String::new()),
        ("application/json", "{\"access_token\": \"canary-cut".to_owned()),
        ("application/json", "[]".to_owned()),
        ("application/json", "null".to_owned()),
        ("application/json", "{}".to_owned()),
        ("application/json", "{\"access_token\": null, \"refresh_token\": \"canary-r\"}".to_owned()),
        ("application/json", "{\"access_token\": 7, \"refresh_token\": \"canary-r\"}".to_owned()),
        ("application/json", "{\"access_token\": \"\"}".to_owned()),
        ("application/json", "{\"access_token\": \"canary-a\\r\\nx-evil: 1\"}".to_owned()),
        ("application/json", "{\"access_token\": \"canary-a\", \"access_token\": \"canary-b\"}".to_owned()),
        ("application/json", format!("{{\"access_token\": \"{long}\"}}")),
        ("application/json", format!("{{\"access_token\": \"canary-a\", \"refresh_token\": \"{long}\"}}")),
        ("application/json", "{\"access_token\": \"canary-a\", \"refresh_token\": {}}".to_owned()),
    ];
    at_each(|accounts| {
        let id = connected(&accounts);
        for (media, body) in &bodies {
            let short: String = body.chars().take(60).collect();
            accounts.ends_in(&id, -1);
            accounts.fault(&Fault::Answers(200, media, body.clone()));
            let answer = accounts.read(&id);
            assert_eq!((answer.0, kind(&answer)), (502, "unexpected_answer"), "{short}: {}", answer.1);
            assert!(!answer.1.to_string().contains("canary"), "{}", answer.1);
            is_valid(&accounts, &id);
            // Nothing was put in the place of what was there.
            accounts.hurry(&id);
            let answer = accounts.read(&id);
            assert_eq!(answer.0, 200, "{short}: {}", answer.1);
        }
        assert_eq!(accounts.granted("refresh_token"), bodies.len());
        assert!(!accounts.home.logs().contains("canary"));
    });
}

#[test]
fn fault_43_a_life_that_cannot_be_true_starts_no_storm() {
    at_each(|accounts| {
        let id = connected(&accounts);
        let lives =
            [json!(-1), json!(0), json!("soon"), json!(1e18), json!(null), json!("-5"), json!([3600])];
        for (times, life) in lives.iter().enumerate() {
            accounts.ends_in(&id, -1);
            let mut answer = tokens("a-token-that-is-good-for-nothing");
            answer["expires_in"] = life.clone();
            accounts.fault(&says(200, &answer));
            for _ in 0..3 {
                let answer = accounts.read(&id);
                assert_eq!(answer.0, 200, "{life}: {}", answer.1);
            }
            assert_eq!(accounts.granted("refresh_token"), times + 1, "{life}");
        }
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_44_whoever_was_overtaken_uses_what_the_faster_one_got() {
    at_each(|mut accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        accounts.end();
        // One is stopped after it has sent its request, and loses its lease. What it is answered then is that somebody else
        // has used up its token.
        let gone = json!({"error": "invalid_grant", "reason": "Invalid Token!"}).to_string();
        accounts.fault(&Fault::AnswersAfter(Duration::from_secs(2), 400, "application/json", gone));
        let slow = accounts.home.start(&["connection", "test", &id], "");
        eventually("a refresh", || begun(&accounts, &id) == 1);
        thread::sleep(Duration::from_secs(1));
        process::halt(slow.pid());
        // The other one takes the lease when it has run out for so long that the first can be at nothing any more, and is at it
        // while the first goes on.
        let long_ago =
            "UPDATE connections SET lease_until = lease_until - 300000 WHERE lease_until IS NOT NULL";
        accounts.database().execute(long_ago, []).unwrap();
        accounts.fault(&Fault::After(Duration::from_secs(4)));
        let fast = accounts.home.start(&["connection", "test", &id], "");
        eventually("another refresh", || begun(&accounts, &id) == 2);
        thread::sleep(Duration::from_millis(500));
        slow.signal(Signal::CONT);
        let (slow, fast) = (slow.ends(), fast.ends());
        assert_eq!((slow.code, fast.code), (0, 0), "{} {}", slow.stderr, fast.stderr);
        assert_eq!(accounts.granted("refresh_token"), 1);
        accounts.serve();
        is_valid(&accounts, &id);
        assert_eq!((accounts.read(&id).0, accounts.granted("refresh_token")), (200, 1));
    });
}

#[test]
fn fault_44_a_grant_that_is_over_is_condemned_with_the_providers_words() {
    at_each(|accounts| {
        let id = connected(&accounts);
        match &accounts.at {
            // The same user lets the same app in again, elsewhere.
            At::Zoom(_) => accounts.let_in_elsewhere(),
            At::Roster(server) => server.revoke_grants(),
        }
        // The access token is dead as well.
        accounts.ends_in(&id, -1);
        let answer = accounts.read(&id);
        assert_eq!((answer.0, kind(&answer)), (409, "unauthorized"), "{}", answer.1);
        let (state, reason) = accounts.state(&id);
        assert_eq!(state, "needs_reauth");
        assert!(reason.starts_with("the provider does not accept its refresh token any more ("), "{reason}");
        for _ in 0..3 {
            assert_eq!((accounts.read(&id).0, accounts.proxy(&id).0), (409, 409));
        }
        assert_eq!(
            (accounts.asked("refresh_token"), accounts.came_to(&id).last().unwrap().as_str()),
            (1, "needs_reauth")
        );
    });
}

#[test]
fn fault_45_a_token_endpoint_that_fails_is_left_alone_for_a_moment_and_nobody_is_condemned() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        let html = |status| Fault::Answers(status, "text/html", "<h1>Sorry</h1>".to_owned());
        let busy = says(400, &json!({"error": "temporarily_unavailable"}));
        let faults = [
            (html(503), "unavailable"),
            (html(500), "unavailable"),
            (html(502), "unavailable"),
            (html(504), "unavailable"),
            (html(429), "rate_limited"),
            // Something before the provider.
            (html(403), "unavailable"),
            (busy, "unavailable"),
            (Fault::Cuts, "unavailable"),
            (Fault::Cuts, "unavailable"),
            (Fault::Cuts, "unavailable"),
        ];
        for (fault, expected) in &faults {
            accounts.fault(fault);
            let before = accounts.token_requests();
            let answer = accounts.read(&id);
            assert_eq!(kind(&answer), *expected, "{fault:?}: {}", answer.1);
            assert_eq!(accounts.token_requests(), before + 1);
            // Whoever comes next is told when to come again, and nothing is sent.
            for answer in [accounts.read(&id), accounts.proxy(&id)] {
                assert_eq!((answer.0, kind(&answer)), (503, "unavailable"), "{fault:?}: {}", answer.1);
                assert!(answer.1["retry_at"].is_string(), "{}", answer.1);
            }
            assert_eq!(accounts.token_requests(), before + 1);
            is_valid(&accounts, &id);
            accounts.hurry(&id);
        }
        assert_eq!((accounts.read(&id).0, accounts.granted("refresh_token")), (200, 1));
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_45_nobody_is_condemned_because_nobody_answers() {
    at_each(|accounts| {
        let id = connected(&accounts);
        accounts.end_tokens();
        accounts.ends_in(&id, -1);
        let config = accounts.home.path().join("jackfield.toml");
        let right = fs::read_to_string(&config).unwrap();
        let oauth = right.lines().find(|line| line.starts_with("oauth = ")).unwrap();
        // Nobody listens there; nobody has that name.
        for nowhere in ["http://127.0.0.1:1/oauth", "http://nobody.invalid/oauth"] {
            fs::write(&config, right.replace(oauth, &format!("oauth = \"{nowhere}\""))).unwrap();
            let answer = accounts.read(&id);
            assert_eq!(kind(&answer), "network", "{nowhere}: {}", answer.1);
            assert_eq!(begun(&accounts, &id), 0, "nothing was sent");
            is_valid(&accounts, &id);
            accounts.hurry(&id);
        }
        fs::write(&config, &right).unwrap();
        assert_eq!((accounts.read(&id).0, accounts.asked("refresh_token")), (200, 1));
    });
}

#[test]
fn fault_45_a_client_that_is_not_accepted_is_the_integrations_fault_and_works_when_it_is_mended() {
    at_each(|accounts| {
        let [one, other] = accounts.people().map(|who| accounts.connect(USER, who));
        accounts.end_tokens();
        let place = format!("/v1/integrations/{}", accounts.connector());
        let set = |secret: &str| {
            let (status, answer) = accounts.ask("PATCH", &place, &json!({"client_secret": secret}));
            assert_eq!(status, 200, "{answer}");
        };
        set("canary-wrong-secret");
        for id in [&one, &other] {
            accounts.ends_in(id, -1);
            let answer = accounts.read(id);
            assert_eq!(kind(&answer), "config", "{}", answer.1);
            assert!(
                answer.1["hint"].as_str().unwrap().contains("jackfield integration show"),
                "{}",
                answer.1
            );
            is_valid(&accounts, id);
        }
        let shown = accounts.ask("GET", &place, &Value::Null).1;
        assert!(shown["fault"].as_str().unwrap().contains("does not accept the app"), "{shown}");
        assert!(!shown.to_string().contains("canary") && !accounts.home.logs().contains("canary"), "{shown}");

        set(accounts.client_secret());
        // At once: whoever has mended it wants to see that.
        for id in [&one, &other] {
            let answer = accounts.read(id);
            assert_eq!(answer.0, 200, "{}", answer.1);
            is_valid(&accounts, id);
        }
        assert_eq!(accounts.ask("GET", &place, &Value::Null).1.get("fault"), None);
    });
}

#[test]
fn fault_45_a_token_that_is_still_good_is_used_while_it_cannot_be_renewed() {
    at_each(|accounts| {
        let id = connected(&accounts);
        // So little is left that it is renewed ahead of its end.
        accounts.ends_in(&id, 30);
        accounts.fault(&Fault::Answers(503, "text/html", String::new()));
        for _ in 0..3 {
            assert_eq!((accounts.read(&id).0, accounts.proxy(&id).0), (200, 200));
        }
        assert_eq!((accounts.token_requests(), accounts.granted("refresh_token")), (2, 0));
        accounts.hurry(&id);
        assert_eq!((accounts.read(&id).0, accounts.granted("refresh_token")), (200, 1));
    });
}

/// How often the API was asked for what an action reads or creates, with the status of each answer.
fn calls(accounts: &Accounts) -> Vec<u64> {
    match &accounts.at {
        At::Zoom(simulator) => {
            let mut requests = simulator.journal();
            requests.retain(|request| request["path"] == "/v2/users/me/meetings");
            requests.iter().map(|request| request["status"].as_u64().unwrap()).collect()
        }
        At::Roster(server) => {
            let seen = server.seen();
            // The first one was to find out whose account it is.
            let calls = seen["api"].as_array().unwrap().iter().skip(1);
            calls.map(|call| call["status"].as_u64().unwrap()).collect()
        }
    }
}

#[test]
fn fault_46_a_token_that_ends_in_the_middle_of_a_call_is_renewed_once_and_the_request_sent_once_more() {
    at_each(|accounts| {
        let id = connected(&accounts);
        let (action, input) = accounts.creates();
        let create = || accounts.ask("POST", &format!("/v1/connections/{id}/actions/{action}"), &input);
        let (mut refreshes, mut expected) = (0, Vec::new());
        for what in ["read", "create", "proxy"] {
            accounts.end_tokens();
            let answer = match what {
                "read" => accounts.read(&id),
                "create" => create(),
                _ => accounts.proxy(&id),
            };
            assert_eq!(answer.0, 200, "{what}: {}", answer.1);
            refreshes += 1;
            expected.extend([401, if what == "create" { 201 } else { 200 }]);
            assert_eq!(accounts.asked("refresh_token"), refreshes, "{what}");
            assert_eq!(calls(&accounts), expected, "{what}");
        }
        is_valid(&accounts, &id);
    });
}

#[test]
fn fault_46_a_token_that_is_refused_as_soon_as_it_was_given_ends_it() {
    at_each(|accounts| {
        let (action, input) = accounts.creates();
        for (times, what) in ["read", "create", "proxy"].into_iter().enumerate() {
            let id = accounts.connect(&format!("u_{times}"), accounts.people()[times % 2]);
            let before = calls(&accounts).len();
            accounts.end_tokens();
            accounts.fault(&says(200, &tokens("a-token-that-is-good-for-nothing")));
            let requests = accounts.token_requests();
            let run = || match what {
                "read" => accounts.read(&id),
                "create" => accounts.ask("POST", &format!("/v1/connections/{id}/actions/{action}"), &input),
                _ => accounts.proxy(&id),
            };
            let answer = run();
            assert!(answer.0 == 409 || (what == "proxy" && answer.0 == 401), "{what}: {answer:?}");
            let (state, reason) = accounts.state(&id);
            assert_eq!(state, "needs_reauth", "{what}");
            assert_eq!(reason, "the provider does not accept a token that it has just given");
            assert_eq!(accounts.token_requests(), requests + 1, "{what}: one refresh");
            let refused = calls(&accounts).split_off(before);
            assert!(refused.len() >= 2 && refused.ends_with(&[401, 401]), "{what}: {refused:?}");
            // From here on nothing is sent any more.
            let before = calls(&accounts).len();
            assert_eq!(run().0, 409);
            assert_eq!((calls(&accounts).len(), accounts.token_requests()), (before, requests + 1));
            // The next one is of a person who has been here.
            assert_eq!(accounts.ask("DELETE", &format!("/v1/connections/{id}"), &Value::Null).0, 200);
        }
    });
}

#[test]
fn fault_48_a_clock_that_is_wrong_by_ten_minutes_starts_no_storm() {
    at_each(|accounts| {
        let id = connected(&accounts);
        let all = |times: usize| {
            for _ in 0..times {
                assert_eq!((accounts.read(&id).0, accounts.proxy(&id).0), (200, 200));
            }
        };
        // Ours is ahead: the token seems to have ended.
        accounts.ends_in(&id, -600);
        all(5);
        assert_eq!(accounts.asked("refresh_token"), 1);
        // Ours is behind: it has ended, and does not seem to.
        accounts.ends_in(&id, 600);
        accounts.end_tokens();
        all(5);
        assert_eq!(accounts.asked("refresh_token"), 2);
        // It was set back since: the tokens came in what is the future now. Or forward: they seem old.
        for shift in [600, -600, 86_400, -86_400] {
            let sql =
                "UPDATE connections SET expires = expires + ?2, refreshed = refreshed + ?2 WHERE id = ?1";
            accounts.database().execute(sql, (&id, shift * 1000)).unwrap();
            let before = accounts.asked("refresh_token");
            all(3);
            assert!(accounts.asked("refresh_token") <= before + 1, "{shift}");
        }
        is_valid(&accounts, &id);
        assert!(!is_leased(&accounts, &id));
    });
}

#[test]
fn fault_48_a_provider_whose_tokens_live_for_seconds_is_asked_when_they_have_ended() {
    let roster = Accounts::roster("refreshing", json!({"access_token_seconds": 4}), &["profile:read"]);
    let all = [Some(Accounts::zoom(&["--token-life", "4"])), roster];
    thread::scope(|scope| {
        for accounts in all.into_iter().flatten() {
            scope.spawn(move || {
                let id = connected(&accounts);
                let since = Instant::now();
                while since.elapsed() < Duration::from_secs(9) {
                    assert_eq!(accounts.read(&id).0, 200);
                    thread::sleep(Duration::from_millis(50));
                }
                let refreshes = accounts.asked("refresh_token");
                assert!((1..=4).contains(&refreshes), "{refreshes}");
                is_valid(&accounts, &id);
            });
        }
    });
}

#[test]
fn fault_47_what_is_given_up_while_it_is_renewed_burns_nobody_elses_grant() {
    at_each(|accounts| {
        let who = accounts.people()[0];
        let [first, second] = ["u_42", "u_43"].map(|user| accounts.connect(user, who));
        let revoke = |id: &str| accounts.ask("POST", &format!("/v1/connections/{id}/revoke"), &json!({}));
        accounts.end_tokens();
        accounts.ends_in(&first, -1);
        accounts.fault(&Fault::After(Duration::from_secs(3)));
        thread::scope(|scope| {
            let read = scope.spawn(|| accounts.read(&second));
            eventually("a refresh", || begun(&accounts, &first) == 1);
            let (status, given_up) = revoke(&first);
            assert_eq!((status, &given_up["told"]), (200, &json!(false)), "{given_up}");
            let answer = read.join().unwrap();
            assert_eq!(answer.0, 200, "{}", answer.1);
        });
        // The other one has what the refresh has brought.
        accounts.end_tokens();
        assert_eq!((accounts.read(&second).0, accounts.granted("refresh_token")), (200, 2));

        // Alone: what comes after it was given up brings it back to nobody.
        accounts.end_tokens();
        accounts.ends_in(&second, -1);
        accounts.fault(&Fault::After(Duration::from_secs(3)));
        thread::scope(|scope| {
            scope.spawn(|| accounts.read(&second));
            eventually("a refresh", || begun(&accounts, &second) == 1);
            let (status, given_up) = revoke(&second);
            assert_eq!((status, &given_up["told"]), (200, &json!(true)), "{given_up}");
        });
        assert_eq!(accounts.state(&second).0, "revoked");
        let kept = "SELECT count(*) FROM connections WHERE sealed IS NOT NULL OR key IS NOT NULL";
        assert_eq!(accounts.database().query_row(kept, [], |row| row.get(0)), Ok(0));
        assert_eq!(accounts.revocations(), 1);
    });
}
