//! The command line: one file per noun. Data goes to standard output, talk to standard error.
//!
//! It knows terminals and nothing of connectors: what it does, the library does - in this process, or in the Jackfield that
//! serves the home, whichever the [`engine`] finds.

mod action;
mod audit;
mod backup;
mod completion;
mod connection;
mod connector;
mod delivery;
mod doctor;
mod engine;
mod errors;
mod event;
mod init;
mod input;
mod integration;
mod invocation;
mod log;
mod output;
mod progress;
mod project;
mod prompt;
mod query;
mod request;
mod secret;
mod serve;
mod served;
mod signals;
mod subscription;
mod token;
mod trigger;
mod usage;
mod user;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use jackfield::{Error, ErrorKind, Result, config::Config, egress::Remote, home::Home, secret_file, timings};

/// Host connectors: add a library, fill the forms of its actions, and run them
#[derive(Parser)]
#[command(name = "jackfield", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(clap::Args)]
pub(crate) struct Everywhere {
    /// The home directory [default: $JACKFIELD_HOME, else ~/.jackfield]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) home: Option<PathBuf>,
    /// The project, where there are several
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub(crate) project: Option<String>,
    /// Ask a Jackfield elsewhere, at this address [default: $JACKFIELD_SERVER]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "JACKFIELD_SERVER",
        hide_env = true,
        help_heading = "Everywhere"
    )]
    pub(crate) server: Option<String>,
    /// The file with the token for --server [default: $JACKFIELD_SERVER_TOKEN_FILE]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "JACKFIELD_SERVER_TOKEN_FILE",
        hide_env = true,
        help_heading = "Everywhere"
    )]
    pub(crate) server_token_file: Option<PathBuf>,
    /// Ask nothing: fail where something would have to be asked
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) no_input: bool,
    /// Say what is going on, on standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    verbose: u8,
    /// Say how long each stage took, on standard error
    #[arg(long, global = true, help_heading = "Everywhere")]
    timings: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a home directory
    Init(init::Init),
    /// Look at connectors, add and remove them, or begin a new one
    #[command(subcommand, alias = "plugin")]
    Connector(connector::Command),
    /// Look at actions, fill their forms, run them
    #[command(subcommand)]
    Action(action::Command),
    /// Look up what was run
    #[command(subcommand)]
    Invocation(invocation::Command),
    /// Connect an account (short for: connection connect)
    Connect(Box<connection::Connect>),
    /// Look at connected accounts, connect more, give them up
    #[command(subcommand)]
    Connection(connection::Command),
    /// Send a request to a provider as a connection, without an action
    Request(request::Request),
    /// Look at triggers, and hear what happens
    #[command(subcommand)]
    Trigger(trigger::Command),
    /// Have the events of triggers sent to an app
    #[command(subcommand)]
    Subscription(subscription::Command),
    /// Look up what has happened and what was sent on, and send it again
    #[command(subcommand)]
    Event(event::Command),
    /// Look up what providers have sent, and what was refused
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Set connectors up: client id, secrets, scopes
    #[command(subcommand)]
    Integration(integration::Command),
    /// Keep apart what belongs to different apps, and say whose users to believe
    #[command(subcommand)]
    Project(project::Command),
    /// Look at users, and erase them
    #[command(subcommand)]
    User(user::Command),
    /// Make tokens for the API, and take them back
    #[command(subcommand)]
    Token(token::Command),
    /// See to the keys that secrets are sealed with
    #[command(subcommand)]
    Secret(secret::Command),
    /// Look up who did what
    Audit(audit::Audit),
    /// Copy everything that is kept into a file, while everything goes on
    Backup(backup::Backup),
    /// Put such a copy back
    Restore(backup::Restore),
    /// Stay, and do for other commands what they would do themselves
    Serve(serve::Serve),
    /// See whether everything is as it should be
    Doctor(doctor::Doctor),
    /// Print the script that makes a shell complete commands
    Completion(completion::Completion),
    /// Serve the calls of one connector (started by jackfield itself)
    #[command(hide = true)]
    Worker,
}

impl Everywhere {
    /// The home that is meant, whether or not it is there.
    pub(crate) fn locate(&self) -> Result<Home> {
        Home::locate(self.home.clone())
    }

