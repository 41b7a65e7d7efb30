//! A home in a fresh directory, and the binary in it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{accounts, artifact, eventually, process};

/// How long a command may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home.
pub struct Home {
    dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Home {
    /// A home with these connectors, by the names of their libraries: `zoom` is `libzoom.so`.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn with(connectors: &[&str]) -> Self {
        let home = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let made = home.run(&["init"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        for connector in connectors {
            home.add(&artifact(&format!("lib{connector}.so")));
        }
        home
    }

    /// Drops a library in.
    ///
    /// # Panics
    ///
    /// If it cannot be copied.
    pub fn add(&self, library: &Path) {
        let name = library.file_name().expect("a library has a name");
        fs::copy(library, self.plugins().join(name)).expect("the library can be copied");
    }

    /// Sends the requests of a connector's base somewhere else.
    ///
    /// # Panics
    ///
    /// If the configuration cannot be written.
    pub fn endpoint(&self, connector: &str, base: &str, address: &str) {
        self.configure(&format!("[integrations.{connector}.endpoints]\n{base} = \"{address}\"\n"));
    }

    /// Adds to the configuration.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn configure(&self, toml: &str) {
        let path = self.path().join("jackfield.toml");
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("the home has a configuration");
        writeln!(file, "{toml}").expect("it can be written");
    }

    /// Has it listen at a port of this machine, which is also where its links and redirects lead.
    ///
    /// # Panics
    ///
    /// If the configuration cannot be written.
    pub fn listens_at(&self, port: u16) {
        let path = self.path().join("jackfield.toml");
        let rest = fs::read_to_string(&path).expect("the home has a configuration");
        // What belongs to no section stands first.
        let first = format!("public_url = \"http://localhost:{port}\"\n");
        let server = format!("[server]\nlisten = \"127.0.0.1:{port}\"\n");
        fs::write(&path, format!("{first}{rest}\n{server}")).expect("it can be written");
    }

    /// The same, at a port that nobody else listens at.
    ///
    /// # Panics
    ///
    /// If there is none, or if the configuration cannot be written.
    #[must_use]
    pub fn listens_somewhere(&self) -> u16 {
        let port = accounts::free_port();
        self.listens_at(port);
        port
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Where libraries are dropped.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// Everything in its logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let entries = fs::read_dir(self.path().join("logs")).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect()
    }

    /// A command in this home, with an environment that holds nothing else.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(artifact("jackfield"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("JACKFIELD_HOME", self.path())
            .envs(self.listens_anywhere())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Many servers run at once: each listens wherever there is room, unless its configuration says where.
    fn listens_anywhere(&self) -> Option<(&'static str, &'static str)> {
        let config = fs::read_to_string(self.path().join("jackfield.toml")).unwrap_or_default();
        let says = config.lines().any(|line| line.trim_start().starts_with("listen"));
        (!says).then_some(("JACKFIELD_SERVER__LISTEN", "127.0.0.1:0"))
    }

    /// Runs a command.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Outcome {
        finish(self.command(args), None)
    }

    /// Runs a command with this on its standard input.
    #[must_use]
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Outcome {
        finish(self.command(args), Some(input))
    }

    /// Starts a command, with this on its standard input.
    #[must_use]
    pub fn start(&self, args: &[&str], input: &str) -> Running {
        Running::start(self.command(args), Some(input))
    }

    /// Starts an action with a token.
    #[must_use]
    pub fn start_action(&self, action: &str, sets: &[&str]) -> Running {
        let mut args = vec!["action", "invoke", action, "--token-stdin", "-o", "json"];
        for set in sets {
            args.extend(["--set", set]);
        }
        self.start(&args, "canary-token-7f3a\n")
    }

    /// Starts a server of this home, and waits until it serves.
    #[must_use]
    pub fn serve(&self) -> Running {
        let server = self.start(&["serve"], "");
        server.says("; Ctrl-C ends it");
        server
    }

