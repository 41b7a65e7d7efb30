//! The layout of everything that crosses, as `abi_stable` compares it when a library is loaded.
//!
//! ABI version 1 is frozen: a difference here means that this host would refuse libraries that are out in the world. The
//! snapshot is never rewritten; an ABI version 2 gets a symbol, a module and a snapshot of its own.

use std::fmt::Write;

use abi_stable::StableAbi;
use connector_abi::{RootRef, abi_stable};

/// Each type with its size, alignment and the version of the crate that defines it, and the names in it. What differs from
/// build to build - addresses, ids, lines - is left out.
fn layout() -> String {
    let dump = format!("{:#?}", <RootRef as StableAbi>::LAYOUT);
    let mut out = String::new();
    for line in dump.lines() {
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        let value = value.trim_end_matches(',').trim();
        match key {
            "full_type" => drop(write!(out, "\n{value}")),
            "size" | "alignment" | "package_and_version" => drop(write!(out, "  {key}={value}")),
            "name" => drop(write!(out, "\n    {value}")),
            _ => {}
        }
    }
    // A patch version changes nothing that is compared.
    let ours = concat!("connector-abi;", env!("CARGO_PKG_VERSION"));
    let out = out.replace(ours, "connector-abi;1.0");
    out.lines().filter(|line| !line.is_empty()).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn the_layout_of_version_1_is_what_it_was_when_it_was_frozen() {
    let frozen = include_str!("layout-v1.txt");
    let now = layout();
    if let Some((line, (was, is))) = frozen.lines().zip(now.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!(
            "the frozen ABI has changed, line {}:\n  was {was}\n  is  {is}\nundo it: version 1 never changes",
            line + 1
        );
    }
    assert_eq!(frozen.lines().count(), now.lines().count(), "the frozen ABI has changed: undo it");
}
