//! What is kept, when things go wrong: a migration that is cut off, a file that was written by another version, an audit log
//! that cannot be written.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_tests::{Home, Provider, process, tenants::Tenants};
use rusqlite::{Connection, params};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The tables as versions before had them.
const BEFORE: [(i64, &str); 2] =
    [(1, include_str!("store/version-1.sql")), (3, include_str!("store/version-3.sql"))];

/// How many invocations a store of a version before holds.
const INVOCATIONS: usize = 3000;

fn database(home: &Home) -> PathBuf {
    home.path().join("data/jackfield.db")
}

fn id(number: usize) -> String {
    format!("inv_019a{number:028x}")
}

/// Puts a store of a version before into a home, with things in it.
fn put(home: &Home, (version, tables): (i64, &str), invocations: usize) {
    let path = database(home);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    let transaction = connection.transaction().unwrap();
    transaction.execute_batch(tables).unwrap();
    for number in 0..invocations {
        // Younger than what is forgotten.
        let begun = "2199-01-01T00:00:00Z";
        let head = json!({
            "id": id(number), "action": "zoom.get_meetings", "state": "done", "begun": begun, "ms": 12, "attempts": 1,
            "effect": "reads", "version": "0.1.0", "manifest": "ab".repeat(32), "project": "default",
            "actor": "operator", "source": "cli",
        });
        let body = json!({"input": {"number": number}, "output": {"meetings": []}});
        transaction
            .execute(
                "INSERT INTO invocations VALUES (?1, 'default', 'zoom', 'get_meetings', 'done', ?2, '1:1', 12, 1, ?3, ?4)",
                params![id(number), begun, head.to_string(), body.to_string()],
            )
            .unwrap();
    }
    transaction.pragma_update(None, "user_version", version).unwrap();
    transaction.commit().unwrap();
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

fn count(path: &Path, table: &str) -> usize {
    let connection = Connection::open(path).unwrap();
    let query = format!("SELECT count(*) FROM {table}");
    let found: i64 = connection.query_row(&query, [], |row| row.get(0)).unwrap();
    usize::try_from(found).unwrap()
}

fn backups(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path().join("data/backups")).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// The columns and indexes of all tables.
fn shape(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut select = connection
        .prepare(
            "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || coalesce(c.dflt_value, '') FROM sqlite_schema t, \
             pragma_table_info(t.name) c WHERE t.type = 'table'
             UNION SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY 1",
        )
        .unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn fault_98_a_store_of_a_version_before_is_migrated_and_copied_before() {
    let new = Home::with(&["zoom"]);
    assert_eq!(new.invocations(&[]).len(), 0);
    let new = shape(&database(&new));
    assert!(new.len() > 100, "{new:#?}");
    for of in BEFORE {
        let home = Home::with(&["zoom"]);
        put(&home, of, INVOCATIONS);
        let shown = home.invocation(&id(7));
        assert_eq!((&shown["state"], &shown["input"]["number"]), (&json!("done"), &json!(7)), "{shown:#}");
        assert!(version(&database(&home)) > of.0);
        assert_eq!(shape(&database(&home)), new, "of version {}", of.0);
        assert_eq!(count(&database(&home), "invocations"), INVOCATIONS);
        assert_eq!(count(&database(&home), "projects"), 1);
        if of.0 == 3 {
            // What waits goes on waiting, and where it leads is known.
            let waits = "SELECT (SELECT wait > 1000 FROM deliveries) AND (SELECT wait > 1000 FROM dispatches)
                AND (SELECT origin = 'https://app.example.com' FROM subscriptions)";
            let waits: bool =
                Connection::open(database(&home)).unwrap().query_row(waits, [], |row| row.get(0)).unwrap();
            assert!(waits);
        }
        let backups = backups(&home);
        assert_eq!(backups.len(), 1, "{backups:?}");
        assert_eq!((version(&backups[0]), count(&backups[0], "invocations")), (of.0, INVOCATIONS));
        // What is done once is not done again.
        assert_eq!(home.invocations(&["--limit", "2"]).len(), 2);
        assert_eq!(self::backups(&home).len(), 1);
    }
}

#[test]
fn fault_98_a_migration_that_is_killed_anywhere_is_whole_or_has_not_been() {
    // How far it comes in so much time is not said; in all of them together it comes everywhere.
    let (mut before, mut after) = (0, 0);
    let home = Home::with(&[]);
    put(&home, BEFORE[0], INVOCATIONS);
    let whole = home.run(&["invocation", "list", "--limit", "1"]).took;
    for step in 0..24 {
        let home = Home::with(&[]);
        put(&home, BEFORE[0], INVOCATIONS);
        let running = home.start(&["invocation", "list", "--limit", "1"], "");
        std::thread::sleep(whole * step / 16);
        // It may have ended already.
        let pid = i32::try_from(running.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(pid, Signal::KILL);
        let _ = running.ends();
        let path = database(&home);
        match version(&path) {
            1 => {
                before += 1;
                let connection = Connection::open(&path).unwrap();
                let found: i64 = connection
                    .query_row(
                        "SELECT count(*) FROM sqlite_schema WHERE name IN ('projects', 'audit')",
                        [],
                        |row| row.get(0),
                    )
                    .unwrap();
                assert_eq!(found, 0, "half of it was done");
            }
            _ => {
                after += 1;
                assert_eq!(count(&path, "projects"), 1);
            }
        }
        assert_eq!(count(&path, "invocations"), INVOCATIONS, "step {step}");
        // Whoever comes next finishes it.
        let shown = home.invocation(&id(step as usize));
        assert_eq!(shown["state"], "done", "step {step}");
        assert!(version(&path) > 1 && count(&path, "projects") == 1, "step {step}");
        let whole: String = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(whole, "ok", "step {step}");
    }
    assert!(before > 0 && after > 0, "it was never cut off, or never done: {before} {after}");
}

#[test]
fn fault_98_a_store_whose_copy_cannot_be_made_is_left_as_it_is() {
    let home = Home::with(&[]);
    put(&home, BEFORE[0], 10);
    fs::write(home.path().join("data/backups"), "a file where the directory should be").unwrap();
    let refused = home.run(&["invocation", "list", "-o", "json"]).error(1);
    assert!(refused["message"].as_str().unwrap().contains("backups"), "{refused:#}");
    assert_eq!((version(&database(&home)), count(&database(&home), "invocations")), (1, 10));
}

#[test]
fn fault_98_a_store_of_a_later_version_is_left_alone_by_whoever_comes() {
    let home = Home::with(&["zoom"]);
    assert_eq!(home.run(&["invocation", "list"]).code, 0);
    Connection::open(database(&home)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(database(&home)).unwrap();
    for command in [&["invocation", "list", "-o", "json"][..], &["serve"], &["user", "list"]] {
        let refused = home.run(command);
        assert_eq!(refused.code, 1, "{command:?}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("was written by a later Jackfield"),
            "{command:?}: {}",
            refused.stderr
        );
        assert!(refused.stderr.contains("use that one, or a newer one"), "{command:?}: {}", refused.stderr);
    }
    assert_eq!(fs::read(database(&home)).unwrap(), before);
}

/// A second server is refused with the number of the first; another home is another matter.
#[test]
fn fault_100_one_home_has_one_server() {
    let home = Home::with(&[]);
    let server = home.serve();
    let second = home.run(&["serve"]);
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains(&format!("by process {}", server.pid())), "{}", second.stderr);
    assert!(process::is_there(server.pid()));
    let other = Home::with(&[]);
    let elsewhere = other.serve();
    assert!(process::is_there(elsewhere.pid()));
    // One that was killed is in nobody's way.
    server.signal(Signal::KILL);
    let _ = server.ends();
    let _again = home.serve();
}

#[test]
fn fault_101_a_server_that_cannot_be_what_it_is_told_to_be_says_why_and_where() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("[server]\nlisten = \"{}\"", taken.local_addr().unwrap());
    for (config, says) in [
        ("nonsense = 1", &["jackfield.toml", "nonsense"][..]),
        ("[server]\nlisten = \"nowhere\"", &["jackfield.toml", "listen"]),
        ("[server]\nlisten = 8080", &["jackfield.toml", "listen"]),
        ("[server]\nlistens = \"127.0.0.1:0\"", &["jackfield.toml", "listens"]),
        ("[server]\ntrusted_proxies = [\"all\"]", &["jackfield.toml", "trusted_proxies"]),
        ("public_url = \"nonsense\"", &["jackfield.toml", "public_url"]),
        ("public_url = \"ftp://example.com\"", &["jackfield.toml", "public_url"]),
        ("public_url = \"https://user:secret-7f3a@example.com\"", &["jackfield.toml", "public_url"]),
        ("public_url = \"https://example.com/?a=b\"", &["jackfield.toml", "public_url"]),
        ("public_url = \"https://example.com/#x\"", &["jackfield.toml", "public_url"]),
        ("this is no TOML", &["jackfield.toml"]),
        (&taken, &["cannot listen at 127.0.0.1", "listen"]),
    ] {
        let home = Home::with(&[]);
        fs::write(home.path().join("jackfield.toml"), config).unwrap();
        let refused = home.run(&["serve"]);
        assert_eq!(refused.code, 1, "{config}: {}", refused.stderr);
        for part in says {
            assert!(refused.stderr.contains(part), "{config}: {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("secret-7f3a"), "{config}: {}", refused.stderr);
        assert!(!home.socket().exists(), "{config}");
    }
}

/// What an audit log that takes nothing any more keeps from being done.
#[test]
fn fault_105_without_an_audit_log_nothing_privileged_is_done() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    let key = tenants.get("/v1/projects/default/keys")["items"][0]["id"].as_str().unwrap().to_owned();
    let token = tenants.set("/v1/tokens", &json!({"name": "kept"}))["id"].as_str().unwrap().to_owned();
    let user = tenants.rsa.user("u_1");
    let database = Connection::open(database(&tenants.home)).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER audit_is_full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
    let tables = [
        "projects",
        "signing_keys",
        "integrations",
        "users",
        "connections",
        "links",
        "tokens",
        "audit",
        "vault",
    ];
    let everything = || -> Vec<Vec<String>> {
        let rows = |table: &&str| {
            let mut select = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = select.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                (0..columns)
                    .map(|at| Ok(format!("{:?}", row.get_ref(at)?)))
                    .collect::<Result<String, rusqlite::Error>>()
            };
            select.query_map([], row).unwrap().map(Result::unwrap).collect()
        };
        tables.iter().map(rows).collect()
    };
    let before = everything();
    let given_up = || {
        tenants
            .simulator
            .journal()
            .iter()
            .filter(|one| one["path"].as_str().unwrap_or_default().contains("revoke"))
            .count()
    };
    let of_connection = |rest: &str| format!("/v1/connections/{connection}{rest}");
    let file = tenants.home.path().join("copy.db").display().to_string();
    let pem = jackfield_tests::tenants::Signer::ed().pem();
    let operator = &tenants.operator;
    for (who, method, path, body) in [
        (operator, "POST", "/v1/projects".to_owned(), json!({"id": "third"})),
        (operator, "POST", "/v1/projects".to_owned(), json!({"id": "default", "title": "Changed"})),
        (operator, "POST", "/v1/projects/default/keys".to_owned(), json!({"pem": pem})),
        (operator, "DELETE", format!("/v1/projects/default/keys/{key}"), Value::Null),
        (operator, "PATCH", "/v1/integrations/zoom".to_owned(), json!({"client_id": "another"})),
        (operator, "POST", "/v1/tokens".to_owned(), json!({})),
        (operator, "POST", "/v1/tokens".to_owned(), json!({"user": "u_1"})),
        (operator, "DELETE", format!("/v1/tokens/{token}"), Value::Null),
        (operator, "POST", "/v1/connect-links".to_owned(), json!({"connector": "zoom", "user": "u_1"})),
        (operator, "DELETE", "/v1/users/u_1".to_owned(), Value::Null),
        (operator, "POST", "/v1/secrets/rotate-key".to_owned(), Value::Null),
        (operator, "POST", "/v1/backup".to_owned(), json!({"file": file})),
        (operator, "POST", "/v1/drain".to_owned(), Value::Null),
        (&user, "POST", of_connection("/revoke"), Value::Null),
        (&user, "DELETE", of_connection(""), Value::Null),
        (&user, "POST", "/v1/connect-links".to_owned(), json!({"connector": "zoom"})),
    ] {
        let answer = tenants.ask(who, method, &path, &[("jackfield-project", "default")], &body.to_string());
        assert!(answer.status >= 500, "{method} {path}: {} {}", answer.status, answer.body);
        assert_eq!(answer.json()["status"], answer.status, "{method} {path}: {}", answer.body);
        let after = everything();
        for (table, (before, after)) in tables.iter().zip(before.iter().zip(&after)) {
            assert_eq!(before, after, "{method} {path} has changed {table}");
        }
        assert_eq!(given_up(), 0, "{method} {path}: the grant was given up at the provider");
    }
    assert!(!Path::new(&file).exists());
    assert_eq!(tenants.get("/v1/health")["state"], "serving");
    // What nobody has to answer for goes on: looking, and doing what a user has connected the account for.
    for (who, method, path) in [
        (operator, "GET", "/v1/connections".to_owned()),
        (operator, "GET", "/v1/audit".to_owned()),
        (&user, "GET", of_connection("")),
        (&user, "POST", of_connection("/actions/get_meetings")),
        (&user, "GET", of_connection("/proxy/users/me")),
    ] {
        let answer = tenants.ask(who, method, &path, &[("jackfield-project", "default")], "{}");
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    }
    // And as soon as it can be written, all goes on.
    database.execute_batch("DROP TRIGGER audit_is_full").unwrap();
    let answer = tenants.ask(&user, "POST", &of_connection("/revoke"), &[], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(given_up(), 1);
}

#[test]
fn fault_94_a_store_that_another_process_keeps_is_told_with_503_and_nothing_is_lost() {
    let tenants = Tenants::start(&[]);
    let id = tenants.connect("u_1", "host");
    let (operator, user) = (&tenants.operator, tenants.rsa.user("u_1"));
    let of_connection = |rest: &str| format!("/v1/connections/{id}{rest}");
    let ready = || jackfield_tests::http("GET", &format!("{}/readyz", tenants.url), &[], "").status;
    let made = || {
        let journal = tenants.simulator.journal();
        journal
            .iter()
            .filter(|request| request["method"] == "POST" && request["path"] == "/v2/users/me/meetings")
            .count()
    };
    let change = [
        (operator, "POST", "/v1/projects".to_owned(), json!({"id": "more"})),
        (&user, "PATCH", "/v1/users/u_1".to_owned(), json!({"meta": {"plan": "gold"}})),
        (&user, "POST", "/v1/connect-links".to_owned(), json!({"connector": "zoom"})),
        (&user, "POST", of_connection("/actions/create_meeting"), json!({"topic": "Demo"})),
        (&user, "POST", of_connection("/refresh"), json!({})),
        (&user, "POST", of_connection("/revoke"), json!({})),
    ];
    let ask = |(who, method, path, body): &(&String, &str, String, Value)| {
        let project = [("jackfield-project", "default")];
        let project: &[(&str, &str)] = if *who == operator { &project } else { &[] };
        tenants.ask(who, method, path, project, &body.to_string())
    };
    assert_eq!(ready(), 200);
    let other = Connection::open(database(&tenants.home)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let asked: Vec<_> = change.iter().map(|one| (one, scope.spawn(|| ask(one)))).collect();
        for ((_, method, path, _), asked) in asked {
            let answer = asked.join().unwrap();
            assert_eq!(answer.status, 503, "{method} {path}: {}", answer.body);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
            let after = answer.header("retry-after").and_then(|after| after.parse::<u32>().ok());
            assert!(after.is_some_and(|after| (1..=10).contains(&after)), "{method} {path}: {after:?}");
            let problem = answer.json();
            assert_eq!((&problem["kind"], &problem["status"]), (&json!("unavailable"), &json!(503)));
            assert!(problem["hint"].as_str().unwrap().contains("run it again"), "{problem}");
        }
    });
    assert_eq!(ready(), 503);
    // What only reads goes on.
    assert_eq!(tenants.ask(&user, "GET", &of_connection(""), &[], "").status, 200);
    let read = tenants.ask(&user, "POST", &of_connection("/actions/get_meetings"), &[], "{}");
    assert_eq!(read.status, 200, "{}", read.body);
    assert_eq!(made(), 0, "what cannot be recorded is not sent");
    // Long enough for how it ended to have been tried to be written.
    std::thread::sleep(Duration::from_secs(2));

    other.execute_batch("COMMIT").unwrap();
    // Nobody writes anything meanwhile.
    jackfield_tests::eventually("readiness", || ready() == 200);
    let invocation = format!("/v1/invocations/{}", read.json()["id"].as_str().unwrap());
    let recorded = tenants.ask(&user, "GET", &invocation, &[], "");
    assert_eq!((recorded.status, &recorded.json()["state"]), (200, &json!("done")), "{}", recorded.body);
    for one in &change {
        let answer = ask(one);
        assert_eq!(answer.status, 200, "{} {}: {}", one.1, one.2, answer.body);
    }
    assert_eq!(made(), 1);
}

/// Sockets cost descriptors, and whoever has none left must not spin.
#[test]
fn fault_99_a_server_without_descriptors_waits_and_recovers() {
    let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.configure(&format!("[server]\nlisten = \"127.0.0.1:{port}\""));
    let server = home.serve();
    assert_eq!(home.invoke("zoom.get_meetings", &[]).code, 0);
    let pid = i32::try_from(server.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limit).unwrap();
    let crowd: Vec<_> =
        (0..120).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    assert!(crowd.len() > 64, "{}", crowd.len());
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse().unwrap())
            .collect();
        fields[0] + fields[1]
    };
    std::thread::sleep(Duration::from_millis(300));
    let before = used();
    std::thread::sleep(Duration::from_secs(3));
    let spent = used() - before;
    assert!(spent < 60, "it has counted for {spent} hundredths of a second in three seconds of waiting");
    assert!(process::is_there(server.pid()));
    drop(crowd);
    let health = || jackfield_tests::http("GET", &format!("http://127.0.0.1:{port}/readyz"), &[], "");
    assert_eq!(health().status, 200);
    assert_eq!(home.invoke("zoom.get_meetings", &[]).code, 0);
    assert_eq!(home.ask("GET", "/v1/health", &Value::Null).0, 200);
}
