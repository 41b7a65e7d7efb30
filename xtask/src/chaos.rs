//! `cargo xtask chaos`: whether a delivery that was acknowledged survives whatever happens to whoever took it, and is made into one
//! event that the app is told of once.
//!
//! Deliveries are sent and events are taken by this process, which nothing happens to; both are compared with what the store says
//! when everything is quiet. What happens meanwhile: the server is killed at random instants, another process keeps the store for
//! itself, the disk is full.

mod app;
mod books;
mod full;
mod senders;

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

pub(crate) use self::{app::App, books::Books};
use self::{
    books::Compared,
    senders::{Line, Senders, Told},
};
use crate::{
    Result,
    bench::{
        Background,
        proxied::{Home, start},
    },
    hooks::Hooks,
    run::{built, cargo, run, target},
};

/// How long the server lives after it is ready, in milliseconds, and how long one that is killed before that.
const LIVES: (u64, u64) = (300, 1000);
const BORN: (u64, u64) = (10, 300);

/// Of so many, one is killed before it is ready.
const EARLY: usize = 8;

/// How long another process keeps the store for itself: for longer than the server waits for it.
const KEPT: Duration = Duration::from_secs(13);

/// How long something may take until it goes on.
const PATIENCE: Duration = Duration::from_secs(60);

/// In what time Zoom wants a handshake answered.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// Kill the server again and again, take its disk and its store away, and see that no delivery is lost
#[derive(Args)]
pub(crate) struct Chaos {
    /// How often the server is killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: usize,
    /// Kill no more after so many seconds, however often it was
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Kill at the instants of an earlier run, which has printed this
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Chaos {
    pub(crate) fn run(self) -> Result {
        run(cargo().args(["build", "--package=jackfield", "--package=connector-zoom"]))?;
        let place = target().join("chaos");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
        let seed = self.seed.unwrap_or_else(|| u64::from(std::process::id()));
        println!("the instants are those of --seed {seed}");
        self.killed(&place, Chance(seed))?;
        kept_from(&place)?;
        full::full(&place)
    }

    /// The server is killed again and again.
    fn killed(&self, place: &Path, mut chance: Chance) -> Result {
        println!("\nkilled at random instants");
        let mut stage = Stage::set(place, "killed")?;
        let begun = Instant::now();
        let in_time = || self.seconds.is_none_or(|seconds| begun.elapsed() < Duration::from_secs(seconds));
        let mut done = HashMap::new();
        let (mut kills, mut under_way) = (0, 0);
        while kills < self.kills && in_time() {
            if kills % EARLY == EARLY - 1 {
                stage.start()?;
                thread::sleep(chance.within(BORN));
            } else {
                stage.serve()?;
                thread::sleep(chance.within(LIVES));
            }
            stage.kill()?;
            for event in stage.books.done()? {
                done.entry(event).or_insert(kills);
            }
            kills += 1;
            under_way += usize::from(stage.books.open_ends()? > 0);
        }
        stage.serve()?;
        let told = stage.quiet()?;
        println!(
            "        {kills} kills in {:.0} s, {under_way} of them while something was still to be done",
            begun.elapsed().as_secs_f64()
        );
        stage.tell(&told, &done)
    }
}

/// Another process keeps the store for itself for a while.
fn kept_from(place: &Path) -> Result {
    println!("\nthe store kept by another process for {} s", KEPT.as_secs());
    let mut stage = Stage::set(place, "kept")?;
    stage.serve()?;
    stage.gets_on()?;
    let keeper = stage.books.open()?;
    keeper.execute_batch("BEGIN IMMEDIATE").map_err(|error| error.to_string())?;
    let kept = Instant::now();
    let mut longest = Duration::ZERO;
    while kept.elapsed() < KEPT {
        let begun = Instant::now();
        let answer = Line::default().ask(&stage.hooks, &stage.hooks.handshake());
        longest = longest.max(begun.elapsed());
        if answer != Some(200) {
            return Err(format!("a handshake was answered with {answer:?} meanwhile"));
        }
        thread::sleep(Duration::from_millis(250));
    }
    let turned_away = stage.told().turned_away.load(Ordering::Relaxed);
    drop(keeper);
    stage.gets_on()?;
    let told = stage.quiet()?;
    println!("        a handshake took {:.0} ms at most meanwhile", longest.as_secs_f64() * 1000.0);
    stage.tell(&told, &HashMap::new())?;
    if turned_away == 0 {
        return Err("no delivery was asked to come again meanwhile".to_owned());
    }
    if longest > HANDSHAKE { Err("that is too long for a handshake".to_owned()) } else { Ok(()) }
}

/// A home, who sends to it, and who is told by it.
struct Stage {
    home: Home,
    hooks: Arc<Hooks>,
    app: App,
    books: Books,
    senders: Option<Senders>,
    server: Option<Background>,
}

impl Stage {
    /// Sets it, with nobody who serves it yet, and begins to send.
    fn set(place: &Path, name: &str) -> Result<Self> {
        Self::set_at(place, name, None)
    }

