//! `cargo xtask fuzz`: gives what reads foreign bytes bytes that nobody would think of, by cargo-fuzz.
//!
//! It is run by hand, since it takes its time and a nightly compiler. What it has found before is the corpus in
//! `tests/fuzz/corpus`, which `host/tests/fuzz_corpus.rs` replays without either. It knows no target but by its name.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::{Args, ValueEnum};

use crate::{
    Result,
    run::{root, target},
};

/// What there is to be fuzzed.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// The link sections of a library
    Sections,
    /// Manifests, and what is made of those that are accepted
    Manifest,
    /// What a worker sends
    Frames,
}

/// Look for bytes that make a reader fall: ten minutes for each target
#[derive(Args)]
pub(crate) struct Fuzz {
    /// The target; without it, each in turn
    target: Option<Target>,
    /// How long each of them runs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Add to the corpus what reaches code that nothing there reaches
    #[arg(long)]
    keep: bool,
}

/// How large an input of the corpus may be, and how many there may be for a target. A test reads all of them.
const MAX_LEN: u64 = 60 * 1024;
const MOST: usize = 180;

impl Fuzz {
    pub(crate) fn run(self) -> Result {
        let lacks = |hint: &str| Err(format!("fuzzing needs {hint}"));
        if !is_there(Command::new("cargo").args(["+nightly", "--version"])) {
            return lacks("a nightly compiler: rustup toolchain install nightly --profile minimal");
        }
        if !is_there(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
            return lacks("cargo-fuzz: cargo install cargo-fuzz --locked");
        }
        let targets = self.target.map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
        let mut crashed = Vec::new();
        for target in targets {
            let name =
                target.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let place = Place::of(&name)?;
            if !place.fuzz(self.minutes)? {
                crashed.push(name);
            } else if self.keep {
                place.keep()?;
            }
        }
        if crashed.is_empty() { Ok(()) } else { Err(format!("crashed: {}", crashed.join(", "))) }
    }
}

/// Where the things of one target lie.
struct Place {
    name: String,
    project: PathBuf,
    /// What is committed.
    corpus: PathBuf,
    /// What was found in this and earlier runs.
    found: PathBuf,
    artifacts: PathBuf,
}

impl Place {
    fn of(name: &str) -> Result<Self> {
        let project = root().join("tests/fuzz");
        let place = Self {
            name: name.to_owned(),
            corpus: project.join("corpus").join(name),
            found: target().join("fuzz").join(name),
            artifacts: project.join("artifacts").join(name),
            project,
        };
        for directory in [&place.corpus, &place.found, &place.artifacts] {
            fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        Ok(place)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.project).args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", &self.name]);
        // The compiler that runs us is another one, and what cargo tells us is not about what is built here.
        for (name, _) in std::env::vars_os() {
            let ours = [
                "CARGO",
                "CARGO_MANIFEST_DIR",
                "CARGO_MANIFEST_PATH",
                "CARGO_TARGET_DIR",
                "RUSTUP_TOOLCHAIN",
            ];
            if name.to_str().is_some_and(|name| ours.contains(&name) || name.starts_with("CARGO_PKG_")) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Whether it went on to the end of its time.
    fn fuzz(&self, minutes: u64) -> Result<bool> {
        let mut command = self.command();
        // The first directory takes what is found; the others are only read.
        command.arg(&self.found).arg(&self.corpus).arg("--");
        command.arg(format!("-max_total_time={}", minutes * 60));
        command.args(["-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1"]);
        command.arg(format!("-max_len={MAX_LEN}"));
        let words = self.project.join("words").join(format!("{}.dict", self.name));
        if words.exists() {
            command.arg(format!("-dict={}", words.display()));
        }
        let mut child =
            command.stderr(Stdio::piped()).spawn().map_err(|error| format!("cannot run cargo: {error}"))?;
        let mut seen = Seen::default();
        let lines = child.stderr.take().into_iter().flat_map(|lines| BufReader::new(lines).split(b'\n'));
        for line in lines.map_while(std::io::Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if !seen.read(&line) {
                eprintln!("{line}");
            }
        }
        let done = child.wait().map_err(|error| format!("cannot run cargo: {error}"))?.success();
        let (name, artifacts) = (&self.name, self.artifacts.display());
        if done {
            let Seen { executions, coverage, memory, .. } = seen;
            println!(
                "{name}: no crash in {executions} executions; {coverage} edges are covered; at most {memory} MB"
            );
        } else {
            println!(
                "{name}: FAILED; what it was given lies in {artifacts}, and belongs into the corpus once it is mended"
            );
        }
        Ok(done)
    }

    /// Takes over what covers more than the corpus does, the small ones first.
    fn keep(&self) -> Result {
        let before = files(&self.corpus)?;
        let mut command = self.command();
        command.arg(&self.corpus).arg(&self.found).arg("--");
        // By what is reached at all, and not by how often: so it is a tenth of the inputs.
        command
            .args(["-set_cover_merge=1", "-use_counters=0", "-timeout=10", "-rss_limit_mb=2048"])
            .arg(format!("-max_len={MAX_LEN}"));
        let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "{}: the corpus cannot be merged:\n{}",
                self.name,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        // They are written in the order of how much each of them adds.
        let mut added = files(&self.corpus)?;
        added.retain(|file| !before.contains(file));
        added.sort_by_key(|file| fs::metadata(file).and_then(|metadata| metadata.modified()).ok());
        let room = MOST.saturating_sub(before.len());
        for file in added.iter().skip(room) {
            fs::remove_file(file).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let (added, left) = (added.len().min(room), added.len().saturating_sub(room));
        println!("{}: {added} more inputs are in the corpus; there is no room for {left}", self.name);
        Ok(())
    }
}

/// What a run says of itself.
#[derive(Default)]
struct Seen {
    executions: u64,
    coverage: u64,
    memory: u64,
}

impl Seen {
    /// Whether the line is one of those that say how far it is, and nothing that anybody has to read.
    fn read(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        if line.starts_with("stat::") {
            let name = words.next().unwrap_or_default();
            match (name, number(words.next())) {
                ("stat::number_of_executed_units:", Some(number)) => self.executions = number,
                ("stat::peak_rss_mb:", Some(number)) => self.memory = number,
                _ => {}
            }
            return true;
        }
        let is_progress = line.starts_with('#') && line.contains(" cov: ");
        if is_progress && let Some(coverage) = number(words.skip_while(|word| *word != "cov:").nth(1)) {
            self.coverage = coverage;
        }
        is_progress && !line.contains("pulse")
    }
}

fn is_there(command: &mut Command) -> bool {
    command
        .env_remove("RUSTUP_TOOLCHAIN")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_says_is_read() {
        let mut seen = Seen::default();
        assert!(seen.read("#524288\tREDUCE cov: 1834 ft: 4075 corp: 320/41Kb lim: 4096 exec/s: 8192 rss: 512Mb L: 9/400 MS: 2"));
        assert!(seen.read("stat::number_of_executed_units: 1234567"));
        assert!(seen.read("stat::peak_rss_mb:              431"));
        assert!(!seen.read("==17== ERROR: libFuzzer: deadly signal"));
        assert_eq!((seen.executions, seen.coverage, seen.memory), (1_234_567, 1834, 431));
    }
}
