//! What it takes to keep a delivery before it is acknowledged, beside nginx, which says yes to everybody and keeps nothing, and beside
//! the disk, which cannot be had any faster.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use super::{
    DELIVERY, DELIVERY_ALONE, DELIVERY_BUSY, DELIVERY_GAIN, DELIVERY_MEMORY, DELIVERY_SENT, FORGED,
    FORGED_WRITES, children, detail,
    load::message,
    median,
    proxied::{Nginx, number, seconds},
};
use crate::{
    Result,
    chaos::{App, Books},
    hooks::{Hooks, created},
};

/// How many connections there are, and how many deliveries a turn has then.
const STEPS: [(usize, usize); 3] = [(1, 2000), (BUSY, 8000), (MANY, 8000)];
const BUSY: usize = 32;
const MANY: usize = 256;

const TURNS: usize = 5;

/// How many deliveries come before any that count.
const WARM_UP: usize = 2000;

/// How many are sent between two looks at the memory.
const PIECE: usize = 10_000;

/// How many are sent to see when the app is told, and how many of them in a second.
const TOLD: u64 = 1000;
const A_SECOND: u64 = 100;

/// How much a commit writes at least: a page.
const PAGE: usize = 4096;

/// How long nobody waits for longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn deliveries(built: &Path, place: &Path, many: usize) -> Result {
    let app = App::start(false)?;
    let home = Hooks::home(built, place, "deliveries", app.address)?;
    let served = home.serve(built)?;
    let mut sender = Sender { hooks: Hooks::of(&home, built)?, next: 0 };
    let books = Books::of(&home.path);
    let host = served.process.id();
    let yes = (String::new(), "return 200;".to_owned());
    let Some(nginx) = Nginx::start(place, "nginx-yes", "/", &yes)? else {
        println!(
            "SKIPPED deliveries beside nginx, which is not here: apt-get install --no-install-recommends nginx-light"
        );
        return Ok(());
    };
    // Until everything runs that will.
    post(sender.hooks.address, &sender.requests(WARM_UP), BUSY, "200")?;
    books.settle()?;
    let idle = resident(host)?;

    let disk = Disk(place.join("deliveries.disk"));
    let mut steps = Vec::new();
    for (connections, times) in STEPS {
        let mut sides = [Turns::default(), Turns::default(), Turns::default()];
        for _ in 0..TURNS {
            let requests = sender.shelved(times);
            let size = requests.first().map_or(PAGE, Vec::len).max(PAGE / connections);
            sides[0].disk(&disk, size, connections, times)?;
            let processes = nginx.processes();
            sides[1].take(&processes, || post(nginx.address(), &requests, connections, "200"))?;
            sides[2].take(&[host], || post(sender.hooks.address, &requests, connections, "200"))?;
        }
        steps.push((connections, sides.map(Turns::measured)));
    }
    let [(_, [sync, _, alone]), (_, [_, nginx_busy, busy]), (_, [_, _, crowd])] = &steps[..] else {
        return Err("nothing was measured".to_owned());
    };
    DELIVERY.says(
        "processor time of a delivery that is kept, of nginx's `return 200`",
        busy.spent / nginx_busy.spent,
    );
    DELIVERY_GAIN.says("deliveries a second by 256 connections, of those by one", crowd.rate / alone.rate);
    DELIVERY_ALONE.says("a delivery by one connection, of a bare fdatasync", alone.p50 / sync.p50);
    DELIVERY_BUSY.says("a delivery at the 99th percentile of 32 connections", busy.p99);
    for (connections, [disk, nginx, ours]) in &steps {
        let many = if *connections == 1 { "one".to_owned() } else { connections.to_string() };
        disk.tell(&format!("{many} at once, by fdatasync alone"));
        nginx.tell(&format!("{many} at once, nginx"));
        ours.tell(&format!("{many} at once, kept"));
    }
    whole(&mut sender, &books, host)?;
    forged(&mut sender, &nginx, host)?;
    remembered(&mut sender, &books, host, many, idle)?;
    Hooks::subscribe(&home, built, app.address)?;
    told(&mut sender, &app)
}