    /// Asks the server of this home: the status and the body of its answer.
    ///
    /// # Panics
    ///
    /// If there is none, or if it does not answer in JSON.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        Line::to(self).ask(method, path, body)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path().join("data/jackfield.sock")
    }

    /// What was run, the newest first; `more` are arguments.
    #[must_use]
    pub fn invocations(&self, more: &[&str]) -> Vec<Value> {
        let mut args = vec!["invocation", "list", "-o", "json"];
        args.extend(more);
        self.run(&args).json().as_array().cloned().unwrap_or_default()
    }

    /// The record of an invocation.
    #[must_use]
    #[track_caller]
    pub fn invocation(&self, id: &str) -> Value {
        self.run(&["invocation", "show", id, "-o", "json"]).json()
    }

    /// The files in it, by their paths below it.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut directories = vec![self.path()];
        while let Some(directory) = directories.pop() {
            for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    directories.push(path);
                } else if let Ok(name) = path.strip_prefix(self.path()) {
                    files.push(name.display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    /// Runs an action with a token and gives its answer as JSON.
    #[must_use]
    pub fn invoke(&self, action: &str, sets: &[&str]) -> Outcome {
        self.invoke_with(action, sets, &[])
    }

    /// Runs an action with a token and more arguments.
    #[must_use]
    pub fn invoke_with(&self, action: &str, sets: &[&str], more: &[&str]) -> Outcome {
        let mut args = vec!["action", "invoke", action, "--token-stdin", "-o", "json"];
        for set in sets {
            args.extend(["--set", set]);
        }
        args.extend(more);
        self.run_with_input(&args, "canary-token-7f3a\n")
    }

    /// Runs an action of the faulty connector.
    #[must_use]
    pub fn faulty(&self, action: &str, what: &str, head: &Value, more: &[&str]) -> Outcome {
        let head = format!("head={head}");
        let what = format!("what={what}");
        self.invoke_with(&format!("faulty.{action}"), &[&what, &head], more)
    }
}

/// A connection to the server of a home.
pub struct Line(UnixStream);

impl Line {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    #[must_use]
    pub fn to(home: &Home) -> Self {
        Self(UnixStream::connect(home.socket()).expect("somebody serves the home"))
    }

    /// Gives up on an answer that takes longer than this.
    ///
    /// # Panics
    ///
    /// If it is no time at all.
    pub fn waits(&self, for_: Duration) {
        self.0.set_read_timeout(Some(for_)).expect("it is a time");
    }

    /// Asks: the status and the body of the answer. The connection stays.
    ///
    /// # Panics
    ///
    /// If the answer cannot be read.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).expect("it takes requests");
        let mut reader = BufReader::new(&self.0);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            match line.trim_end().split_once(' ') {
                None => break,
                Some(("HTTP/1.1", rest)) => status = rest[..3].parse().expect("a status is a number"),
                Some(("content-length:", rest)) => length = rest.parse().expect("a length is a number"),
                Some(_) => {}
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).expect("it answers whole");
        (status, serde_json::from_slice(&bytes).expect("it answers in JSON"))
    }
}

/// Runs a command to its end.
///
/// # Panics
///
/// If it does not end.
#[must_use]
pub fn finish(command: Command, input: Option<&str>) -> Outcome {
    Running::start(command, input).ends()
}

/// A command that runs. What is left of it when a test is over is killed.
pub struct Running {
    child: Child,
    begun: Instant,
    stdout: Heard,
    stderr: Heard,
}

/// What a stream has brought so far, and who reads it.
struct Heard(Arc<Mutex<Vec<u8>>>, Option<JoinHandle<()>>);

impl Heard {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let hears = heard.clone();
        let reader = std::thread::spawn(move || {
            let (mut stream, mut bytes) = (stream, [0; 4096]);
            while let Some(Ok(len @ 1..)) = stream.as_mut().map(|stream| stream.read(&mut bytes)) {
                hears.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..len]);
            }
        });
        Self(heard, Some(reader))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn whole(&mut self) -> String {
        let _ = self.1.take().map(JoinHandle::join);
        self.text()
    }
}

impl Running {
    /// Starts a command, with this on its standard input.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, input: Option<&str>) -> Self {
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let begun = Instant::now();
        let mut child = command.spawn().expect("the binary runs");
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // It may have ended without reading.
            let _ = stdin.write_all(input.as_bytes());
        }
        let (stdout, stderr) = (Heard::of(child.stdout.take()), Heard::of(child.stderr.take()));
        Self { child, begun, stdout, stderr }
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Waits until it has said this on standard error.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn says(&self, text: &str) {
        eventually(&format!("{text:?} on standard error"), || self.stderr.text().contains(text));
    }

    /// Whether it has ended.
    ///
    /// # Panics
    ///
    /// If that cannot be told.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the command is ours to wait for").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    pub fn ends(mut self) -> Outcome {
        let code = wait(&mut self.child, self.begun);
        let took = self.begun.elapsed();
        Outcome { code, stdout: self.stdout.whole(), stderr: self.stderr.whole(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, begun: Instant) -> i32 {
    loop {
        if let Some(status) = child.try_wait().expect("the command is ours to wait for") {
            return status.code().unwrap_or(-1);
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the command did not end within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Outcome {
    /// Standard output as JSON, from a command that went well.
    ///
    /// # Panics
    ///
    /// If it did not, or if there is anything else on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The error of a command that failed with this code, as it says it in JSON.
    ///
    /// # Panics
    ///
    /// If it ended otherwise, or printed anything on standard output.
    #[must_use]
    #[track_caller]
    pub fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "an error prints nothing on standard output");
        let line = self.stderr.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }
}
