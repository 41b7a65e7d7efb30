//! The command line: one file per noun. Data goes to standard output, talk to standard error.
//!
//! It knows terminals and nothing of connectors: what it does, the library does - in this process, or in the Jackfield that
//! serves the home, whichever the [`engine`] finds.

mod action;
mod completion;
mod connector;
mod doctor;
mod engine;
mod errors;
mod init;
mod input;
mod invocation;
mod log;
mod output;
mod progress;
mod prompt;
mod query;
mod serve;
mod served;
mod signals;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use jackfield::{Result, config::Config, home::Home, timings};

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

    /// The home that is meant, which has to be there; its log begins.
    pub(crate) fn home(&self) -> Result<Home> {
        let home = self.locate()?;
        home.must_exist()?;
        log::start(self.verbose, Some(&home));
        // A mistake in it is told by whatever is done first, not by what happens to need it.
        Config::load(&home)?;
        Ok(home)
    }

    /// Whether somebody can be asked something.
    pub(crate) fn can_ask(&self) -> bool {
        use std::io::IsTerminal;
        !self.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
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
            Self::Init(_) | Self::Serve(_) | Self::Completion(_) | Self::Worker => output::Format::Table,
            Self::Connector(command) => command.format(),
            Self::Action(command) => command.format(),
            Self::Invocation(command) => command.format(),
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
        Command::Serve(serve) => serve.run(everywhere),
        Command::Doctor(doctor) => doctor.run(everywhere),
        Command::Completion(completion) => completion.run(Cli::command()),
        // Taken care of before the command line was read.
        Command::Worker => Ok(()),
    }
}
