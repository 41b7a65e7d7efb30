//! Libraries with bytes of theirs changed.

use std::{fs, path::Path};

/// The bytes of a library with one changed: so many behind the first place where these stand.
///
/// # Panics
///
/// If they are not there.
#[must_use]
#[track_caller]
pub fn patched(library: &Path, find: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = fs::read(library).expect("the library can be read");
    let place = bytes.windows(find.len()).position(|window| window == find).expect("it is there");
    bytes[place + at] = byte;
    bytes
}

/// The bytes of a library with a text replaced wherever it stands: the linker may keep the manifest twice.
///
/// # Panics
///
/// If it is not there.
#[must_use]
#[track_caller]
pub fn replaced(library: &Path, find: &[u8], with: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(library).expect("the library can be read");
    let places: Vec<usize> = bytes
        .windows(find.len())
        .enumerate()
        .filter(|(_, window)| *window == find)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "it is not there");
    for place in places {
        bytes[place..place + find.len()].copy_from_slice(with);
    }
    bytes
}
