//! `cargo xtask bench`: what Jackfield costs, each number beside a baseline of the same run, or beside its target.
//!
//! It measures and says; it fails only if it cannot measure. Which numbers are wanted is decided here, in one table.

mod deliveries;
pub(crate) mod load;
pub(crate) mod proxied;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::Value;

use crate::{
    Result,
    run::{cargo, target},
};

/// How often a command is started.
const STARTS: usize = 31;

/// How many libraries there are where connectors are listed.
const LIBRARIES: usize = 100;

/// What is wanted.
struct Target {
    /// At most (or, with `at_least`, at least) so much.
    most: f64,
    at_least: bool,
    unit: &'static str,
}

const WARM: Target = Target { most: 60.0, at_least: false, unit: "µs more" };
const THROUGHPUT: Target = Target { most: 75.0, at_least: true, unit: "%" };
const COLD: Target = Target { most: 1.5, at_least: false, unit: "times" };
const LIST: Target = Target { most: 20.0, at_least: false, unit: "ms" };
const COLD_WORKER: Target = Target { most: 10.0, at_least: false, unit: "ms" };
const SPAWN: Target = Target { most: 10.0, at_least: false, unit: "ms" };
const SMALL: Target = Target { most: 25.0, at_least: false, unit: "µs" };
const LARGE: Target = Target { most: 250.0, at_least: false, unit: "µs" };
const THREADS: Target = Target { most: 1.0, at_least: false, unit: "thread" };
const READY: Target = Target { most: 100.0, at_least: false, unit: "ms" };
const PROXIED: Target = Target { most: 2.2, at_least: false, unit: "times" };
const ADDED: Target = Target { most: 2.0, at_least: false, unit: "ms more" };
const CREDENTIAL: Target = Target { most: 20.0, at_least: false, unit: "µs" };
const DELIVERY: Target = Target { most: 8.0, at_least: false, unit: "times" };
const DELIVERY_GAIN: Target = Target { most: 8.0, at_least: true, unit: "times" };
const DELIVERY_ALONE: Target = Target { most: 3.0, at_least: false, unit: "times" };
const DELIVERY_BUSY: Target = Target { most: 10.0, at_least: false, unit: "ms" };
const FORGED: Target = Target { most: 2.0, at_least: false, unit: "times" };
const FORGED_WRITES: Target = Target { most: 0.0, at_least: false, unit: "bytes" };
const DELIVERY_MEMORY: Target = Target { most: 32.0, at_least: false, unit: "MiB" };
const DELIVERY_SENT: Target = Target { most: 20.0, at_least: false, unit: "ms" };
const HOST_MEMORY: Target = Target { most: 26.0, at_least: false, unit: "MiB" };
const WORKER_MEMORY: Target = Target { most: 1.5, at_least: false, unit: "MiB" };

impl Target {
    fn says(&self, what: &str, value: f64) {
        let met = if self.at_least { value >= self.most } else { value <= self.most };
        let (bound, verdict) =
            (if self.at_least { "at least" } else { "at most" }, if met { "met" } else { "MISSED" });
        println!("{verdict:<8}{what}: {value:.1} {} (wanted: {bound} {})", self.unit, self.most);
    }
}

fn detail(text: &str) {
    println!("        {text}");
}

/// Measure what Jackfield costs, beside baselines and targets
#[derive(Args)]
pub(crate) struct Bench {
    /// Measure only what deliveries of webhooks cost
    #[arg(long)]
    only_deliveries: bool,
    /// While so many deliveries come, look at the memory
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    deliveries: usize,
}

impl Bench {
    pub(crate) fn run(self) -> Result {
        let warm = build()?;
        let built = target().join("release");
        let place = target().join("bench");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        println!("\n{cores} cores; medians, in turns with their baselines\n");
        if !self.only_deliveries {
            running(&warm, &built)?;
            starting(&warm, &built, &place)?;
            listing(&built, &place)?;
            proxied::proxied(&built, &place)?;
            resident(&built, &place)?;
        }
        deliveries::deliveries(&built, &place, self.deliveries)
    }
}

