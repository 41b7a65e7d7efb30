//! What a server takes that waits for nothing but requests: its start, and each request that it passes on with a credential,
//! beside nginx, which puts a header on and knows nobody.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    ADDED, Background, PROXIED, READY, children, detail, jackfield,
    load::{self, Way},
    median, ms, quietly,
};
use crate::{Result, demo::free_port};

/// How often the server is started.
const STARTS: usize = 5;

/// How many connections there are at once where it counts.
const CONNECTIONS: usize = 32;

/// How many requests a turn has, all connections together, and how many turns there are.
const REQUESTS: usize = 16_000;
const TURNS: usize = 5;

/// How many requests come before any that count.
const WARM_UP: usize = 1600;

/// How long anything may take until it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it is looked again after.
const LOOK: Duration = Duration::from_millis(1);

const USER: &str = "/v2/users/me";

/// A home that is served, with a connection, whose requests go to a provider on this machine.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    pub(crate) address: SocketAddr,
    connection: String,
    token: String,
    provider: SocketAddr,
}

impl Home {
    /// Makes it, and connects the account while it is served, as it will be used.
    pub(super) fn new(built: &Path, place: &Path, name: &str) -> Result<Self> {
        Self::with(built, place, name, &[], "")
    }

    /// The same, with more of what an integration takes, and of the configuration.
    pub(crate) fn with(
        built: &Path,
        place: &Path,
        name: &str,
        integration: &[&str],
        config: &str,
    ) -> Result<Self> {
        let provider = load::provider()?;
        let path = place.join(name);
        quietly(Command::new(built.join("jackfield")).arg("init").arg(&path))?;
        quietly(jackfield(built, &path).args(["connector", "add"]).arg(built.join("libzoom.so")).args([
            "--endpoint",
            &format!("api=http://{provider}/v2"),
            "--endpoint",
            &format!("oauth=http://{provider}/oauth"),
        ]))?;
        let address = listen_at_a_free_port(&path, config)?;
        let typed = place.join(format!("{name}.json"));
        let parameters = json!({
            "account_id": load::ACCOUNT, "client_id": "benchmark", "client_secret": "benchmark",
        });
        fs::write(&typed, parameters.to_string()).map_err(|error| format!("{}: {error}", typed.display()))?;
        let mut home = Self { path, address, connection: String::new(), token: String::new(), provider };
        let served = home.serve(built)?;
        let add = ["integration", "add", "zoom", "--auth", "server_to_server"];
        quietly(home.command(built).args(add).args(integration))?;
        home.connection = told(home.command(built).args(["connect", "zoom", "--file"]).arg(&typed))?;
        home.token = told(home.command(built).args(["token", "create", "--name", "benchmark"]))?;
        drop(served);
        Ok(home)
    }

    pub(crate) fn command(&self, built: &Path) -> Command {
        jackfield(built, &self.path)
    }

    /// Serves it, until it is dropped, and waits until it is ready.
    pub(crate) fn serve(&self, built: &Path) -> Result<Background> {
        let mut served = start(self.command(built).arg("serve"))?;
        answers(&mut served, &Way::new(self.address, "/readyz", None))?;
        Ok(served)
    }

    fn way(&self) -> Way {
        let path = format!("/v1/connections/{}/proxy/users/me", self.connection);
        Way::new(self.address, &path, Some(&self.token))
    }
}

/// Has a home listen where nobody else does.
fn listen_at_a_free_port(home: &Path, more: &str) -> Result<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let path = home.join("jackfield.toml");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(failed)?;
    let text = format!("public_url = \"http://{address}\"\n{text}\n[server]\nlisten = \"{address}\"\n{more}");
    fs::write(&path, text).map_err(failed)?;
    Ok(address)
}

/// What a command prints, which is one line.
pub(crate) fn told(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Starts something that says nothing.
pub(crate) fn start(command: &mut Command) -> Result<Background> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(Background { process, says: String::new() })
}

