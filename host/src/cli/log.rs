//! Where the log goes: to standard error as much as was asked for, and to a file of the home, one JSON line a happening.
//!
//! Only our own words are logged. Libraries below us log headers and bodies at their finest levels, and so secrets.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    sync::Mutex,
};

use jackfield::home::Home;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// Starts logging. Without a home there is no file.
pub(crate) fn start(verbose: u8, home: Option<&Home>) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let talk = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .without_time()
        .with_target(false)
        .with_filter(ours(level));
    let file = home.and_then(open).map(|file| {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(Mutex::new(file))
            .with_filter(ours(LevelFilter::INFO))
    });
    // Already started only in tests.
    let _ = registry().with(talk).with(file).try_init();
}

fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target("jackfield", level).with_target("connector", level)
}

/// A file a day; a log that cannot be written keeps nobody from working.
fn open(home: &Home) -> Option<File> {
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let path = home.logs().join(format!("jackfield-{day}.log"));
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok()
}
