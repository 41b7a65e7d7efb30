//! The kill test, short: `cargo xtask chaos` kills two hundred times. What was acknowledged is there, is made into one event, and
//! that is told to the app; what the app has answered with a success that was recorded is not told again.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_tests::{
    Act, eventually,
    hooks::{App, Hooks, SECRET, created, deliver, now},
    reply, skip,
};
use serde_json::json;

/// What senders know of each other.
#[derive(Default)]
struct Sent {
    stopped: AtomicBool,
    next: AtomicU64,
    acknowledged: Mutex<Vec<u64>>,
}

/// Sends one delivery after the other, each until it is acknowledged, as a provider does.
fn send(url: &str, person: &str, sent: &Sent) {
    while !sent.stopped.load(Ordering::Relaxed) {
        let number = 1 + sent.next.fetch_add(1, Ordering::Relaxed);
        let body = created(number, person, &json!({})).to_string();
        let is_taken = || deliver(url, body.as_bytes(), SECRET, &now().to_string(), &[]);
        while !is_taken().is_ok_and(|answer| answer.status == 200) {
            if sent.stopped.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        sent.acknowledged.lock().unwrap().push(number);
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whoever sends ends, however the test does.
struct Stops<'a>(&'a Sent);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

fn rows(hooks: &Hooks, query: &str) -> Vec<String> {
    let database = hooks.accounts.database();
    let mut select = database.prepare(query).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Waits until there is nothing left to be done.
fn settle(hooks: &Hooks) {
    let open = "SELECT 'delivery ' || id FROM deliveries WHERE state = 'waiting'
        UNION ALL SELECT 'event ' || event FROM dispatches WHERE state IN ('waiting', 'sending')";
    eventually("nothing is left to be done", || rows(hooks, open).is_empty());
}

/// Fails unless each acknowledged delivery is there and was made into one event.
#[track_caller]
fn all_are_there(hooks: &Hooks, acknowledged: &[u64]) {
    let kept = rows(
        hooks,
        "SELECT CAST(json_extract(CAST(body AS TEXT), '$.payload.object.id') AS TEXT) FROM deliveries",
    );
    let kept: BTreeSet<u64> = kept.iter().map(|id| id.parse().unwrap()).collect();
    let lost: Vec<&u64> = acknowledged.iter().filter(|number| !kept.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let mut events: BTreeMap<u64, usize> = BTreeMap::new();
    let made = "SELECT json_extract(head, '$.data.meeting.id') FROM events WHERE kind = 'zoom.new_meeting'";
    for id in rows(hooks, made) {
        *events.entry(id.parse().unwrap()).or_default() += 1;
    }
    let odd: Vec<&u64> = acknowledged.iter().filter(|number| events.get(number) != Some(&1)).collect();
    assert!(odd.is_empty(), "not made into one event: {odd:?}");
    assert_eq!(rows(hooks, "PRAGMA integrity_check"), ["ok"]);
}

/// How often the app was sent each event.
fn times(app: &App) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in app.provider.requests() {
        *times.entry(request.header("webhook-id").unwrap().to_owned()).or_default() += 1;
    }
    times
}

#[test]
fn fault_01_ten_kills_lose_nothing_that_was_acknowledged_and_send_nothing_again_that_is_done() {
    let mut hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let (url, person) = (hooks.url(), hooks.person(&connection));
    // It takes its time, so that there is something to be killed in, and fails now and then.
    let app = App::with(|before| {
        let pause = Act::Pause(Duration::from_millis(before as u64 * 7 % 12));
        let status = if before % 40 == 0 { 500 } else { 204 };
        [vec![pause], reply(status, &[], "")].concat()
    });
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    let sent = Sent::default();
    // How often an event had been sent when its success was known to be recorded.
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    let mut lives = Vec::new();
    thread::scope(|scope| {
        let _stops = Stops(&sent);
        for _ in 0..4 {
            scope.spawn(|| send(&url, &person, &sent));
        }
        for kill in 0..10_usize {
            let chance = RandomState::new().hash_one(kill);
            lives.push(100 + chance % 700);
            thread::sleep(Duration::from_millis(lives[kill]));
            hooks.accounts.kill();
            let times = times(&app);
            for event in rows(&hooks, "SELECT event FROM dispatches WHERE state = 'done'") {
                let count = times[&event];
                done.entry(event).or_insert(count);
            }
            hooks.accounts.serve();
        }
    });
    settle(&hooks);
    let acknowledged = sent.acknowledged.into_inner().unwrap();
    assert!(
        acknowledged.len() > 50 && !done.is_empty(),
        "{} deliveries, lives {lives:?}",
        acknowledged.len()
    );
    all_are_there(&hooks, &acknowledged);
    let times = times(&app);
    let again: Vec<_> = done.iter().filter(|(event, count)| times[*event] != **count).collect();
    assert!(again.is_empty(), "done and sent again: {again:?}, lives {lives:?}");
    // Each was told, under one id however often it was told.
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in app.events() {
        let meeting = event["data"]["meeting"]["id"].as_str().unwrap().to_owned();
        ids.entry(meeting).or_default().insert(event["id"].as_str().unwrap().to_owned());
    }
    for number in &acknowledged {
        assert_eq!(ids.get(&number.to_string()).map(BTreeSet::len), Some(1), "{number}, lives {lives:?}");
    }
}

/// A disk of 2 MiB, until it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "jackfield-test"]).arg(disk.0.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(disk)
    }

    /// Moves the data of a home there.
    fn take(&self, data: &Path) {
        for entry in fs::read_dir(data).unwrap().flatten() {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), self.0.path().join(entry.file_name())).unwrap();
            }
        }
        fs::remove_dir_all(data).unwrap();
        symlink(self.0.path(), data).unwrap();
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("ballast");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        eventually("the disk can be taken away", || {
            Command::new("umount").arg(self.0.path()).output().is_ok_and(|output| output.status.success())
                || fs::read_to_string("/proc/mounts")
                    .is_ok_and(|mounts| !mounts.contains(&self.0.path().display().to_string()))
        });
    }
}

