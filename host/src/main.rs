//! The `jackfield` binary: the command line, the server and the worker.

mod cli;

use std::process::ExitCode;

use jackfield::{timings, worker::child};

fn main() -> ExitCode {
    // Before anything else: a worker is started for every connector, and has to be there at once.
    if std::env::args_os().nth(1).is_some_and(|command| command == child::COMMAND) {
        return child::main();
    }
    timings::begin();
    cli::main()
}