    /// The same, with what the server writes in another place.
    fn set_at(place: &Path, name: &str, data: Option<&Path>) -> Result<Self> {
        let app = App::start(true)?;
        let home = Hooks::home(&built(), place, name, app.address)?;
        let hooks = {
            let _server = home.serve(&built())?;
            Hooks::subscribe(&home, &built(), app.address)?;
            Arc::new(Hooks::of(&home, &built())?)
        };
        if let Some(data) = data {
            moved(&home.path.join("data"), data)?;
        }
        let books = Books::of(&home.path);
        let senders = Some(Senders::start(&hooks, &place.join(format!("{name}.acknowledged")))?);
        Ok(Self { home, hooks, app, books, senders, server: None })
    }

    fn told(&self) -> Arc<Told> {
        self.senders.as_ref().map(|senders| senders.told.clone()).unwrap_or_default()
    }

    fn serve(&mut self) -> Result {
        self.server = Some(self.home.serve(&built())?);
        Ok(())
    }

    fn start(&mut self) -> Result {
        self.server = Some(start(self.home.command(&built()).arg("serve"))?);
        Ok(())
    }

    fn kill(&mut self) -> Result {
        self.server = None;
        self.app.killed()
    }

    /// Waits until more deliveries are acknowledged, by the server that runs.
    fn gets_on(&mut self) -> Result {
        let (told, begun) = (self.told(), Instant::now());
        let before = told.count();
        while told.count() < before + 50 {
            self.is_alive()?;
            if begun.elapsed() > PATIENCE {
                return Err("no delivery is acknowledged any more".to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn is_alive(&mut self) -> Result {
        let ended = self.server.as_mut().map(|server| server.process.try_wait());
        match ended {
            Some(Ok(None)) => Ok(()),
            _ => Err("the server has ended by itself".to_owned()),
        }
    }

    /// Sends no more, and waits until nothing is left to be done.
    fn quiet(&mut self) -> Result<Arc<Told>> {
        let told = self.senders.take().ok_or("nobody sends")?.stop()?;
        self.books.settle()?;
        self.is_alive()?;
        Ok(told)
    }

    fn tell(&self, told: &Told, done: &HashMap<String, usize>) -> Result {
        let [turned_away, unanswered, repeated] =
            [&told.turned_away, &told.unanswered, &told.repeated].map(|count| count.load(Ordering::Relaxed));
        println!(
            "        {unanswered} requests without an answer, {turned_away} asked to come again, {repeated} sent once more after the answer"
        );
        Compared::new(&self.books, told, &self.app.came(), done)?.tell()?;
        if self.books.is_whole()? { Ok(()) } else { Err("the store is damaged".to_owned()) }
    }
}

/// Moves what is in a directory to another one, which stands in its place from then on.
fn moved(from: &Path, to: &Path) -> Result {
    let failed = |error: std::io::Error| format!("{}: {error}", from.display());
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A socket is made anew.
        if entry.file_type().map_err(failed)?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
    }
    fs::remove_dir_all(from).map_err(failed)?;
    symlink(to, from).map_err(failed)
}

/// Instants that can be had again.
struct Chance(u64);

impl Chance {
    fn within(&mut self, (from, to): (u64, u64)) -> Duration {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis(from + (mixed ^ (mixed >> 31)) % (to - from))
    }
}