#[test]
fn fault_93_a_full_disk_has_deliveries_sent_again_and_needs_no_restart() {
    let Some(disk) = Disk::mount() else {
        skip("fault_93", "a small tmpfs has to be mounted, which only root may");
        return;
    };
    let mut hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    assert_eq!(hooks.accounts.end().code, 0);
    disk.take(&hooks.accounts.home.path().join("data"));
    hooks.accounts.serve();
    let server = hooks.accounts.server().pid();
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    let mut ballast = None;
    for number in 1..2000 {
        if number > 20 {
            ballast = Some(disk.fill());
        }
        let body = created(number, &person, &json!({})).to_string();
        let answer = hooks.send(body.as_bytes());
        match answer.status {
            200 => acknowledged.push(number),
            _ => {
                assert_eq!(answer.status, 503, "{}", answer.body);
                assert!(answer.header("retry-after").is_some());
                refused.push((number, body));
            }
        }
        if refused.len() == 10 {
            break;
        }
    }
    assert!(acknowledged.len() >= 20 && refused.len() == 10, "{} and {}", acknowledged.len(), refused.len());
    let handshake =
        json!({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "plain"}});
    assert_eq!(hooks.send(handshake.to_string().as_bytes()).status, 200, "it needs no disk");
    fs::remove_file(ballast.unwrap()).unwrap();
    // The provider sends again what it was asked to.
    for (number, body) in refused {
        eventually("there is room again", || hooks.send(body.as_bytes()).status == 200);
        acknowledged.push(number);
    }
    assert_eq!(hooks.accounts.server().pid(), server);
    settle(&hooks);
    all_are_there(&hooks, &acknowledged);
    eventually("the app knows all of them", || times(&app).len() == acknowledged.len());
}