/// What a delivery takes with the event that is made of it, of all processes.
fn whole(sender: &mut Sender, books: &Books, host: u32) -> Result {
    let requests = sender.requests(PIECE);
    let spent =
        |workers: &[u32]| -> Result<f64> { [host].iter().chain(workers).map(|pid| seconds(*pid)).sum() };
    let workers = children(host);
    let (before, begun) = (spent(&workers)?, Instant::now());
    post(sender.hooks.address, &requests, BUSY, "200")?;
    let kept = begun.elapsed().as_secs_f64();
    books.settle()?;
    let each = 1e6 * (spent(&workers)? - before) / number(PIECE);
    detail(&format!(
        "with the event that is made of it, a delivery takes {each:.1} µs of a processor; {:.0} were kept and {:.0} made into events a second",
        number(PIECE) / kept,
        number(PIECE) / begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// What it takes to refuse a signature that is none.
fn forged(sender: &mut Sender, nginx: &Nginx, host: u32) -> Result {
    let (mut ours, mut theirs) = (Turns::default(), Turns::default());
    let written = written(host)?;
    for _ in 0..TURNS {
        let forged: Vec<Vec<u8>> =
            sender.bodies(STEPS[1].1).iter().map(|body| sender.hooks.forged(body)).collect();
        theirs.take(&nginx.processes(), || post(nginx.address(), &forged, BUSY, "200"))?;
        ours.take(&[host], || post(sender.hooks.address, &forged, BUSY, "401"))?;
    }
    let written = self::written(host)? - written;
    let (ours, theirs) = (ours.measured(), theirs.measured());
    FORGED.says("processor time of a forged signature, of nginx's `return 200`", ours.spent / theirs.spent);
    FORGED_WRITES.says("what is written to the disk for all of them", written);
    theirs.tell("32 at once, nginx");
    ours.tell("32 at once, forged");
    Ok(())
}

/// What the server holds in memory while many come.
fn remembered(sender: &mut Sender, books: &Books, host: u32, many: usize, idle: f64) -> Result {
    let mut seen = Vec::new();
    let mut left = many;
    while left > 0 {
        let requests = sender.requests(left.min(PIECE));
        left -= requests.len();
        post(sender.hooks.address, &requests, BUSY, "200")?;
        seen.push(resident(host)?);
    }
    books.settle()?;
    let most = |seen: &[f64]| seen.iter().copied().fold(0.0, f64::max);
    let (early, late) = seen.split_at(seen.len() / 2);
    DELIVERY_MEMORY.says(&format!("resident above idle, while {many} deliveries come"), most(&seen) - idle);
    detail(&format!(
        "{idle:.1} MiB idle; {:.1} at most in the first half, {:.1} in the second; {:.1} when all is done",
        most(early),
        most(late),
        resident(host)?
    ));
    Ok(())
}

/// How long it takes until the app is told.
fn told(sender: &mut Sender, app: &App) -> Result {
    let pause = Duration::from_secs(1) / u32::try_from(A_SECOND).unwrap_or(1);
    let mut sent = HashMap::new();
    let mut stream = connect(sender.hooks.address)?;
    let mut buffer = Vec::new();
    let begun = Instant::now();
    for at in 0..TOLD {
        let body = sender.body();
        let number = sender.next;
        let request = sender.hooks.request(&body);
        let due = pause * u32::try_from(at).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        sent.insert(number, Instant::now());
        once(&mut stream, &mut buffer, &request, "200")?;
    }
    let waited = Instant::now();
    let mut took = loop {
        let came = app.came();
        let took: Vec<f64> = came
            .iter()
            .filter_map(|one| Some(one.at.duration_since(*sent.get(&one.meeting)?).as_secs_f64() * 1000.0))
            .collect();
        if took.len() >= sent.len() {
            break took;
        }
        if waited.elapsed() > PATIENCE {
            return Err(format!("the app was told of {} events, and not of {}", took.len(), sent.len()));
        }
        thread::sleep(Duration::from_millis(50));
    };
    took.sort_by(f64::total_cmp);
    DELIVERY_SENT.says("from a delivery until the app is told, 100 a second", took[took.len() / 2]);
    detail(&format!(
        "{:.1} ms at the 99th percentile, {:.1} at worst",
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    ));
    Ok(())
}

/// Who makes deliveries, each of which is another one.
struct Sender {
    hooks: Hooks,
    next: u64,
}

impl Sender {
    fn body(&mut self) -> String {
        self.next += 1;
        created(self.next)
    }

    /// Requests that are sent within the time in which a signature counts.
    fn requests(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.bodies(count).iter().map(|body| self.hooks.request(body)).collect()
    }

    /// The same, but nobody can read them, as is found out at their end: they are proven, kept and acknowledged as others are, and
    /// nothing is done with them beside.
    fn shelved(&mut self, count: usize) -> Vec<Vec<u8>> {
        let twice =
            |body: &String| format!("{},\"event\":\"again\"}}", body.strip_suffix('}').unwrap_or(body));
        self.bodies(count).iter().map(|body| self.hooks.request(&twice(body))).collect()
    }

    fn bodies(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.body()).collect()
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(stream)
}

/// Sends one request and says how long the answer took, in milliseconds. Another status is a failure.
fn once(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &[u8], status: &str) -> Result<f64> {
    let begun = Instant::now();
    stream.write_all(request).map_err(|error| error.to_string())?;
    let (head, body) = message(stream, buffer).ok_or("a delivery was not answered")?;
    let took = begun.elapsed();
    if buffer.get(9..12) != Some(status.as_bytes()) {
        return Err(format!("a delivery was answered: {}", String::from_utf8_lossy(buffer)));
    }
    buffer.drain(..head + body);
    Ok(took.as_secs_f64() * 1000.0)
}

/// Sends all of these by so many connections, and says how long each took.
fn post(address: SocketAddr, requests: &[Vec<u8>], connections: usize, status: &str) -> Result<Vec<f64>> {
    let ready = Barrier::new(connections);
    let share = |at: usize| requests.iter().skip(at).step_by(connections);
    thread::scope(|scope| {
        let caller = |at| {
            let ready = &ready;
            scope.spawn(move || -> Result<Vec<f64>> {
                let connected = connect(address);
                // Whoever cannot connect lets the others begin all the same.
                ready.wait();
                let (mut stream, mut buffer) = (connected?, Vec::new());
                share(at).map(|request| once(&mut stream, &mut buffer, request, status)).collect()
            })
        };
        let callers: Vec<_> = (0..connections).map(caller).collect();
        let mut took = Vec::with_capacity(requests.len());
        for caller in callers {
            took.extend(caller.join().map_err(|_| "a caller fell".to_owned())??);
        }
        Ok(took)
    })
}

/// What the turns of a side were like, in milliseconds.
#[derive(Default)]
struct Turns {
    p50: Vec<f64>,
    p99: Vec<f64>,
    worst: f64,
    rate: Vec<f64>,
    /// In seconds, of all turns together.
    spent: f64,
    count: usize,
}

struct Measured {
    p50: f64,
    p99: f64,
    worst: f64,
    rate: f64,
    /// In microseconds, for each.
    spent: f64,
}

impl Turns {
    fn take(&mut self, processes: &[u32], turn: impl FnOnce() -> Result<Vec<f64>>) -> Result {
        let spent = || -> Result<f64> { processes.iter().map(|pid| seconds(*pid)).sum() };
        let (before, begun) = (spent()?, Instant::now());
        let took = turn()?;
        let elapsed = begun.elapsed().as_secs_f64();
        self.spent += spent()? - before;
        self.keep(took, elapsed, 1);
        Ok(())
    }

    /// The disk's own turn: as many as come at once share a commit.
    fn disk(&mut self, disk: &Disk, size: usize, at_once: usize, times: usize) -> Result {
        let begun = Instant::now();
        let took = disk.commits(size * at_once, times.div_ceil(at_once))?;
        self.keep(took, begun.elapsed().as_secs_f64(), at_once);
        Ok(())
    }

    fn keep(&mut self, mut took: Vec<f64>, elapsed: f64, each: usize) {
        took.sort_by(f64::total_cmp);
        self.count += took.len() * each;
        self.rate.push(number(took.len() * each) / elapsed);
        self.p50.push(took[took.len() / 2]);
        self.p99.push(took[took.len() * 99 / 100]);
        self.worst = took.last().copied().unwrap_or_default().max(self.worst);
    }

    fn measured(self) -> Measured {
        Measured {
            p50: median(self.p50),
            p99: median(self.p99),
            worst: self.worst,
            rate: median(self.rate),
            spent: 1e6 * self.spent / number(self.count),
        }
    }
}

impl Measured {
    fn tell(&self, what: &str) {
        let spent =
            if self.spent > 0.0 { format!(", {:.1} µs of a processor", self.spent) } else { String::new() };
        detail(&format!(
            "{what}: {:.2} ms, {:.2} at the 99th percentile, {:.1} at worst, {:.0} a second{spent}",
            self.p50, self.p99, self.worst, self.rate
        ));
    }
}

/// A file that is written and waited for, as a commit is.
struct Disk(std::path::PathBuf);

impl Disk {
    fn commits(&self, size: usize, times: usize) -> Result<Vec<f64>> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.0.display());
        let mut file = File::create(&self.0).map_err(failed)?;
        let bytes = vec![b'j'; size];
        let mut once = || {
            let begun = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(begun.elapsed().as_secs_f64() * 1000.0)
        };
        let took = (0..times).map(|_| once()).collect::<std::io::Result<_>>().map_err(failed);
        let _ = fs::remove_file(&self.0);
        took
    }
}

/// What a process holds in memory, in MiB.
fn resident(pid: u32) -> Result<f64> {
    let status = line_of(pid, "status", "VmRSS:")?;
    Ok(status / 1024.0)
}

/// How many bytes a process has had written to a disk.
fn written(pid: u32) -> Result<f64> {
    line_of(pid, "io", "write_bytes:")
}

fn line_of(pid: u32, file: &str, name: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("{path} does not say {name}"))
}