/// Builds what is measured, as it is installed, and gives the benchmark that measures from within.
fn build() -> Result<PathBuf> {
    let mut command = cargo();
    command.args([
        "build",
        "--release",
        "--locked",
        "--bench=warm",
        "--lib",
        "--bins",
        "--message-format=json",
    ]);
    for package in ["jackfield", "connector-zoom", "connector-sensors", "connector-faulty"] {
        command.args(["--package", package]);
    }
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("what is to be measured was not built".to_owned());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == "warm" && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "the benchmark was not built".to_owned())
}

/// What a call costs while a host runs.
fn running(warm: &Path, built: &Path) -> Result {
    let output = Command::new(warm)
        .arg(built.join("libzoom.so"))
        .arg(built.join("libfaulty.so"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run the benchmark: {error}"))?;
    let measured: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the benchmark has not measured anything: {error}"))?;
    let number = |name: &str| measured[name].as_f64().unwrap_or(f64::NAN);
    let (plain, host, hops) = (number("plain_us"), number("host_us"), number("hops_us"));
    WARM.says("a warm action through the host", host - plain);
    detail(&format!("{plain:.0} µs by plain reqwest, {host:.0} µs through the host"));
    detail(&format!(
        "{hops:.0} µs is what this machine takes for two round trips to a process on another core that does nothing"
    ));
    let (plain, host) = (number("plain_rate"), number("host_rate"));
    THROUGHPUT.says("throughput with 32 callers, of plain reqwest's", 100.0 * host / plain);
    detail(&format!(
        "{plain:.0} calls a second by plain reqwest, {host:.0} through the host, at a provider that answers at once"
    ));
    let parties = ["host", "store", "worker", "provider"];
    let spent = parties.map(|party| number(&format!("{party}_seconds")));
    let calls = host * number("seconds");
    let list: Vec<String> = parties
        .iter()
        .zip(spent)
        .map(|(party, spent)| format!("{party} {:.0}", 1e6 * spent / calls))
        .collect();
    detail(&format!("of the cores, a call takes, in µs: {}", list.join(", ")));
    COLD_WORKER.says("the first call to a cold worker", number("cold_worker_us") / 1000.0);
    SPAWN.says("from the start of a jailed worker to its first answer", number("first_us") / 1000.0);
    SMALL.says("there and back through a jailed worker, 1 KiB", number("small_us"));
    LARGE.says("there and back through a jailed worker, 100 KiB", number("large_us"));
    let (small, large) = (number("hop_small_us"), number("hop_large_us"));
    detail(&format!(
        "{small:.0} and {large:.0} µs is what this machine takes for the same to a process that sends back what it gets"
    ));
    THREADS.says(&format!("{} calls in one worker at once, its threads", number("many")), number("threads"));
    detail(&format!("all were asked and answered after {:.1} ms", number("many_us") / 1000.0));
    CREDENTIAL.says("the credential of a connection, looked up and opened", number("credential_us"));
    let (row, opened) = (number("held_us"), number("open_us"));
    detail(&format!("{row:.1} µs to read the connection, {opened:.1} µs to open its token"));
    Ok(())
}

/// A home with the Zoom connector, whose requests go to this address.
fn home(place: &Path, built: &Path, name: &str, address: &str) -> Result<PathBuf> {
    let home = place.join(name);
    let token = place.join("token");
    fs::write(&token, "benchmark").map_err(|error| error.to_string())?;
    quietly(Command::new(built.join("jackfield")).arg("init").arg(&home))?;
    quietly(
        jackfield(built, &home)
            .args(["connector", "add"])
            .arg(built.join("libzoom.so"))
            .args(["--endpoint", &format!("api=http://{address}/v2"), "--token-file"])
            .arg(&token),
    )?;
    Ok(home)
}

fn jackfield(built: &Path, home: &Path) -> Command {
    let mut command = Command::new(built.join("jackfield"));
    command.env("JACKFIELD_HOME", home);
    command
}

/// A command that answers within a moment, or else says why not.
fn quietly(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        // What is told goes to standard error.
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    } else {
        Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

const READ: [&str; 6] =
    ["action", "invoke", "zoom.get_meeting", "--set", "meeting_id=85746065432", "--output=json"];

/// What a command costs that is started for one read.
fn starting(warm: &Path, built: &Path, place: &Path) -> Result {
    let provider = Background::provider(warm)?;
    let home = home(place, built, "home", &provider.says)?;
    // What was read of a file is kept once the file is two seconds old; before, it is read and proved by each command.
    thread::sleep(Duration::from_millis(2200));
    let (mut curl, mut ours) = (Vec::new(), Vec::new());
    let mut stages: Vec<(String, Vec<f64>)> = Vec::new();
    for turn in 0..=STARTS {
        let begun = Instant::now();
        quietly(
            Command::new("curl")
                .args(["--silent", "--fail", "--header", "authorization: Bearer benchmark"])
                .arg(format!("http://{}/v2/meetings/85746065432", provider.says)),
        )?;
        let first = begun.elapsed();
        let begun = Instant::now();
        let told = quietly(jackfield(built, &home).args(READ).arg("--timings"))?;
        let second = begun.elapsed();
        // The first turn finds nothing in any cache.
        if turn == 0 {
            continue;
        }
        curl.push(ms(first));
        ours.push(ms(second));
        for line in told.lines() {
            let mut words = line.split_whitespace();
            let (Some(stage), Some(Ok(took)), Some("ms")) =
                (words.next(), words.next().map(str::parse), words.next())
            else {
                continue;
            };
            match stages.iter_mut().find(|(known, _)| known == stage) {
                Some((_, times)) => times.push(took),
                None => stages.push((stage.to_owned(), vec![took])),
            }
        }
    }
    let (curl, ours) = (median(curl), median(ours));
    COLD.says("a read by a command that is started for it, beside curl", ours / curl);
    detail(&format!("{curl:.1} ms by curl, {ours:.1} ms by jackfield"));
    let stages: Vec<(String, f64)> = stages.into_iter().map(|(name, times)| (name, median(times))).collect();
    let told: f64 = stages.iter().map(|(_, took)| took).sum();
    let list: Vec<String> = stages.iter().map(|(name, took)| format!("{name} {took:.1}")).collect();
    detail(&format!("stages, in ms: {}; begin and end of the process {:.1}", list.join(", "), ours - told));
    Ok(())
}

/// What it costs to see what is there.
fn listing(built: &Path, place: &Path) -> Result {
    let home = place.join("many");
    quietly(Command::new(built.join("jackfield")).arg("init").arg(&home))?;
    let library = fs::read(built.join("libsensors.so")).map_err(|error| format!("libsensors.so: {error}"))?;
    for index in 0..LIBRARIES {
        // Each under an id of its own. Nobody loads them, so it does not matter what else is called like that.
        let name = format!("sens{index:03}");
        let path = home.join(format!("plugins/lib{name}.so"));
        fs::write(&path, replaced(&library, b"sensors", name.as_bytes()))
            .map_err(|error| error.to_string())?;
    }
    // What was read of a file is kept once the file is two seconds old.
    thread::sleep(Duration::from_millis(2200));
    let list = || {
        let mut command = jackfield(built, &home);
        command.args(["connector", "list", "--output=name"]);
        command
    };
    let output = list().output().map_err(|error| error.to_string())?;
    let listed = String::from_utf8_lossy(&output.stdout).lines().count();
    if listed != LIBRARIES {
        return Err(format!("{listed} connectors are listed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let times = (0..STARTS).map(|_| {
        let begun = Instant::now();
        quietly(&mut list())?;
        Ok(ms(begun.elapsed()))
    });
    LIST.says(
        &format!("connector list with {LIBRARIES} libraries"),
        median(times.collect::<Result<Vec<f64>>>()?),
    );
    // The dynamic loader writes down every file that it maps, of the process itself.
    let log = place.join("loaded");
    quietly(list().env("LD_DEBUG", "files").env("LD_DEBUG_OUTPUT", &log))?;
    let mut loaded = 0;
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("loaded.") {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            loaded += text.lines().filter(|line| line.contains("libsens") || line.contains("memfd")).count();
        }
    }
    detail(&format!("{loaded} of them loaded, as the dynamic loader tells"));
    Ok(())
}

/// What a host that waits holds in memory, and a worker that waits.
fn resident(built: &Path, place: &Path) -> Result {
    let home = proxied::Home::new(built, place, "served")?;
    let serve = home.serve(built)?;
    let begun = Instant::now();
    while children(serve.process.id()).is_empty() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the server does not take commands".to_owned());
        }
        quietly(home.command(built).args(READ))?;
        thread::sleep(Duration::from_millis(50));
    }
    quietly(home.command(built).args(READ))?;
    // Until it is idle.
    thread::sleep(Duration::from_secs(3));
    let host = serve.process.id();
    let workers = children(host);
    let [worker] = workers[..] else {
        return Err(format!("the server has {} workers, and not one", workers.len()));
    };
    let memory = Memory::of(host)?;
    HOST_MEMORY.says("the idle server with a connection, resident", memory.resident);
    detail(&memory.told());
    let memory = Memory::of(worker)?;
    WORKER_MEMORY.says("an idle worker with the Zoom connector, private", memory.private);
    detail(&memory.told());
    detail(&format!(
        "besides {:.1} MiB of the library's image, of which there is one for all workers of it",
        memory.image
    ));
    Ok(())
}

/// The memory of a process, in MiB.
struct Memory {
    resident: f64,
    private: f64,
    /// Private memory by what it is for.
    kinds: Vec<(&'static str, f64)>,
    /// The library's own pages, of which there is one set however many workers have loaded it.
    image: f64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let text =
            fs::read_to_string(format!("/proc/{pid}/smaps")).map_err(|error| format!("smaps: {error}"))?;
        let mut memory = Self { resident: 0.0, private: 0.0, kinds: Vec::new(), image: 0.0 };
        let (mut kind, mut in_image) = ("", false);
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [range, flags, _, _, _, ref name @ ..] if range.contains('-') => {
                    in_image = line.contains("/memfd:connector");
                    kind = match name {
                        [] => "anonymous",
                        ["[heap]"] => "heap",
                        ["[stack]"] => "stack",
                        [first, ..] if first.starts_with('[') => "kernel",
                        _ if flags.contains('w') => "data of programs and libraries",
                        _ if flags.contains('x') => "code that no other process uses",
                        _ => "relocations of programs and libraries",
                    };
                }
                ["Rss:", kib, "kB"] => memory.resident += mib(kib),
                ["Private_Clean:" | "Private_Dirty:", kib, "kB"] if in_image => memory.image += mib(kib),
                ["Anonymous:", kib, "kB"] if in_image => {
                    memory.image -= mib(kib);
                    memory.add(kind, mib(kib));
                }
                ["Private_Clean:" | "Private_Dirty:", kib, "kB"] if !in_image => memory.add(kind, mib(kib)),
                _ => {}
            }
        }
        Ok(memory)
    }

    fn add(&mut self, kind: &'static str, size: f64) {
        self.private += size;
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum += size,
            None => self.kinds.push((kind, size)),
        }
    }

    fn told(&self) -> String {
        let mut kinds = self.kinds.clone();
        kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
        let list: Vec<String> = kinds
            .iter()
            .filter(|(_, size)| *size >= 0.05)
            .map(|(kind, size)| format!("{kind} {size:.1}"))
            .collect();
        format!("{:.1} MiB resident, {:.1} of them private: {}", self.resident, self.private, list.join(", "))
    }
}

fn mib(kib: &str) -> f64 {
    kib.parse::<f64>().unwrap_or(0.0) / 1024.0
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Something that runs until it is dropped, and what it said first.
pub(crate) struct Background {
    pub(crate) process: Child,
    says: String,
}

impl Background {
    /// The provider of the benchmark, which has one answer.
    fn provider(warm: &Path) -> Result<Self> {
        let mut process = Command::new(warm)
            .arg("bench-provider")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the provider: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        Ok(Self { process, says: line.trim().to_owned() })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Bytes with one word in the place of another of the same length.
fn replaced(bytes: &[u8], word: &[u8], with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(word.len()).position(|window| window == word) {
        at += found;
        bytes[at..at + with.len()].copy_from_slice(with);
        at += with.len();
    }
    bytes
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
