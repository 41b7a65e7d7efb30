//! All tests of the workspace, several programs of them side by side: most wait most of the time, for a process to start or a
//! provider to be slow, and one after the other they leave the cores idle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    Result,
    run::{cargo, root, run, target},
};

/// How many programs run at once. Each has as many threads as there are cores.
const AT_ONCE: usize = 2;

/// A program of tests, as cargo has built it.
struct Program {
    name: String,
    executable: PathBuf,
    /// Where cargo would run it.
    package: PathBuf,
}

/// Runs all tests, each program to its end, and says which have failed.
pub(crate) fn run_all(more: &[(&str, PathBuf)]) -> Result {
    let programs = build()?;
    let outputs = target().join("test-output");
    let _ = fs::remove_dir_all(&outputs);
    fs::create_dir_all(&outputs).map_err(|error| format!("cannot make {}: {error}", outputs.display()))?;
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(program) = programs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let output = outputs.join(format!("{}.log", program.name.replace('/', "-")));
                    if !program.passes(&output, more) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(program.name.clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    let mut documented = cargo();
    documented.args(["test", "--workspace", "--doc"]).envs(more.iter().map(|(name, value)| (name, value)));
    run(&mut documented)
}

fn build() -> Result<Vec<Program>> {
    let output = cargo()
        .args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests were not built".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let programs: Vec<Program> = messages.lines().filter_map(Program::read).collect();
    if programs.is_empty() { Err("cargo has built no tests".to_owned()) } else { Ok(programs) }
}

impl Program {
    /// The program that a line of cargo's tells of, if it is one of tests.
    fn read(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message["profile"]["test"] == true;
        let executable = message["executable"].as_str().filter(|_| is_test)?;
        let package = Path::new(message["manifest_path"].as_str()?).parent()?;
        let of = package.strip_prefix(root()).unwrap_or(package).display().to_string();
        let name = message["target"]["name"].as_str()?;
        let name = match message["target"]["kind"][0].as_str()? {
            "test" => format!("{of}/{name}"),
            kind => format!("{of}/{kind}/{name}"),
        };
        Some(Self { name, executable: executable.into(), package: package.to_owned() })
    }

    /// Runs it, and tells how it went: in a line if it passes, with all that it said if not.
    fn passes(&self, output: &Path, more: &[(&str, PathBuf)]) -> bool {
        let begun = Instant::now();
        let passed = self.run(output, more);
        let took = begun.elapsed().as_secs_f64();
        let said = fs::read_to_string(output).unwrap_or_default();
        let counts = said.lines().filter(|line| line.starts_with("test result: "));
        let counts: Vec<&str> = counts.map(|line| line.trim_start_matches("test result: ")).collect();
        let short = counts.join(" ").split("; finished").next().unwrap_or_default().to_owned();
        match &passed {
            Ok(true) => println!("{took:6.1} s  {}: {short}", self.name),
            Ok(false) => println!("{took:6.1} s  {}: FAILED\n{said}", self.name),
            Err(error) => println!("{took:6.1} s  {}: FAILED: {error}\n{said}", self.name),
        }
        // A program without a count has ended before it was through.
        passed.is_ok_and(|passed| passed) && !counts.is_empty()
    }

    fn run(&self, output: &Path, more: &[(&str, PathBuf)]) -> Result<bool> {
        let failed = |error: std::io::Error| error.to_string();
        let file = fs::File::create(output).map_err(failed)?;
        let status = Command::new(&self.executable)
            .current_dir(&self.package)
            .env("CARGO_MANIFEST_DIR", &self.package)
            .envs(more.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file)
            .status();
        status.map(|status| status.success()).map_err(failed)
    }
}
