//! The command line of the Zoom simulator: arguments in, what a user needs to know out, and signals.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser};
use zoom_simulator::{
    AppKind, Config, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_REDIRECT_URI,
    DEFAULT_REGISTRANT_LIMIT, DEFAULT_WEBHOOK_SECRET, Plan, Ready, ScopeStyle, Simulator,
};

/// A stand-in for Zoom on this machine: OAuth, users and meetings with state, webhooks, rate limits, and faults on demand.
///
/// It behaves as if the sample host had connected the sample app once at the start, and prints what is needed to
/// use it. Nothing is kept when it stops.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Where to listen; only loopback addresses, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4510", value_parser = address)]
    listen: SocketAddr,

    /// The plan of the sample account: it sets the rate limits, and on the free plan nobody has a licence
    #[arg(long, value_enum, default_value_t = Plan::Business)]
    plan: Plan,

    /// The kind of the sample app
    #[arg(long, value_enum, default_value_t = AppKind::UserManaged)]
    app: AppKind,

    /// The family of scope names the sample app uses
    #[arg(long, value_enum, default_value_t = ScopeStyle::Granular)]
    scopes: ScopeStyle,

    /// How long an access token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    token_life: u32,

    /// Write the sample host's access token to this file, made afresh for the owner only, instead of printing it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Print what is needed to use it as one line of JSON
    #[arg(long)]
    ready_json: bool,

    /// A redirect address of the sample app, compared character by character; can be given more than once
    #[arg(long = "redirect-uri", value_name = "URI", default_value = DEFAULT_REDIRECT_URI)]
    redirect_uris: Vec<String>,

    /// The client id of the sample app
    #[arg(long, value_name = "ID", default_value = DEFAULT_CLIENT_ID)]
    client_id: String,

    /// The client secret of the sample app; it protects nothing
    #[arg(long, value_name = "SECRET", default_value = DEFAULT_CLIENT_SECRET)]
    client_secret: String,

    /// Where webhooks go: an http address on this machine, asked first whether it knows the secret token; can be given more
    /// than once
    #[arg(long = "webhook-url", value_name = "URL")]
    webhook_urls: Vec<String>,

    /// The secret token of the sample app, with which webhooks are signed; it protects nothing
    #[arg(long, value_name = "SECRET", default_value = DEFAULT_WEBHOOK_SECRET)]
    webhook_secret: String,

    /// Refuse no call for being one too many
    #[arg(long)]
    no_rate_limits: bool,

    /// How many registrants a meeting can take
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_REGISTRANT_LIMIT)]
    registrant_limit: usize,

    /// Make ids, passcodes and tokens the same in every run with this number
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Log requests to stderr
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// An address and a port. `localhost` is the only name.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let address: SocketAddr =
        text.parse().map_err(|_| "an address and a port are needed, like 127.0.0.1:4510")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("this is not a loopback address, and the simulator only listens on this machine".to_owned())
    }
}

impl Arguments {
    fn config(&self) -> Config {
        Config {
            listen: self.listen,
            plan: self.plan,
            app: self.app,
            scopes: self.scopes,
            token_life: Duration::from_secs(u64::from(self.token_life)),
            redirect_uris: self.redirect_uris.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            webhook_secret: self.webhook_secret.clone(),
            webhook_urls: self.webhook_urls.clone(),
            rate_limits: !self.no_rate_limits,
            registrant_limit: self.registrant_limit,
            seed: self.seed,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.verbose > 0 {
        let level = if arguments.verbose > 1 { tracing::Level::DEBUG } else { tracing::Level::INFO };
        tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .with_max_level(level)
            .init();
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell if stderr is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let simulator = Simulator::bind(arguments.config()).await?;
        let stop = stop_signal()?;
        let ready = hand_out_token(simulator.ready().clone(), arguments.token_file.as_deref())?;
        announce(&ready, arguments.ready_json)?;
        simulator.serve(stop).await?;
        Ok(())
    });
    // What is still dripping does not hold the process up.
    runtime.shutdown_background();
    result
}

/// Writes the token to the file, if there is to be one.
fn hand_out_token(ready: Ready, file: Option<&Path>) -> io::Result<Ready> {
    let (Some(file), Some(token)) = (file, ready.access_token()) else {
        return Ok(ready);
    };
    write_secret(file, token).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write the token to {}: {error}", file.display()))
    })?;
    Ok(ready.with_token_in(file))
}

/// Makes a new file that only its owner can read. One that was there is removed first, so that neither its mode nor
/// where it may lead matters.
fn write_secret(file: &Path, secret: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(file)?, "{secret}")
}

fn announce(ready: &Ready, as_json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if as_json {
        writeln!(stdout, "{}", serde_json::to_string(ready)?)?;
    } else {
        writeln!(stdout, "{ready}")?;
    }
    stdout.flush()
}

/// Is done when the process is asked to stop. The signals are caught from the moment this is called.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Is done when the process is asked to stop.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        // Without a way to hear of Ctrl-C, the process ends at once when it comes.
        let _ = tokio::signal::ctrl_c().await;
    })
}
