//! The jail: what code in a worker tries in order to get out, and that none of it succeeds. From a call, from the library's
//! constructor, as root and as an ordinary user; and what the operator has to say about it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jackfield_tests::{Home, Outcome, Provider, artifact, finish, process};
use serde_json::{Value, json};

/// The name of the file that a connector makes where it can.
const CANARY: &str = "made-by-a-connector";

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn said(outcome: &Outcome) -> String {
    text(&outcome.json(), "said").to_owned()
}

/// What an attempt is made at, and whether anybody got there.
struct Outside {
    inet: TcpListener,
    unix: UnixListener,
    directory: tempfile::TempDir,
}

impl Outside {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let inet = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(directory.path().join("listens")).unwrap();
        fs::set_permissions(directory.path().join("listens"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(directory.path().join("readable"), "for anybody").unwrap();
        inet.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        Self { inet, unix, directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// What the connector is told, of the home that it runs in.
    fn aims(&self, home: &Path, parent: u32) -> Value {
        let home = |name: &str| home.join(name).display().to_string();
        json!({
            "read": ["/etc/passwd", self.path("readable"), home("jackfield.toml"), home("keys"), "/proc/self/exe"],
            "write": ["/tmp", self.directory.path(), home("plugins"), home("data"), home("logs")],
            "parent": parent,
            "port": self.inet.local_addr().unwrap().port(),
            "socket": self.path("listens"),
        })
    }

    #[track_caller]
    fn is_untouched(&self, home: &Path) {
        assert!(self.inet.accept().is_err() && self.unix.accept().is_err(), "somebody has got there");
        let own = [self.directory.path().to_owned(), PathBuf::from("/tmp")];
        for place in own.into_iter().chain(["plugins", "data", "logs"].map(|name| home.join(name))) {
            assert!(!place.join(CANARY).exists(), "{}", place.display());
        }
    }
}

/// That each attempt was refused by the jail, and by nothing else.
#[track_caller]
fn all_refused(told: &str, at_least: usize) {
    let through: Vec<&str> =
        told.lines().filter(|line| !line.ends_with(": EPERM") && !line.ends_with(": EACCES")).collect();
    assert_eq!(through, [] as [&str; 0]);
    let tried = told.lines().count();
    assert!(tried >= at_least, "{tried} attempts: {told}");
}

/// What has to be among them, so that a list that has got shorter is noticed.
#[track_caller]
fn has_tried(told: &str, what: &[&str]) {
    for what in what {
        assert!(
            told.lines().any(|line| line.starts_with(&format!("{what}: "))),
            "{what} is not among\n{told}"
        );
    }
}

const ALWAYS: &[&str] = &[
    "openat /etc/passwd",
    "openat2 /etc/passwd",
    "make a file in /tmp",
    "symlink in /tmp",
    "list /proc/self/fd",
    "write /proc/self/mem",
    "write /proc/self/oom_score_adj",
    "write /proc/sys/kernel/core_pattern",
    "read /proc/self/environ",
    "socket inet",
    "socket inet6",
    "socket unix",
    "socket netlink",
    "socket packet",
    "socketpair",
    "connect inet",
    "connect unix",
    "bind inet",
    "sendmsg with descriptors",
    "execve",
    "execveat",
    "clone",
    "clone3",
    "clone with a user namespace",
    "unshare of users",
    "setns",
    "a thread",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kill the host",
    "kill its group",
    "kill everybody",
    "tkill the host",
    "tgkill the host",
    "rt_sigqueueinfo to the host",
    "pidfd_open of the host",
    "pidfd_send_signal",
    "fcntl F_SETOWN",
    "fcntl F_SETSIG",
    "memfd_create",
    "io_uring_setup",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "add_key",
    "request_key",
    "keyctl",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_by_handle_at",
    "ioctl",
    "prlimit64 of processor time",
    "prlimit64 of memory",
    "setrlimit of processor time",
    "prctl PR_SET_PDEATHSIG",
    "prctl PR_SET_DUMPABLE",
    "personality",
    "rt_sigaction of SIGXCPU",
    "rt_sigprocmask of SIGXCPU",
    "setuid",
    "setgid",
    "capset",
];

const AFTER_LOADING: &[&str] = &[
    "stat /etc/passwd",
    "statx /etc/passwd",
    "readlinkat /etc/passwd",
    "open the path of /etc/passwd",
    "mmap of code",
    "mprotect of data to code",
    "seccomp",
];

#[test]
fn nothing_that_a_connector_tries_in_a_call_gets_it_out() {
    let outside = Outside::new();
    let home = Home::with(&["faulty"]);
    let server = home.serve();
    let told = said(&home.faulty("do", "escape", &outside.aims(&home.path(), server.pid()), &[]));
    all_refused(&told, 190);
    has_tried(&told, ALWAYS);
    has_tried(&told, AFTER_LOADING);
    outside.is_untouched(&home.path());
    assert!(process::is_there(server.pid()));
    assert_eq!(home.faulty("do", "say", &json!({}), &[]).json(), json!({"said": "hello"}));
}

#[test]
fn nothing_that_a_constructor_tries_gets_it_out_either() {
    let home = Home::with(&["early"]);
    let told = said(&home.invoke("early.do", &[]));
    let [early, late, open] = told.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{told}") };
    all_refused(early, 150);
    has_tried(early, ALWAYS);
    all_refused(late, 15);
    has_tried(late, AFTER_LOADING);
    assert_eq!(open.lines().collect::<Vec<_>>(), DESCRIPTORS, "it has kept nothing open");
    for place in ["/tmp", "/var/tmp"] {
        assert!(!Path::new(place).join(CANARY).exists());
    }
}

/// What a worker has open: nothing twice, the pipe for what it writes to standard error, the socket to its host, and what its
/// runtime waits with and wakes itself by, which leads nowhere else. Neither the library nor anything of the host's.
const DESCRIPTORS: [&str; 10] = [
    "0 can be read",
    "1 can be written",
    "2 can be written",
    "3 socket",
    "5 waits",
    "6 waits",
    "7 waits",
    "8 socket",
    "9 socket",
    "10 socket",
];

#[test]
fn a_worker_has_neither_an_environment_nor_anything_of_its_hosts_open() {
    let home = Home::with(&["faulty"]);
    let mut command = home.command(&["action", "invoke", "faulty.do", "--token-stdin", "-o", "json"]);
    command.args(["--set", "what=environment"]).env("A_SECRET", "canary");
    assert_eq!(said(&finish(command, Some("token"))), "[]");
    let open = said(&home.faulty("do", "descriptors", &json!({}), &[]));
    assert_eq!(open.lines().collect::<Vec<_>>(), DESCRIPTORS);
}

/// Runs something of a home as a user without rights, if there are any to be without.
struct Ordinary {
    home: Home,
    program: PathBuf,
}

impl Ordinary {
    const NOBODY: u32 = 65534;

    /// A home of that user's, with copies of the program and of these connectors where it can read them.
    fn with(connectors: &[&str]) -> Self {
        let home = Home::with(connectors);
        let program = home.path().with_file_name("jackfield");
        fs::copy(artifact("jackfield"), &program).unwrap();
        if rustix::process::geteuid().is_root() {
            give(home.path().parent().unwrap());
        }
        Self { home, program }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let like = self.home.command(args);
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.home.path());
        if rustix::process::geteuid().is_root() {
            command.uid(Self::NOBODY).gid(Self::NOBODY);
        }
        finish(command, Some("a-token\n"))
    }
}

/// Gives a directory, and all in it, to the user without rights.
fn give(path: &Path) {
    chown(path, Some(Ordinary::NOBODY), Some(Ordinary::NOBODY)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path());
        } else {
            chown(entry.path(), Some(Ordinary::NOBODY), Some(Ordinary::NOBODY)).unwrap();
        }
    }
}

