//! Building a connector outside this repository, as its author would, without building the same thing twice.

use std::{fs, io::ErrorKind, os::unix::fs::symlink, path::PathBuf};

use crate::built;

/// Where such connectors are built: a directory of their own, since what they need is built with other features than here. What is
/// built there for `--release` lies where the rest does, and so is there already.
///
/// # Panics
///
/// If it cannot be made.
#[must_use]
pub fn target() -> PathBuf {
    let target = built().parent().expect("it has a parent").join("author");
    fs::create_dir_all(target.join("debug")).expect("the directory is ours");
    match symlink("debug", target.join("release")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{}: {error}", target.display()),
        _ => target,
    }
}

/// What cargo is told so that all it builds there can be used again, with `--release` too: what would make a library quick takes the
/// longest to build, and is tested nowhere here.
pub const SETTINGS: [(&str, &str); 7] = [
    ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "true"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];