/// Waits until what was started answers.
fn answers(started: &mut Background, way: &Way) -> Result {
    let begun = Instant::now();
    while !way.is_answered() {
        let ended = started.process.try_wait().map_err(|error| error.to_string())?;
        if ended.is_some() || begun.elapsed() > PATIENCE {
            return Err(format!("what was started does not answer at {}", way.address));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// What the server takes to be there, and what it takes for a request that it passes on.
pub(super) fn proxied(built: &Path, place: &Path) -> Result {
    let home = Home::new(built, place, "proxied")?;
    // What was read of a file is kept once the file is two seconds old.
    thread::sleep(Duration::from_millis(2200));
    let starts = (0..STARTS).map(|_| {
        let begun = Instant::now();
        let served = home.serve(built)?;
        let took = begun.elapsed();
        drop(served);
        Ok(ms(took))
    });
    READY.says(
        "from the start of the server until it is ready",
        median(starts.collect::<Result<Vec<f64>>>()?),
    );

    let served = home.serve(built)?;
    let direct = Way::new(home.provider, USER, None);
    let mut sides = vec![
        Side::new("directly", direct, Vec::new()),
        Side::new("through jackfield", home.way(), vec![served.process.id()]),
    ];
    let nginx = Nginx::start(place, "nginx", USER, &passes_on(home.provider))?;
    match &nginx {
        Some(nginx) => {
            sides.push(Side::new(
                "through nginx",
                Way::new(nginx.way.address, USER, None),
                nginx.processes(),
            ));
        }
        None => println!(
            "SKIPPED requests through nginx, which is not here: apt-get install --no-install-recommends nginx-light"
        ),
    }
    let alone = compare(&sides, 1)?;
    let many = compare(&sides, CONNECTIONS)?;
    let [direct, ours, ref theirs @ ..] = many[..] else { return Err("nothing was measured".to_owned()) };
    if let [theirs] = theirs {
        let what = "processor time of a request that is passed on, of what nginx takes";
        PROXIED.says(what, ours.spent / theirs.spent);
    }
    let what = format!("a request that is passed on, at the 99th percentile of {CONNECTIONS} connections");
    ADDED.says(&what, ours.p99 - direct.p99);
    for (connections, sides) in [(1, alone), (CONNECTIONS, many)] {
        for side in sides {
            side.tell(connections);
        }
    }
    Ok(())
}

/// One way to the provider, and who is at work on it.
struct Side {
    name: &'static str,
    way: Way,
    processes: Vec<u32>,
}

impl Side {
    fn new(name: &'static str, way: Way, processes: Vec<u32>) -> Self {
        Self { name, way, processes }
    }

    /// The time that its processes have spent, in seconds.
    fn spent(&self) -> Result<f64> {
        self.processes.iter().map(|pid| seconds(*pid)).sum()
    }
}

/// What was measured of a side, in milliseconds but for the processor's time, which is in microseconds a request.
#[derive(Clone, Copy)]
struct Measured {
    name: &'static str,
    p50: f64,
    p99: f64,
    spent: f64,
    rate: f64,
}

impl Measured {
    fn tell(&self, connections: usize) {
        let spent =
            if self.spent > 0.0 { format!(", {:.1} µs of a processor", self.spent) } else { String::new() };
        let many =
            if connections == 1 { "one connection".to_owned() } else { format!("{connections} connections") };
        detail(&format!(
            "{many}, {}: {:.2} ms, {:.2} at the 99th percentile, {:.0} requests a second{spent}",
            self.name, self.p50, self.p99, self.rate
        ));
    }
}

/// What the turns of a side were like.
#[derive(Default)]
struct Turns {
    p50: Vec<f64>,
    p99: Vec<f64>,
    rate: Vec<f64>,
    /// In seconds, of all turns together.
    spent: f64,
    requests: usize,
}

impl Turns {
    fn take(&mut self, side: &Side, connections: usize, times: usize) -> Result {
        let (before, begun) = (side.spent()?, Instant::now());
        let mut took = side.way.ask(connections, times)?;
        let elapsed = begun.elapsed().as_secs_f64();
        self.spent += side.spent()? - before;
        self.requests += took.len();
        took.sort_by(f64::total_cmp);
        self.p50.push(took[took.len() / 2]);
        self.p99.push(took[took.len() * 99 / 100]);
        self.rate.push(number(took.len()) / elapsed);
        Ok(())
    }

    fn measured(self, name: &'static str) -> Measured {
        let spent = 1e6 * self.spent / number(self.requests);
        Measured { name, p50: median(self.p50), p99: median(self.p99), spent, rate: median(self.rate) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody asks that often")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// Asks by all ways in turns.
fn compare(sides: &[Side], connections: usize) -> Result<Vec<Measured>> {
    // One after the other they take longer, so there are fewer.
    let times = if connections == 1 { REQUESTS / 4 } else { REQUESTS / connections };
    for side in sides {
        side.way.ask(connections, WARM_UP.div_ceil(connections))?;
    }
    let mut turns: Vec<Turns> = sides.iter().map(|_| Turns::default()).collect();
    for _ in 0..TURNS {
        for (side, turns) in sides.iter().zip(&mut turns) {
            turns.take(side, connections, times)?;
        }
    }
    Ok(sides.iter().zip(turns).map(|(side, turns)| turns.measured(side.name)).collect())
}

/// nginx, with one place where it does something.
pub(super) struct Nginx {
    process: Background,
    way: Way,
}

impl Nginx {
    /// Starts it; `None` where there is none.
    pub(super) fn start(
        place: &Path,
        name: &str,
        path: &str,
        what: &(String, String),
    ) -> Result<Option<Self>> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        // Whoever is no administrator has its directory not on their path, as a rule.
        let directories = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
        let Some(program) = directories.map(|directory| directory.join("nginx")).find(|path| path.is_file())
        else {
            return Ok(None);
        };
        let prefix = place.join(name);
        fs::create_dir_all(&prefix).map_err(|error| format!("{}: {error}", prefix.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let file = prefix.join("nginx.conf");
        fs::write(&file, config(address, what)).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&prefix).arg("-c").arg(&file).args(["-e", "error.log"]);
        let mut nginx = Self { process: start(&mut command)?, way: Way::new(address, path, None) };
        answers(&mut nginx.process, &nginx.way).map_err(|error| {
            let log = fs::read_to_string(prefix.join("error.log")).unwrap_or_default();
            format!("nginx: {error}\n{log}")
        })?;
        Ok(Some(nginx))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.way.address
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        let master = self.process.process.id();
        [master].into_iter().chain(children(master)).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It has to end its worker, which would outlive it if it were killed.
        let pid = self.process.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        let begun = Instant::now();
        while told.as_ref().is_ok_and(|status| status.success())
            && matches!(self.process.process.try_wait(), Ok(None))
            && begun.elapsed() < PATIENCE
        {
            thread::sleep(LOOK);
        }
    }
}

/// A proxy, which keeps its connections and puts a token on what passes.
fn passes_on(provider: SocketAddr) -> (String, String) {
    let token = "benchmark".repeat(60);
    let upstream = format!(
        "upstream provider {{
        server {provider};
        keepalive 64;
        keepalive_requests 1000000000;
    }}"
    );
    let location = format!(
        "proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Authorization \"Bearer {token}\";"
    );
    (upstream, location)
}

/// One worker, which writes nothing down.
fn config(address: SocketAddr, (upstream, location): &(String, String)) -> String {
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {upstream}
    server {{
        listen {address};
        location / {{
            {location}
        }}
    }}
}}
"
    )
}

/// The time that a process has spent, in seconds. A tick is a hundredth of one.
pub(super) fn seconds(pid: u32) -> Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| format!("process {pid}: {error}"))?;
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (field(11), field(12)) else {
        return Err(format!("process {pid}: its times are not there"));
    };
    Ok((user + system) / 100.0)
}
