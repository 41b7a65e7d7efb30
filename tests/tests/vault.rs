//! Secrets at rest, as an operator and a thief see them: keys that are missing, files that were changed, a rotation that is
//! killed, and what is left when something is given up.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use jackfield_tests::{Accounts, Answer, At, Home, http};
use rusqlite::Connection as Database;
use rustix::process::Signal;
use serde_json::{Value, json};

fn keys(home: &Home) -> PathBuf {
    home.path().join("keys/vault.keys")
}

/// The ids of the master keys that are there, the current one last.
fn key_ids(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(keys(home)).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("key_"));
    lines.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// Everything in the files of the store and beside them.
fn stored(home: &Home) -> Vec<u8> {
    let files = fs::read_dir(home.path().join("data")).unwrap().flatten();
    files.filter_map(|file| fs::read(file.path()).ok()).flatten().collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Sealed texts by the ids of their rows.
fn sealed(accounts: &Accounts) -> Vec<(String, String)> {
    let database = accounts.database();
    let mut select =
        database.prepare("SELECT id, sealed FROM connections WHERE sealed IS NOT NULL ORDER BY id").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn seal(accounts: &Accounts, id: &str, text: &str) {
    let sql = "UPDATE connections SET sealed = ?2 WHERE id = ?1";
    assert_eq!(accounts.database().execute(sql, (id, text)), Ok(1));
}

/// How many secrets are kept of anybody's connections.
fn kept(accounts: &Accounts) -> i64 {
    let sql =
        "SELECT count(*) FROM connections WHERE sealed IS NOT NULL OR key IS NOT NULL OR expires IS NOT NULL";
    accounts.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn fault_47_what_is_given_up_leaves_no_secret_and_a_line_of_who_did_it() {
    for accounts in Accounts::everywhere("vault") {
        let [one, other] = accounts.people();
        let id = accounts.connect("u_42", one);
        assert_eq!(kept(&accounts), 1);
        let revoked = accounts.home.run(&["connection", "revoke", &id, "-o", "json"]).json();
        assert_eq!(revoked["told"], true, "{revoked}");
        assert_eq!((accounts.revocations(), kept(&accounts)), (1, 0));
        assert_eq!(accounts.state(&id).0, "revoked");
        assert_eq!(
            accounts.audit(&id),
            ["connection.connect", "connection.revoke_at_provider", "connection.revoke"]
        );
        assert_eq!(accounts.came_to(&id), ["valid", "revoked"]);
        // It is off, for whoever names it and for whoever does not.
        for (status, error) in [accounts.read(&id), accounts.proxy(&id)] {
            assert_eq!((status, &error["kind"]), (409, &json!("unauthorized")), "{error}");
        }
        let action = format!("{}.{}", accounts.connector(), accounts.reads());
        let unnamed = accounts.home.run(&["action", "invoke", &action, "--user", "u_42", "-o", "json"]);
        assert_eq!(unnamed.error(4)["kind"], "connection_needed");
        assert_eq!(accounts.asked("refresh_token"), 0);

        // A user, with all that they have, one of which is given up already.
        let second = accounts.connect("u_42", other);
        assert_ne!(second, id);
        let third = accounts.connect("u_43", one);
        let gone = accounts.home.run(&["user", "delete", "u_42", "--yes", "-o", "json"]);
        assert_eq!(gone.code, 0, "{}", gone.stderr);
        assert_eq!((accounts.revocations(), kept(&accounts)), (2, 1));
        for (method, path) in [
            ("GET", "/v1/users/u_42".to_owned()),
            ("GET", format!("/v1/connections/{id}")),
            ("GET", format!("/v1/connections/{second}")),
            ("POST", format!("/v1/connections/{second}/test")),
        ] {
            assert_eq!(accounts.ask(method, &path, &Value::Null).0, 404, "{method} {path}");
        }
        let log = accounts.audit(&second);
        assert_eq!(
            log,
            ["connection.connect", "connection.revoke_at_provider", "connection.revoke", "connection.remove"]
        );
        assert!(accounts.audit("u_42").contains(&"user.erase".to_owned()));
        // Somebody else's account goes on.
        assert_eq!(accounts.read(&third).0, 200);

        // Without the provider it is given up here all the same, and said.
        if let At::Roster(server) = &accounts.at {
            let config = accounts.home.path().join("jackfield.toml");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(
                &config,
                text.replace(&format!("oauth = \"{}\"", server.oauth), "oauth = \"http://127.0.0.1:1\""),
            )
            .unwrap();
            let outcome = accounts.home.run(&["connection", "remove", &third, "--yes"]);
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert!(outcome.stderr.contains("the provider does not know it"), "{}", outcome.stderr);
            assert_eq!((accounts.revocations(), kept(&accounts)), (2, 0));
        }
    }
}

#[test]
fn fault_49_without_the_key_nothing_starts_and_none_is_made_in_its_place() {
    let mut accounts = Accounts::zoom(&[]);
    let id = accounts.connect("u_42", accounts.people()[0]);
    accounts.end();
    let (path, home) = (keys(&accounts.home), &accounts.home);
    let [key] = &key_ids(home)[..] else { panic!("there is one key") };
    let right = fs::read(&path).unwrap();
    let another = Home::with(&[]);
    let made = another.run_with_input(&["integration", "list"], "");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let foreign = fs::read(keys(&another)).unwrap();

    // One character of the key itself, in its middle.
    let mut flipped = right.clone();
    let place = right.len() - 20;
    flipped[place] = if flipped[place] == b'A' { b'B' } else { b'A' };
    let wrongs: [(&str, Option<&[u8]>); 5] = [
        ("missing", None),
        ("of another home", Some(&foreign)),
        ("empty", Some(b"")),
        ("cut", Some(&right[..right.len() / 2])),
        ("changed", Some(&flipped)),
    ];
    for (what, bytes) in wrongs {
        let _ = fs::remove_file(&path);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let found = fs::read(&path).ok();
        for args in [
            &["serve"][..],
            &["connection", "test", &id],
            &["connection", "list"],
            &["action", "invoke", "zoom.get_meetings", "--user", "u_42"],
            &["secret", "rotate-key"],
        ] {
            let outcome = home.run(args);
            assert_ne!(outcome.code, 0, "{what}: {args:?}");
            let said = &outcome.stderr;
            // Of a file that cannot be read at all, only that can be said.
            let names_key = said.contains(key)
                || matches!(what, "empty" | "cut" | "changed") && said.contains("vault.keys");
            assert!(names_key, "{what}: {args:?}: {said}");
            assert_eq!(fs::read(&path).ok(), found, "{what}: {args:?} has changed the keys");
        }
    }
    fs::write(&path, &right).unwrap();
    accounts.serve();
    assert_eq!(accounts.read(&id).0, 200);
}

#[test]
fn fault_50_what_was_changed_in_the_store_costs_its_own_connection_and_raises_an_alarm() {
    for accounts in Accounts::everywhere("vault") {
        let [one, other] = accounts.people().map(|who| accounts.connect("u_42", who));
        let rows = sealed(&accounts);
        let of = |id: &str| rows.iter().find(|(row, _)| row == id).unwrap().1.clone();
        let (right, foreign) = (of(&one), of(&other));
        let envelope: Value = serde_json::from_str(&right).unwrap();
        let changed = |pointer: &str, change: fn(&str) -> String| {
            let mut envelope = envelope.clone();
            let place = envelope.pointer_mut(pointer).unwrap();
            *place = json!(change(place.as_str().unwrap()));
            envelope.to_string()
        };
        let flip = |text: &str| {
            let middle = text.len() / 2;
            let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &text[..middle], &text[middle + 1..])
        };
        let mut swapped = envelope.clone();
        let access = swapped["fields"]["access_token"].take();
        swapped["fields"]["access_token"] = swapped["fields"]["refresh_token"].clone();
        swapped["fields"]["refresh_token"] = access;
        let cases = [
            ("a bit of a token", changed("/fields/access_token", flip)),
            ("a bit of its key", changed("/wrapped", flip)),
            (
                "a token without its end",
                changed("/fields/access_token", |text| text[..text.len() / 2].to_owned()),
            ),
            ("an empty token", changed("/fields/access_token", |_| String::new())),
            ("the name of its key", changed("/key", |_| "key_00000000000000000000000000000000".to_owned())),
            ("another row's", foreign),
            ("one token in the place of another", swapped.to_string()),
            ("half of it", right[..right.len() / 2].to_owned()),
            ("no JSON", "\u{1}\u{2}".to_owned()),
            ("another shape", "[]".to_owned()),
        ];
        for (what, text) in &cases {
            seal(&accounts, &one, text);
            for (status, error) in [accounts.read(&one), accounts.proxy(&one)] {
                assert!(status >= 400, "{what}: {error}");
                let said = error["message"].as_str().unwrap();
                assert!(said.contains(&one), "{what}: {error}");
                // What it is sealed with is not what it holds: nobody is condemned, and a copy can be put back.
            }
            assert_eq!(accounts.state(&one).0, "valid", "{what}");
            assert_eq!((accounts.read(&other).0, accounts.proxy(&other).0), (200, 200), "{what}");
            assert_eq!(accounts.connections("u_42").len(), 2, "{what}");
            seal(&accounts, &one, &right);
            assert_eq!(accounts.read(&one).0, 200, "{what}: as it was");
        }
        assert_eq!(accounts.token_requests(), 2, "nothing but the two codes was ever sent there");
        // The log of the server names the connection.
        seal(&accounts, &one, &cases[0].1);
        assert_ne!(accounts.read(&one).0, 200);
        let log = accounts.home.logs();
        let alarm = log.lines().find(|line| line.contains("ERROR") && line.contains(&one));
        assert!(alarm.is_some(), "{}", log.lines().rev().take(5).collect::<Vec<_>>().join("\n"));
        // Connecting it again is the cure.
        let page =
            accounts.come_back(&accounts.link("u_42", &json!({"connection": one})), accounts.people()[0]);
        assert!(page.body.contains("Connected"), "{}", page.body);
        assert_eq!(accounts.read(&one).0, 200);
    }
}

#[test]
fn fault_50_a_rotation_passes_over_what_cannot_be_opened_and_keeps_its_key() {
    for accounts in Accounts::everywhere("vault") {
        let [one, other] = accounts.people().map(|who| accounts.connect("u_42", who));
        let rows = sealed(&accounts);
        let right = rows.iter().find(|(id, _)| *id == one).unwrap().1.clone();
        let before = key_ids(&accounts.home).pop().unwrap();
        let rotate = || accounts.home.run(&["secret", "rotate-key", "-o", "json"]).json();
        let mut keys = vec![before.clone()];
        for damaged in
            [right.replace("\"wrapped\":\"", "\"wrapped\":\"A"), "\u{1}".to_owned(), "[]".to_owned()]
        {
            seal(&accounts, &one, &damaged);
            let rotated = rotate();
            assert_eq!(rotated["damaged"], json!([one]), "{damaged}: {rotated}");
            // It hinders nobody who wants another key, each time.
            assert_eq!(rotated["resumed"], false, "{rotated}");
            let key = rotated["key"].as_str().unwrap().to_owned();
            assert!(!keys.contains(&key), "{rotated}");
            assert_eq!(key_ids(&accounts.home), [before.clone(), key.clone()]);
            keys.push(key);
            let of_one = |(id, text): (String, String)| (id == one).then_some(text);
            assert_eq!(sealed(&accounts).into_iter().find_map(of_one), Some(damaged));
            assert_eq!((accounts.read(&other).0, accounts.read(&one).0 >= 400), (200, true));
        }
        // What says of itself that it is sealed with the newest key, in a row that says otherwise, is no reason to go on for
        // ever with a rotation that has something to go on with: the other one as it was at first.
        let of =
            |rows: &[(String, String)], id: &str| rows.iter().find(|(row, _)| row == id).unwrap().1.clone();
        seal(&accounts, &one, &of(&sealed(&accounts), &other));
        seal(&accounts, &other, &of(&rows, &other));
        let old = "UPDATE connections SET key = ?2 WHERE id = ?1";
        assert_eq!(accounts.database().execute(old, (&other, &before)), Ok(1));
        let rotated = rotate();
        assert_eq!((&rotated["damaged"], &rotated["resumed"]), (&json!([one]), &json!(true)), "{rotated}");
        assert_eq!((&rotated["resealed"], accounts.read(&other).0), (&json!(1), 200), "{rotated}");

        // A copy of the row can still be opened. It is all that is left for the newest key, and then no other is needed.
        seal(&accounts, &one, &right);
        assert_eq!(accounts.read(&one).0, 200);
        let rotated = rotate();
        assert_eq!((rotated.get("damaged"), &rotated["resumed"]), (None, &json!(true)), "{rotated}");
        assert_eq!((&rotated["resealed"], &rotated["removed"]), (&json!(1), &json!([before])), "{rotated}");
        assert_eq!(json!(key_ids(&accounts.home)), json!([rotated["key"]]));
        assert_eq!((accounts.read(&one).0, accounts.read(&other).0), (200, 200));
    }
}

/// How many projects have a secret in the tests of rotation: enough for one that is killed in its middle.
const PROJECTS: usize = 300;

/// A secret that is nowhere to be found.
fn canary(project: usize) -> String {
    format!("canary-{project:04}-of-the-vault")
}

/// A home with many projects that have a secret each, and what asks its server for things in one of them.
fn many() -> (Home, impl Fn(usize, &str, &str, &Value) -> Answer) {
    let home = Home::with(&["roster"]);
    let port = home.listens_somewhere();
    let server = home.serve();
    let made = home.run(&["token", "create", "--all-projects", "-o", "json"]).json();
    let token = format!("Bearer {}", made["token"].as_str().unwrap());
    let ask = move |project: usize, method: &str, path: &str, body: &Value| {
        let name = format!("p-{project}");
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
            ("jackfield-project", if path == "/v1/projects" { "default" } else { &name }),
        ];
        http(method, &format!("http://127.0.0.1:{port}{path}"), &headers, &body.to_string())
    };
    for project in 0..PROJECTS {
        let made = ask(project, "POST", "/v1/projects", &json!({"id": format!("p-{project}")}));
        assert_eq!(made.status, 200, "{}", made.body);
        let set = json!({"connector": "roster", "client_id": "jackfield", "client_secret": canary(project)});
        let set = ask(project, "POST", "/v1/integrations", &set);
        assert_eq!(set.status, 200, "{}", set.body);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.ends().code, 0);
    (home, ask)
}

/// How many secrets are sealed with a key.
fn sealed_with(home: &Home, key: &str) -> usize {
    let database = Database::open(home.path().join("data/jackfield.db")).unwrap();
    database.busy_timeout(Duration::from_secs(20)).unwrap();
    let sql = "SELECT count(*) FROM integrations WHERE key = ?1 AND json_extract(sealed, '$.key') = ?1";
    let count: i64 = database.query_row(sql, [key], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

#[track_caller]
fn no_canary(home: &Home) {
    let bytes = stored(home);
    assert!(holds(&bytes, "p-299"), "the store is what was looked into");
    assert!(!holds(&bytes, "canary-"), "a secret is in the store");
    assert!(!home.logs().contains("canary-"), "a secret is in the log");
}

#[test]
fn fault_51_a_rotation_that_is_killed_again_and_again_goes_on_and_loses_nothing() {
    let (home, ask) = many();
    no_canary(&home);
    let [old] = &key_ids(&home)[..] else { panic!("there is one key") };
    let opens_all = || {
        let server = home.serve();
        for project in 0..PROJECTS {
            // It is refused unless the client's secret can be opened.
            let made =
                ask(project, "POST", "/v1/connect-links", &json!({"connector": "roster", "user": "u_42"}));
            assert_eq!(made.status, 200, "{project}: {}", made.body);
        }
        server
    };
    // By a command, which does it itself, and by a server that is asked to.
    let mut kills = 0;
    for (by_server, at_least) in [(false, 1), (true, 60), (false, 120), (true, 180)] {
        let server = by_server.then(|| home.serve());
        let rotation = home.start(&["secret", "rotate-key"], "");
        let begun = Instant::now();
        let new = loop {
            let ids = key_ids(&home);
            let new = ids.last().filter(|id| *id != old).cloned();
            if let Some(new) = new.filter(|new| sealed_with(&home, new) >= at_least) {
                break new;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not get that far");
            thread::sleep(Duration::from_millis(1));
        };
        match &server {
            Some(server) => server.signal(Signal::KILL),
            None => rotation.signal(Signal::KILL),
        }
        drop((rotation, server));
        no_canary(&home);
        // Both keys are there for as long as anything is sealed with the old one, and everything can be opened.
        let done = sealed_with(&home, &new);
        assert_eq!(sealed_with(&home, old), PROJECTS - done);
        if done < PROJECTS {
            kills += 1;
            assert_eq!(key_ids(&home), [old.clone(), new]);
        }
        drop(opens_all());
    }
    assert!(kills >= 2, "it was too fast to be killed");

    let rotated = home.run(&["secret", "rotate-key", "-o", "json"]).json();
    assert_eq!((&rotated["resumed"], &rotated["removed"]), (&json!(true), &json!([old])), "{rotated}");
    assert_eq!(json!(key_ids(&home)), json!([rotated["key"]]));
    assert_eq!(sealed_with(&home, rotated["key"].as_str().unwrap()), PROJECTS);
    drop(opens_all());
    no_canary(&home);
}

#[test]
fn fault_51_everything_goes_on_while_a_key_is_rotated() {
    for accounts in Accounts::everywhere("vault") {
        let [one, other] = accounts.people().map(|who| accounts.connect("u_42", who));
        let rotations = thread::scope(|scope| {
            let rotating = scope.spawn(|| {
                let begun = Instant::now();
                let mut keys = Vec::new();
                while begun.elapsed() < Duration::from_secs(4) {
                    let (status, rotated) = accounts.ask("POST", "/v1/secrets/rotate-key", &json!({}));
                    assert_eq!(status, 200, "{rotated}");
                    keys.push(rotated["key"].as_str().unwrap().to_owned());
                }
                keys
            });
            let mut rounds = 0;
            while !rotating.is_finished() {
                // Sealed by whoever renews, by whoever is away at the provider, and by whoever sets something up.
                accounts.end_tokens();
                for (status, answer) in [accounts.read(&one), accounts.proxy(&other)] {
                    assert_eq!(status, 200, "{answer}");
                }
                let page = accounts.come_back(&accounts.link("u_42", &json!({})), accounts.people()[0]);
                assert!(page.body.contains("Connected"), "{}", page.body);
                let set = json!({"client_secret": accounts.client_secret()});
                let (status, answer) =
                    accounts.ask("PATCH", &format!("/v1/integrations/{}", accounts.connector()), &set);
                assert_eq!(status, 200, "{answer}");
                rounds += 1;
            }
            assert!(rounds >= 2, "it was looked at too seldom");
            rotating.join().unwrap()
        });
        assert!(rotations.len() >= 2, "{rotations:?}");
        let last = accounts.home.run(&["secret", "rotate-key", "-o", "json"]).json();
        assert_eq!(json!(key_ids(&accounts.home)), json!([last["key"]]));
        assert_eq!((accounts.read(&one).0, accounts.read(&other).0), (200, 200));
        assert_eq!(accounts.state(&one).0, "valid");
        let bytes = stored(&accounts.home);
        assert!(holds(&bytes, &one), "the store is what was looked into");
        // What tokens of the simulator begin with, among others.
        for secret in [accounts.client_secret(), "zsat_", "zsrt_"] {
            assert!(!holds(&bytes, secret), "{secret} is in the store");
        }
    }
}