#[test]
fn an_ordinary_user_has_the_same_jail() {
    let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
    let outside = Outside::new();
    let ordinary = Ordinary::with(&["zoom", "faulty", "early"]);
    ordinary.home.endpoint("zoom", "api", &provider.url());
    let invoke = |action: &str, more: &[&str]| {
        let args = ["action", "invoke", action, "--token-stdin", "-o", "json"];
        ordinary.run(&[&args, more].concat())
    };
    assert_eq!(invoke("zoom.get_meetings", &[]).json(), json!({"meetings": []}));
    let home = ordinary.home.path();
    let head = format!("head={}", outside.aims(&home, std::process::id()));
    let told = said(&invoke("faulty.do", &["--set", "what=escape", "--set", &head]));
    all_refused(&told, 190);
    has_tried(&told, ALWAYS);
    let told = said(&invoke("early.do", &[]));
    let [early, late, open] = told.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{told}") };
    all_refused(early, 150);
    all_refused(late, 15);
    assert_eq!(open.lines().collect::<Vec<_>>(), DESCRIPTORS);
    outside.is_untouched(&home);
}

/// What the faulty connector read of a file that anybody may read.
fn open(home: &Home, args: &[&str]) -> String {
    said(&home.faulty("do", "open", &json!({"path": "/etc/passwd"}), args))
}

