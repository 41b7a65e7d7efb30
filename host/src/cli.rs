//! The command line: one file per noun. Data goes to standard output, talk to standard error.
//!
//! It knows terminals and nothing of connectors: what it does, the library does.

mod action;
mod connector;
mod errors;
mod init;
mod input;
mod log;
mod output;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use jackfield::{Result, home::Home};

use self::output::Format;

/// The answer to connectors: drop one library in, and its actions run
#[derive(Parser)]
#[command(name = "jackfield", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// The home directory [default: $JACKFIELD_HOME, else ~/.jackfield]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    home: Option<PathBuf>,
    /// Say what is going on, on standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a home directory
    Init(init::Init),
    /// Look at the connectors that are there, or begin a new one
    #[command(subcommand, alias = "plugin")]
    Connector(connector::Command),
    /// Look at actions and run them
    #[command(subcommand)]
    Action(action::Command),
    /// Serve the calls of one connector (started by jackfield itself)
    #[command(hide = true)]
    Worker,
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.command.format();
    match run(cli) {
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
    fn format(&self) -> Format {
        match self {
            Self::Init(_) | Self::Worker => Format::Table,
            Self::Connector(command) => command.format(),
            Self::Action(command) => command.format(),
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let home = || Home::locate(cli.home.clone());
    match cli.command {
        Command::Init(init) => init.run(cli.home),
        Command::Connector(command) => {
            log::start(cli.verbose, None);
            command.run(&home)
        }
        Command::Action(command) => {
            let home = home()?;
            home.must_exist()?;
            log::start(cli.verbose, Some(&home));
            command.run(&home)
        }
        // Taken care of before the command line was read.
        Command::Worker => Ok(()),
    }
}
