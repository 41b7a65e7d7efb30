//! Building a connector outside this repository, as its author would, without building again what is built here.

use std::{fs, io::ErrorKind, os::unix::fs::symlink, path::PathBuf};

use crate::built;

/// Where such a connector is built. What it depends on lies there already, since it is where the workspace's own debug builds lie,
/// by another name: those that cargo would put beside them for `--release` too.
///
/// # Panics
///
/// If it cannot be made.
#[must_use]
pub fn target() -> PathBuf {
    let target = built().parent().expect("it has a parent").join("author");
    fs::create_dir_all(&target).expect("the directory is ours");
    for name in ["debug", "release"] {
        match symlink(built(), target.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{}: {error}", target.display()),
            _ => {}
        }
    }
    target
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
