//! Which libraries are used, and which are not: whose they are, who else could change them, what they would bring along, and
//! what was pinned. Each time a good connector answers beside them.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use jackfield_tests::{
    Beside, Home, Outcome, Provider, artifact, eventually, frozen, patched, replaced, skip,
};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A home with a good connector in it, and the provider that it asks.
struct Place {
    home: Home,
    _provider: Provider,
}

impl Place {
    fn new() -> Self {
        let provider = Provider::always(200, &[], "the answer");
        let home = Home::with(&[]);
        home.add(&frozen());
        home.endpoint("frozen", "api", &provider.url());
        Self { home, _provider: provider }
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.home.plugins().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.plugin(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The good one answers.
    #[track_caller]
    fn answers(&self) {
        let answer = self.home.invoke("frozen.ask", &[]);
        assert_eq!(answer.json(), json!({"status": 200, "body": "the answer"}), "{}", answer.stderr);
    }

    /// Serves the home, and has the good one called all the time.
    #[must_use]
    fn beside(&self) -> Beside {
        let right = json!({"status": 200, "body": "the answer"});
        Beside::calling(&self.home, "frozen.ask", &json!({}), right)
    }

    /// Waits until this is the state of a connector, for this reason: where the home is served, it takes a moment.
    #[track_caller]
    fn becomes(&self, name: &str, state: &str, reason: &str) {
        if self.home.socket().exists() {
            let home = self.home.path().display().to_string();
            let is_so = |line: &Value| {
                (line["name"] == name || text(line, "path").ends_with(name))
                    && line["state"] == state
                    && text(line, "reason").replace(&home, "HOME").starts_with(reason)
            };
            eventually(&format!("{name} is {state}: {reason}"), || {
                let (_, lines) = self.home.ask("GET", "/v1/connectors", &Value::Null);
                lines["items"].as_array().is_some_and(|lines| lines.iter().any(is_so))
            });
        }
    }

    /// The line of a connector, by its id or the name of its file.
    #[track_caller]
    fn line(&self, name: &str) -> Value {
        let lines = self.home.run(&["connector", "list", "-o", "json"]).json();
        let lines = lines.as_array().unwrap();
        let found =
            lines.iter().find(|line| line["name"] == name || line["path"].as_str().unwrap().ends_with(name));
        found.unwrap_or_else(|| panic!("{name} is not in {lines:#?}")).clone()
    }

    /// A file is refused with this reason and this hint, in which HOME stands for the home.
    #[track_caller]
    fn refuses(&self, name: &str, reason: &str, hint: &str) {
        self.becomes(name, "refused", reason);
        let line = self.line(name);
        let home = self.home.path().display().to_string();
        let said = |member: &str| line[member].as_str().unwrap_or_default().replace(&home, "HOME");
        assert_eq!((said("state").as_str(), said("reason").as_str()), ("refused", reason), "{line:#}");
        assert_eq!(said("hint"), hint, "{line:#}");
        assert_eq!(line["trust"], Value::Null);
        assert!(!reason.contains('\n'));
    }

    #[track_caller]
    fn is_ready(&self, name: &str, trust: &str) {
        self.becomes(name, "ready", "");
        let line = self.line(name);
        assert_eq!((&line["state"], &line["trust"]), (&json!("ready"), &json!(trust)), "{line:#}");
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> Outcome {
        let outcome = self.home.run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
        outcome
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A connector that makes this file as soon as it is opened.
fn constructor(canary: &Path) -> Vec<u8> {
    let mark = b"jackfield-constructor-canary:";
    let path = canary.to_str().unwrap();
    let mut bytes = fs::read(artifact("libconstructor.so")).unwrap();
    let places: Vec<usize> = bytes
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| window == mark)
        .map(|(at, _)| at)
        .collect();
    for place in places {
        // The mark stands elsewhere, too, as a text; room is behind one of them.
        let room = &mut bytes[place + mark.len()..];
        if room.iter().take(path.len() + 1).all(|byte| *byte == 0) {
            room[..path.len()].copy_from_slice(path.as_bytes());
        }
    }
    bytes
}

#[test]
fn fault_76_what_is_not_pinned_is_refused_before_it_is_opened() {
    let place = Place::new();
    let canary = place.home.path().join("canary");
    let bytes = constructor(&canary);
    let library = place.put("libconstructor.so", &bytes);
    place.is_ready("frozen", "unpinned");
    let locked = place.does(&["connector", "lock", "frozen"]);
    assert!(locked.stderr.contains("pinned frozen 1.0.0, sha256 "), "{}", locked.stderr);
    assert!(locked.stderr.contains("constructor 0.1.0, sha256 ") && locked.stderr.contains("is not pinned"));
    let file = place.home.path().join("plugins.lock");
    assert_eq!(mode_of(&file), 0o600);
    place.is_ready("frozen", "pinned");
    let line = place.line("constructor");
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.starts_with("is not pinned: plugins.lock has no constructor; this is 0.1.0, sha256 "));
    assert_eq!(line["hint"], "if you mean this file: jackfield connector lock constructor");
    place.answers();

    // Pinned, it is used: and it runs as soon as it is opened.
    place.does(&["connector", "lock", "constructor"]);
    place.is_ready("constructor", "pinned");
    assert_eq!(place.home.invoke("constructor.tell", &[]).json(), json!({"ran": true}));
    let _ = fs::remove_file(&canary);

    // One byte is another one, where nothing would notice.
    let beside = place.beside();
    let mut changed = bytes.clone();
    let end = changed.len() - 1;
    changed[end] ^= 1;
    fs::write(&library, &changed).unwrap();
    let sum = |digest: &Value| digest.as_str().unwrap()[..12].to_owned();
    let verified = place.home.run(&["connector", "verify", library.to_str().unwrap(), "-o", "json"]);
    let _ = fs::remove_file(&canary);
    let is = sum(&verified.json()["sha256"]);
    place.becomes("constructor", "refused", "is not what is pinned");
    let error = place.home.invoke("constructor.tell", &[]).error(7);
    let message = error["message"].as_str().unwrap();
    let had = fs::read_to_string(&file).unwrap();
    let had: Value = json!(had.lines().find_map(|line| line.strip_prefix("sha256 = \"")).unwrap());
    let both = format!(
        "is not what is pinned: plugins.lock has constructor 0.1.0, sha256 {}; this is 0.1.0, sha256 {is}",
        sum(&had)
    );
    assert!(message.ends_with(&both), "{message}");
    assert_eq!(error["hint"], "if you mean this file: jackfield connector lock constructor");
    assert!(!canary.exists(), "it was opened");
    place.answers();
    beside.ends();

    // That one is meant: both sides are said.
    let locked = place.does(&["connector", "lock", "constructor"]);
    assert!(locked.stderr.contains(&format!("sha256 {is}; it was 0.1.0, sha256 {}", sum(&had))));
    place.is_ready("constructor", "pinned");
    let shown = place.does(&["connector", "show", "constructor"]).stdout;
    let me = if is_root() { "root" } else { "" };
    assert!(shown.contains(&format!("pinned: it belongs to {me}")), "{shown}");
    assert!(shown.contains("and it is what plugins.lock has"), "{shown}");

    // Without the file, nothing has to be pinned.
    place.does(&["connector", "lock", "--off"]);
    place.is_ready("constructor", "unpinned");
    assert!(place.does(&["connector", "lock", "--off"]).stderr.contains("nothing is pinned"));
}

#[test]
fn fault_76_without_a_good_lock_file_nothing_is_used() {
    let place = Place::new();
    place.does(&["connector", "lock"]);
    let file = place.home.path().join("plugins.lock");
    let good = fs::read_to_string(&file).unwrap();
    place.answers();
    let anew = "pin anew what is there: jackfield connector lock --off && jackfield connector lock";
    for (text, what) in [
        ("plugin = 5", "`plugin` is no [[plugin]]"),
        ("[[plugin", "it is not TOML"),
        (&format!("{good}{good}"), "`frozen` is pinned twice"),
    ] {
        fs::write(&file, text).unwrap();
        place.refuses("frozen", &format!("is not used: HOME/plugins.lock cannot be read: {what}"), anew);
        let error = place.home.invoke("frozen.ask", &[]).error(7);
        assert_eq!(error["kind"], "plugin_refused");
        for command in
            [&["connector", "lock"][..], &["connector", "add", artifact("libfaulty.so").to_str().unwrap()]]
        {
            let outcome = place.home.run(command);
            assert_eq!(
                (outcome.code, fs::read_to_string(&file).unwrap().as_str()),
                (7, text),
                "{}",
                outcome.stderr
            );
        }
    }
    fs::write(&file, &good).unwrap();
    mode(&file, 0o666);
    place.refuses(
        "frozen",
        "is not used: HOME/plugins.lock has mode 666, so everybody can write it; only its owner may",
        "close it: chmod go-w HOME/plugins.lock",
    );
    mode(&file, 0o600);
    place.answers();
    // An empty one pins nothing, and so nothing is used.
    fs::write(&file, "").unwrap();
    assert_eq!(place.line("frozen")["state"], "refused");
    fs::remove_file(&file).unwrap();
    symlink("nowhere", &file).unwrap();
    assert_eq!(place.line("frozen")["state"], "refused");
    place.does(&["connector", "lock", "--off"]);
    place.answers();
}

#[test]
fn while_libraries_are_pinned_adding_pins_and_removing_takes_the_pin_out() {
    let place = Place::new();
    place.does(&["connector", "lock"]);
    let file = place.home.path().join("plugins.lock");
    let faulty = artifact("libfaulty.so");
    let added = place.does(&["connector", "add", artifact("libforge.so").to_str().unwrap()]);
    assert!(added.stderr.contains("pinned forge 0.1.0, sha256 "), "{}", added.stderr);
    place.is_ready("forge", "pinned");
    // It is sorted, and is what anybody could have written.
    let pinned = fs::read_to_string(&file).unwrap();
    assert!(pinned.find("\"forge\"") < pinned.find("\"frozen\""), "{pinned}");
    place.home.add(&faulty);
    assert_eq!(place.line("faulty")["state"], "refused");
    // What is already pinned stays so, and what is not has to be named.
    let locked = place.does(&["connector", "lock"]);
    assert!(locked.stderr.contains("is pinned already") && locked.stderr.contains("faulty 0.1.0"));
    assert_eq!(place.line("faulty")["state"], "refused");
    let removed = place.does(&["connector", "remove", "forge", "--yes"]);
    assert!(removed.stderr.contains("took forge out of"), "{}", removed.stderr);
    assert!(!fs::read_to_string(&file).unwrap().contains("forge"));
    place.answers();
}

#[test]
fn fault_78_a_plain_copy_is_used_also_where_files_are_made_for_the_group_to_write() {
    let place = Place::new();
    let me = rustix::process::geteuid().as_raw();
    if me != rustix::process::getegid().as_raw() {
        return skip("fault_78_a_plain_copy…", "this user has no group of their own");
    }
    let source = place.home.path().join("libfaulty.so");
    fs::copy(artifact("libfaulty.so"), &source).unwrap();
    mode(&source, 0o775);
    mode(&place.home.path(), 0o775);
    mode(&place.home.plugins(), 0o775);
    let beside = place.beside();
    let copy = format!("umask 002 && cp {} {}", source.display(), place.home.plugins().display());
    assert!(Command::new("sh").args(["-c", &copy]).status().unwrap().success());
    assert_eq!(mode_of(&place.plugin("libfaulty.so")), 0o775);
    place.is_ready("faulty", "unpinned");
    place.answers();
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    beside.ends();
}

#[test]
fn fault_78_a_file_that_somebody_else_could_write_is_refused() {
    let place = Place::new();
    place.home.add(&artifact("libfaulty.so"));
    let library = place.plugin("libfaulty.so");
    let beside = place.beside();
    mode(&library, 0o666);
    place.refuses(
        "libfaulty.so",
        "has mode 666, so everybody can write it; only its owner may",
        "close it: chmod go-w HOME/plugins/libfaulty.so",
    );
    let error = place.home.invoke("faulty.do", &["what=say"]).error(7);
    assert_eq!(error["kind"], "plugin_refused");
    place.answers();
    // It is the mode that counts now, whatever was read of the file before.
    mode(&library, 0o644);
    place.is_ready("faulty", "unpinned");
    beside.ends();
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    if !is_root() {
        return skip(
            "fault_78_a_file_that_somebody_else_could_write_is_refused",
            "only root gives files away",
        );
    }
    // The group of somebody else.
    let beside = place.beside();
    chown(&library, None, Some(12)).unwrap();
    mode(&library, 0o664);
    place.refuses(
        "libfaulty.so",
        "has mode 664, so the group 12 can write it; only its owner may",
        "close it: chmod g-w HOME/plugins/libfaulty.so",
    );
    mode(&library, 0o644);
    place.is_ready("faulty", "unpinned");
    chown(&library, Some(65534), None).unwrap();
    place.refuses(
        "libfaulty.so",
        "belongs to nobody; it has to belong to root",
        "make it yours: chown 0 HOME/plugins/libfaulty.so",
    );
    place.answers();
    beside.ends();
}

#[test]
fn fault_78_a_directory_that_somebody_else_could_write_has_no_library_that_is_used() {
    let place = Place::new();
    for (directory, name) in [(place.home.plugins(), "HOME/plugins"), (place.home.path(), "HOME")] {
        mode(&directory, 0o777);
        place.refuses(
            "libfrozen.so",
            &format!("lies in {name}, which has mode 777, so everybody can write it; only its owner may"),
            &format!("close it: chmod go-w {name}"),
        );
        assert_eq!(place.home.invoke("frozen.ask", &[]).error(7)["kind"], "plugin_refused");
        mode(&directory, 0o700);
        place.answers();
    }
    if !is_root() {
        return skip("fault_78_a_directory_that_somebody_else_could_write…", "only root gives files away");
    }
    chown(place.home.plugins(), Some(65534), None).unwrap();
    let reason = "lies in HOME/plugins, which belongs to nobody; it has to belong to root";
    place.refuses("libfrozen.so", reason, "make it yours: chown 0 HOME/plugins");
    chown(place.home.plugins(), Some(0), Some(12)).unwrap();
    mode(&place.home.plugins(), 0o770);
    let reason = "lies in HOME/plugins, which has mode 770, so the group 12 can write it; only its owner may";
    place.refuses("libfrozen.so", reason, "close it: chmod g-w HOME/plugins");
}

#[test]
fn fault_78_adding_closes_the_directory_and_the_file() {
    let place = Place::new();
    mode(&place.home.plugins(), 0o777);
    let added = place.does(&["connector", "add", artifact("libfaulty.so").to_str().unwrap()]);
    let closed = format!("closed {} to others (mode 700)", place.home.plugins().display());
    assert!(added.stderr.contains(&closed), "{}", added.stderr);
    assert_eq!((mode_of(&place.home.plugins()), mode_of(&place.plugin("libfaulty.so"))), (0o700, 0o600));
    place.is_ready("faulty", "unpinned");
    place.answers();
    let again = place.does(&["connector", "add", artifact("libfaulty.so").to_str().unwrap()]);
    assert!(!again.stderr.contains("closed"), "{}", again.stderr);
}

#[test]
fn fault_78_a_link_is_followed_only_within_the_directory() {
    let place = Place::new();
    let outside = place.home.path().join("libfaulty.so");
    fs::copy(artifact("libfaulty.so"), &outside).unwrap();
    let link = place.plugin("libfaulty.so");
    let beside = place.beside();
    symlink(&outside, &link).unwrap();
    place.refuses(
        "libfaulty.so",
        "is a link to HOME/libfaulty.so, which does not lie in HOME/plugins",
        "put the file in its place: cp --remove-destination HOME/libfaulty.so HOME/plugins/libfaulty.so",
    );
    place.answers();
    fs::remove_file(&outside).unwrap();
    place.refuses(
        "libfaulty.so",
        "is a link to HOME/libfaulty.so, where nothing is",
        "take it away: rm HOME/plugins/libfaulty.so",
    );
    // A version beside it is what such links are for; and then its own directory counts as well.
    fs::remove_file(&link).unwrap();
    let versions = place.plugin("versions");
    fs::create_dir(&versions).unwrap();
    fs::copy(artifact("libfaulty.so"), versions.join("libfaulty-1")).unwrap();
    symlink("versions/libfaulty-1", &link).unwrap();
    place.is_ready("faulty", "unpinned");
    beside.ends();
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    mode(&versions, 0o777);
    place.refuses(
        "libfaulty.so",
        "lies in HOME/plugins/versions, which has mode 777, so everybody can write it; only its owner may",
        "close it: chmod go-w HOME/plugins/versions",
    );
    place.answers();
}

#[test]
fn fault_78_plugins_and_what_jackfield_writes_lie_in_none_of_each_other() {
    let place = Place::new();
    let (plugins, home) = (place.home.plugins(), place.home.path());
    let inside = home.join("data/plugins");
    fs::rename(&plugins, &inside).unwrap();
    symlink(&inside, &plugins).unwrap();
    place.refuses(
        "libfrozen.so",
        "lies in HOME/data/plugins, and HOME/data in HOME/data; neither may lie in the other",
        "make it a directory of its own: rm HOME/plugins && mkdir -m 700 HOME/plugins",
    );
    assert_eq!(place.home.invoke("frozen.ask", &[]).error(7)["kind"], "plugin_refused");
    fs::remove_file(&plugins).unwrap();
    fs::rename(&inside, &plugins).unwrap();
    place.answers();
    // The other way round.
    fs::remove_dir(home.join("logs")).ok();
    let _ = fs::remove_dir_all(home.join("logs"));
    fs::create_dir(plugins.join("logs")).unwrap();
    symlink(plugins.join("logs"), home.join("logs")).unwrap();
    place.refuses(
        "libfrozen.so",
        "lies in HOME/plugins, and HOME/logs in HOME/plugins/logs; neither may lie in the other",
        "make it a directory of its own: rm HOME/logs && mkdir -m 700 HOME/logs",
    );
    fs::remove_file(home.join("logs")).unwrap();
    place.answers();
}

/// What the loader would be told by a library's dynamic segment: an entry that says nothing here becomes one of this tag.
fn with_entry(library: &Path, tag: u32) -> Vec<u8> {
    let flags = 0x6fff_fffb_u64.to_le_bytes();
    let entry = [flags, 1_u64.to_le_bytes()].concat();
    let mut bytes = fs::read(library).unwrap();
    let at = bytes.windows(16).position(|window| window == entry).expect("a library has such flags");
    bytes[at..at + 8].copy_from_slice(&u64::from(tag).to_le_bytes());
    bytes
}

/// A library with one number of a program header changed: of the last one of this kind, at this place.
fn with_header(library: &Path, kind: u32, at: usize, change: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut bytes = fs::read(library).unwrap();
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    let is_kind = |place: &usize| bytes[*place..*place + 4] == kind.to_le_bytes();
    let place = (0..count).map(|index| 64 + 56 * index).rfind(is_kind).expect("there is one") + at;
    let number: [u8; 8] = bytes[place..place + 8].try_into().unwrap();
    bytes[place..place + 8].copy_from_slice(&change(u64::from_le_bytes(number)).to_le_bytes());
    bytes
}

#[test]
fn what_a_library_would_bring_along_is_read_as_the_loader_reads_it_and_refused() {
    let place = Place::new();
    let faulty = artifact("libfaulty.so");
    let no_stack = [0x51, 0xe5, 0x74, 0x64, 6, 0, 0, 0];
    for (bytes, reason, hint) in [
        (
            replaced(&faulty, b"libgcc_s.so.1\0", b"libevil_.so.1\0"),
            "needs the library libevil_.so.1; a connector may need libc.so.6, libm.so.6, libgcc_s.so.1, \
             libpthread.so.0, libdl.so.2, librt.so.1 and the loader",
            "link that library statically, or do without it",
        ),
        (
            replaced(&faulty, b"libgcc_s.so.1\0", b"/tmp/x/y.so.1\0"),
            "needs the library /tmp/x/y.so.1; a connector may need libc.so.6, libm.so.6, libgcc_s.so.1, \
             libpthread.so.0, libdl.so.2, librt.so.1 and the loader",
            "link that library statically, or do without it",
        ),
        (
            with_entry(&faulty, 29),
            "has a run path: it would look for libraries elsewhere than the system does",
            "build it without `-rpath`",
        ),
        (
            with_entry(&faulty, 15),
            "has a run path: it would look for libraries elsewhere than the system does",
            "build it without `-rpath`",
        ),
        (
            with_entry(&faulty, 0x6fff_fefc),
            "brings an auditor of its own, which the loader would run",
            "build it without `--audit` and `--depaudit`",
        ),
        (
            with_entry(&faulty, 0x7fff_ffff),
            "is a filter: the loader would load another library in its place",
            "build it without `--filter` and `--auxiliary`",
        ),
        (patched(&faulty, &no_stack, 4, 7), "asks for an executable stack", "build it with `-z noexecstack`"),
        // Where nothing is said of the stack, the loader makes it executable.
        (
            with_header(&faulty, 0x6474_e551, 0, |kind| kind & !0xffff_ffff),
            "asks for an executable stack",
            "build it with `-z noexecstack`",
        ),
        (with_entry(&faulty, 5), "is malformed: its dynamic segment names two string tables", ""),
        // What stands where is understood in one way only.
        (
            with_header(&faulty, 1, 16, |address| address - 0x4000),
            "is malformed: its segments lie over one another, or not at whole pages",
            "",
        ),
        (
            with_header(&faulty, 2, 8, |offset| offset + 16),
            "is malformed: its dynamic segment is not where it says that it is",
            "",
        ),
        (
            with_header(&faulty, 4, 0, |kind| kind - 2),
            "is malformed: it has no dynamic segment, or several",
            "",
        ),
        (with_header(&faulty, 2, 32, |_| 32), "is malformed: its dynamic segment has no end", ""),
        (with_header(&faulty, 1, 32, |len| len << 20), "is cut short", ""),
    ] {
        place.put("libfaulty.so", &bytes);
        place.refuses("faulty", reason, hint);
        assert_eq!(place.home.invoke("faulty.do", &["what=say"]).error(7)["kind"], "plugin_refused");
        // Nothing of it is run to find that out, also not where it is asked for by its file.
        let verified =
            place.home.run(&["connector", "verify", place.plugin("libfaulty.so").to_str().unwrap()]);
        assert!(verified.code == 7 && verified.stderr.contains(reason), "{}", verified.stderr);
        place.answers();
    }
}

#[test]
fn a_server_notices_who_could_change_a_library_and_what_is_pinned() {
    let place = Place::new();
    place.home.add(&artifact("libfaulty.so"));
    let server = place.home.serve();
    let state = || place.line("plugins/libfaulty.so")["state"].clone();
    place.answers();
    mode(&place.plugin("libfaulty.so"), 0o666);
    eventually("the file is refused", || state() == "refused");
    place.answers();
    mode(&place.plugin("libfaulty.so"), 0o600);
    eventually("it is used again", || state() == "ready");
    // Nothing of any library changes now.
    mode(&place.home.path(), 0o777);
    eventually("the home is open", || state() == "refused");
    mode(&place.home.path(), 0o700);
    eventually("the home is closed", || state() == "ready");
    place.does(&["connector", "lock", "frozen"]);
    eventually("the other is not pinned", || state() == "refused");
    place.answers();
    place.does(&["connector", "lock", "--off"]);
    eventually("nothing is pinned", || state() == "ready");
    drop(server);
}

#[test]
fn fault_86_to_look_at_a_connector_runs_nothing_of_it() {
    let place = Place::new();
    let canary = place.home.path().join("canary");
    let beside = place.beside();
    place.put("libconstructor.so", &constructor(&canary));
    place.is_ready("constructor", "unpinned");
    for args in [
        &["connector", "list"][..],
        &["connector", "show", "constructor"],
        &["action", "list"],
        &["action", "list", "constructor"],
        &["action", "show", "constructor.tell"],
        &["action", "form", "constructor.tell", "-o", "json"],
        &["action", "form", "constructor.tell", "--html"],
        &["connector", "lock"],
    ] {
        place.does(args);
        assert!(!canary.exists(), "{args:?} has opened it");
    }
    place.answers();
    // It is no dud: whoever calls it has it run, in a worker.
    assert_eq!(place.home.invoke("constructor.tell", &[]).json(), json!({"ran": true}));
    beside.ends();
}

#[test]
fn a_build_output_is_used_where_it_lies_and_is_another_one_after_each_build() {
    let place = Place::new();
    place.home.add(&artifact("libfaulty.so"));
    let target = place.home.path().join("target");
    fs::create_dir(&target).unwrap();
    let output = target.join("libfaulty.so");
    let build = |title: &[u8]| {
        fs::write(&output, replaced(&artifact("libfaulty.so"), b"\"title\": \"Faulty\"", title)).unwrap();
    };
    let missing = place.home.run(&["connector", "dev", output.to_str().unwrap()]);
    assert!(missing.code == 2 && missing.stderr.contains("hint: build it first: cargo build"));
    build(b"\"title\": \"Made 1\"");
    let entry = place.plugin("faulty.dev");
    let said = place.does(&["connector", "dev", output.to_str().unwrap()]).stderr;
    assert!(said.contains("faulty 0.1.0 is used where it is built"), "{said}");
    assert!(said.contains("plugins/libfaulty.so is not used meanwhile"), "{said}");
    assert_eq!(
        (mode_of(&entry), fs::read_to_string(&entry).unwrap()),
        (0o600, format!("{}\n", output.display()))
    );
    place.is_ready("faulty", "dev");
    assert_eq!(place.line("faulty")["title"], "Made 1");
    place.refuses(
        "plugins/libfaulty.so",
        "is the connector `faulty`, and so is the build output at HOME/target/libfaulty.so, which counts",
        "take the build output out: jackfield connector remove faulty",
    );
    let listed = place.does(&["connector", "list"]).stdout;
    assert!(listed.contains(&format!("ready, from {}", output.display())), "{listed}");
    let verified = place.does(&["connector", "verify", "faulty", "-o", "json"]).json();
    assert_eq!(verified["path"], json!(output));
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");

    build(b"\"title\": \"Made 2\"");
    assert_eq!(place.line("faulty")["title"], "Made 2");
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");

    // A build that has failed does not bring back what it stands for.
    let target_hint = "build it again, with cargo build; or take it out: jackfield connector remove faulty";
    fs::write(&output, "").unwrap();
    place.refuses(
        "faulty.dev",
        "its build output HOME/target/libfaulty.so: is not a library, or is cut short",
        target_hint,
    );
    fs::remove_file(&output).unwrap();
    let gone = "its build output HOME/target/libfaulty.so: cannot be read: no such file or directory";
    place.refuses("faulty.dev", gone, target_hint);
    let error = place.home.invoke("faulty.do", &["what=say"]).error(7);
    assert!(error["message"].as_str().unwrap().contains("its build output"), "{error:#}");
    place.answers();

    // Whose it is counts as for any library, and so does its directory.
    build(b"\"title\": \"Made 3\"");
    for (path, name, mode_of_it) in
        [(&target, "lies in HOME/target, which has", 0o777), (&output, "has", 0o666)]
    {
        mode(path, mode_of_it);
        let said = format!("{name} mode {mode_of_it:o}, so everybody can write it; only its owner may");
        let hint = format!("close it: chmod go-w {}", path.display())
            .replace(place.home.path().to_str().unwrap(), "HOME");
        place.refuses("faulty.dev", &format!("its build output HOME/target/libfaulty.so: {said}"), &hint);
        assert_eq!(place.home.run(&["connector", "dev", output.to_str().unwrap()]).code, 7);
        mode(path, 0o700);
    }
    mode(&entry, 0o666);
    assert_eq!(place.line("faulty.dev")["state"], "refused");
    mode(&entry, 0o600);
    place.is_ready("faulty", "dev");

    // It cannot be pinned.
    let lock = place.does(&["connector", "lock"]).stderr;
    assert!(lock.contains("faulty is a build output, and not used while plugins.lock is there"), "{lock}");
    place.refuses(
        "faulty.dev",
        "names a build output, which cannot be pinned, and plugins.lock is in force",
        "take it out: jackfield connector remove faulty",
    );
    let refused = place.home.run(&["connector", "dev", output.to_str().unwrap()]);
    assert!(refused.code == 7 && refused.stderr.contains("hint: pin a copy: jackfield connector add"));
    place.answers();
    place.does(&["connector", "lock", "--off"]);

    // Taken out, it lies where it was built, and what it stood for is back.
    let removed = place.does(&["connector", "remove", "faulty", "--yes"]).stderr;
    assert!(removed.contains("the build output stays"), "{removed}");
    assert!(!entry.exists() && output.exists());
    place.is_ready("faulty", "unpinned");
    assert_eq!(place.line("faulty")["title"], "Faulty");

    // What the file names has to be what it is called.
    fs::write(&entry, format!("{}\n", frozen().display())).unwrap();
    let line = place.line("faulty.dev");
    assert!(
        line["reason"].as_str().unwrap().ends_with("is the connector `frozen`, not `faulty`"),
        "{line:#}"
    );
    for text in ["", "relative/libx.so", "/x\n/y\n"] {
        fs::write(&entry, text).unwrap();
        let hint = "name one: jackfield connector dev PATH";
        place.refuses("faulty.dev", "does not name a library by its absolute path", hint);
    }
    place.answers();
}

#[test]
fn a_connector_that_is_set_up_and_has_no_library_is_missing_and_what_belongs_to_it_stays() {
    let place = Place::new();
    place.home.add(&artifact("libfaulty.so"));
    place.answers();
    let removed = place.does(&["connector", "remove", "frozen", "--yes"]).stderr;
    let stays = "[integrations.frozen] in";
    assert!(
        removed.contains(stays) && removed.contains("stays: its `api` at http://127.0.0.1:"),
        "{removed}"
    );
    assert!(removed.contains("stays recorded: jackfield invocation list --action frozen"), "{removed}");
    assert!(removed.find(stays) < removed.find("removed "), "before it is done: {removed}");
    let line = place.line("frozen");
    assert_eq!((&line["state"], &line["trust"]), (&json!("missing"), &Value::Null), "{line:#}");
    assert_eq!(line["hint"], "put it back: jackfield connector add frozen");
    for outcome in [
        place.home.invoke("frozen.ask", &[]),
        place.home.run(&["connector", "show", "frozen", "-o", "json"]),
        place.home.run(&["action", "list", "frozen", "-o", "json"]),
    ] {
        let error = outcome.error(7);
        assert_eq!(error["kind"], "connector_missing");
        assert!(error["message"].as_str().unwrap().ends_with("what belongs to it stays"), "{error:#}");
        assert_eq!(error["hint"], "put it back: jackfield connector add frozen");
    }
    assert_eq!(place.home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    // Back again, it is what it was.
    place.home.add(&frozen());
    place.answers();
    assert_eq!(place.home.invocations(&["--action", "frozen"]).len(), 2);
    // A name that nothing belongs to is unknown, as before.
    assert_eq!(place.home.invoke("frosen.ask", &[]).error(2)["kind"], "unknown");
}
