//! A home in a fresh directory, and the binary in it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::artifact;

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
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
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

/// Runs a command to its end.
///
/// # Panics
///
/// If it does not end.
#[must_use]
pub fn finish(mut command: Command, input: Option<&str>) -> Outcome {
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let begun = Instant::now();
    let mut child = command.spawn().expect("the binary runs");
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // It may have ended without reading.
        let _ = stdin.write_all(input.as_bytes());
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(stdout.map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>));
    let stderr = read(stderr.map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>));
    let code = wait(&mut child, begun);
    let took = begun.elapsed();
    Outcome {
        code,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        took,
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
