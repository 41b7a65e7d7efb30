//! The project's own commands: `cargo xtask …`.
//!
//! It links no connector: two of them in one binary define the same root symbol.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

mod bench;
mod chaos;
mod demo;
mod fuzz;
mod hooks;
mod install;
mod manifests;
mod messages;
mod newer;
mod run;
mod test;
mod tested;
mod tidy;
mod visitor;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command gives up with: one sentence, or several lines.
type Result<T = ()> = std::result::Result<T, String>;

/// The project's own commands
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show Jackfield at work, against the simulator: an account, all eight Zoom actions, and an event that arrives
    Demo,
    /// Measure what Jackfield costs, beside baselines and targets
    Bench(bench::Bench),
    /// Kill the server again and again, take its disk and its store away, and see that no delivery is lost
    Chaos(chaos::Chaos),
    /// Look for bytes that make a reader fall: libraries, manifests, what workers send
    Fuzz(fuzz::Fuzz),
    /// Build jackfield, the Zoom simulator and the connectors, and install them
    Install(install::Install),
    /// Build what the tests need and run all of them
    Test(test::Test),
    /// Draw the pictures that README shows
    Pictures,
    /// Write the manifests that the connectors' types declare, and the schema of manifests
    Manifests(manifests::Manifests),
    /// Write down everything that Jackfield says, to be read
    Messages,
    /// Check the rules of the house that no compiler knows
    Tidy,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Chaos(chaos) => chaos.run(),
        Command::Demo => demo::demo(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Install(install) => install.run(),
        Command::Test(test) => test.run(),
        Command::Pictures => test::pictures(),
        Command::Manifests(manifests) => manifests.run(),
        Command::Messages => messages::messages(),
        Command::Tidy => tidy::tidy(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