#[test]
fn without_isolation_a_connector_can_do_what_its_user_can() {
    let home = Home::with(&["faulty"]);
    assert!(open(&home, &[]).starts_with("refused: "));
    home.configure("[workers]\nisolation = \"off\"");
    assert!(open(&home, &[]).starts_with("succeeded: "), "then the others prove nothing");
    // Whatever it is, its environment is empty.
    assert_eq!(said(&home.faulty("do", "environment", &json!({}), &[])), "[]");
}

#[test]
fn isolation_is_set_in_the_file_and_to_one_of_three_words() {
    let home = Home::with(&["faulty"]);
    for name in ["JACKFIELD_WORKERS__ISOLATION", "jackfield_workers__isolation"] {
        let mut command = home.command(&["action", "invoke", "faulty.do", "--set", "what=say", "-o", "json"]);
        command.env(name, "off");
        let error = finish(command, None).error(1);
        assert_eq!(text(&error, "kind"), "config", "{error:#}");
        assert!(text(&error, "message").contains("JACKFIELD_WORKERS__ISOLATION"), "{error:#}");
        assert!(text(&error, "hint").contains("`isolation` under [workers]"), "{error:#}");
    }
    home.configure("[workers]\nisolation = \"some\"");
    let error = home.faulty("do", "say", &json!({}), &[]).error(1);
    assert_eq!(text(&error, "kind"), "config", "{error:#}");
    assert!(text(&error, "message").contains("workers.isolation"), "{error:#}");
    for word in ["require", "prefer", "off"] {
        assert!(text(&error, "message").contains(word), "{error:#}");
    }
}

/// Runs a command of a home on a kernel that lacks something.
fn lacking(what: &str, home: &Home, args: &[&str]) -> Outcome {
    let like = home.command(args);
    let mut command = Command::new(artifact("lacking"));
    command.args([what, "--"]).arg(like.get_program()).args(args);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(command, Some("a-token\n"))
}

const SAY: [&str; 8] = ["action", "invoke", "faulty.do", "--set", "what=say", "--token-stdin", "-o", "json"];

#[test]
fn where_the_kernel_cannot_lock_a_worker_in_the_error_says_what_is_missing_and_which_key_decides() {
    let home = Home::with(&["faulty"]);
    let error = lacking("landlock", &home, &SAY).error(1);
    assert_eq!(text(&error, "kind"), "config", "{error:#}");
    assert!(text(&error, "message").contains("no Landlock: it is not there"), "{error:#}");
    let hint = text(&error, "hint");
    assert!(hint.contains("`isolation = \"prefer\"`") && hint.contains("[workers]"), "{error:#}");
    home.configure("[workers]\nisolation = \"prefer\"");
    assert_eq!(lacking("landlock", &home, &SAY).json(), json!({"said": "hello"}));
    // What there is keeps it in all the same.
    let mut args = SAY.map(str::to_owned);
    args[4] = "what=open".to_owned();
    let path = [args.as_slice(), &["--set".to_owned(), r#"head={"path":"/etc/passwd"}"#.to_owned()]].concat();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    assert!(said(&lacking("landlock", &home, &path)).starts_with("refused: "));
}

#[test]
fn where_there_are_no_memory_files_a_connector_is_loaded_from_a_copy_that_nobody_can_reach() {
    let outside = Outside::new();
    let home = Home::with(&["faulty", "early"]);
    let before = home.files();
    assert_eq!(lacking("memfd", &home, &SAY).json(), json!({"said": "hello"}));
    let head = format!("head={}", outside.aims(&home.path(), std::process::id()));
    let args = ["action", "invoke", "faulty.do", "--token-stdin", "-o", "json", "--set", "what=escape"];
    let told = said(&lacking("memfd", &home, &[&args[..], &["--set", &head]].concat()));
    all_refused(&told, 190);
    let told =
        said(&lacking("memfd", &home, &["action", "invoke", "early.do", "--token-stdin", "-o", "json"]));
    let [early, late, open] = told.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{told}") };
    all_refused(early, 150);
    all_refused(late, 15);
    assert_eq!(open.lines().filter(|line| line.ends_with("can be read")).count(), 1, "{open}");
    outside.is_untouched(&home.path());
    let left: Vec<String> = home.files().into_iter().filter(|file| !before.contains(file)).collect();
    let known = |file: &String| {
        file.starts_with("logs/") || file.starts_with("data/jackfield.db") || file == "data/plugins.json"
    };
    assert!(left.iter().all(known), "{left:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_kernels_other_way_in_is_closed() {
    let error = Home::with(&["faulty"]).faulty("do", "other-table", &json!({}), &[]).error(1);
    assert_eq!(text(&error, "kind"), "connector_crashed", "{error:#}");
    assert!(text(&error, "message").contains("by signal 31"), "{error:#}");
}