    /// The home that is meant, which has to be there; its log begins. Whoever names a server elsewhere means no home of this
    /// machine.
    pub(crate) fn home(&self) -> Result<Home> {
        if self.server.is_some() {
            return Err(not_elsewhere());
        }
        let home = self.locate()?;
        home.must_exist()?;
        log::start(self.verbose, Some(&home));
        // A mistake in it is told by whatever is done first, not by what happens to need it.
        Config::load(&home)?;
        Ok(home)
    }

    /// The Jackfield elsewhere that is meant, if one is.
    pub(crate) fn remote(&self) -> Result<Option<Remote>> {
        let Some(url) = &self.server else { return Ok(None) };
        let file = self.server_token_file.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unauthenticated, "a server elsewhere wants a token")
                .hint("name the file that holds it: --server-token-file FILE; its operator makes one with: jackfield token create")
        })?;
        log::start(self.verbose, None);
        Remote::at(url, secret_file::read(file)?).map(Some)
    }

    /// Whether somebody can be asked something.
    pub(crate) fn can_ask(&self) -> bool {
        use std::io::IsTerminal;
        !self.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
}

/// That something is not done by a server elsewhere.
pub(crate) fn not_elsewhere() -> Error {
    Error::new(ErrorKind::Usage, "this is done on the machine of the home, not on a server elsewhere")
        .hint("leave --server out, or unset JACKFIELD_SERVER")
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    completion::answer(Cli::command);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(error),
    };
    timings::stage("start");
    let format = cli.command.format();
    let wants_timings = cli.everywhere.timings;
    let done = run(cli);
    if wants_timings {
        for (stage, took) in timings::stages() {
            output::say(&format!("{stage:<12}{:>9.3} ms", took.as_secs_f64() * 1000.0));
        }
    }
    match done {
        Ok(()) if output::is_lost() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            errors::print(&error, format);
            ExitCode::from(errors::exit_code(&error.kind))
        }
    }
}

impl Command {
    /// How the command was asked to print, which errors follow.
    fn format(&self) -> output::Format {
        match self {
            Self::Init(_)
            | Self::Serve(_)
            | Self::Completion(_)
            | Self::Worker
            | Self::Request(_)
            | Self::Backup(_)
            | Self::Restore(_) => output::Format::Table,
            Self::Connect(connect) => connect.format(),
            Self::Connection(command) => command.format(),
            Self::Trigger(command) => command.format(),
            Self::Subscription(command) => command.format(),
            Self::Event(command) => command.format(),
            Self::Delivery(command) => command.format(),
            Self::Integration(command) => command.format(),
            Self::Project(command) => command.format(),
            Self::User(command) => command.format(),
            Self::Token(command) => command.format(),
            Self::Secret(command) => command.format(),
            Self::Connector(command) => command.format(),
            Self::Action(command) => command.format(),
            Self::Invocation(command) => command.format(),
            Self::Audit(audit) => audit.format(),
            Self::Doctor(doctor) => doctor.format(),
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let everywhere = &cli.everywhere;
    match cli.command {
        Command::Init(init) => init.run(everywhere),
        Command::Connector(command) => command.run(everywhere),
        Command::Action(command) => command.run(everywhere),
        Command::Invocation(command) => command.run(everywhere),
        Command::Connect(connect) => connect.run(everywhere),
        Command::Connection(command) => command.run(everywhere),
        Command::Request(request) => request.run(everywhere),
        Command::Trigger(command) => command.run(everywhere),
        Command::Subscription(command) => command.run(everywhere),
        Command::Event(command) => command.run(everywhere),
        Command::Delivery(command) => command.run(everywhere),
        Command::Integration(command) => command.run(everywhere),
        Command::Project(command) => command.run(everywhere),
        Command::User(command) => command.run(everywhere),
        Command::Token(command) => command.run(everywhere),
        Command::Secret(command) => command.run(everywhere),
        Command::Audit(audit) => audit.run(everywhere),
        Command::Backup(backup) => backup.run(everywhere),
        Command::Restore(restore) => restore.run(everywhere),
        Command::Serve(serve) => serve.run(everywhere),
        Command::Doctor(doctor) => doctor.run(everywhere),
        Command::Completion(completion) => completion.run(Cli::command()),
        // Taken care of before the command line was read.
        Command::Worker => Ok(()),
    }
}
