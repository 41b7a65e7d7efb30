//! Libraries as a later Jackfield could have them: made of the frozen ABI by changing a text here and there, so that no second
//! copy of it has to be kept.

use std::{fs, path::Path};

use crate::{
    Result,
    run::{root, target},
    test::build_at,
};

/// A text of a file of `tests/abi-v1`, which stands there once, and what a later Jackfield could have in its place.
type Change = (&'static str, &'static str, &'static str);

/// What a later Jackfield could have made of the frozen ABI. Each has the name of its library, and of its connector; and a version
/// of its own, by which cargo tells them apart where it builds them.
const NEWER: &[(&str, &[Change])] = &[
    // It has grown only at the ends, which is what a newer library may do. It uses all of it.
    (
        "grown",
        &[
            ("abi/Cargo.toml", "version = \"1.0.0\"", "version = \"1.1.0\""),
            (
                "Cargo.lock",
                "name = \"connector-abi\"\nversion = \"1.0.0\"",
                "name = \"connector-abi\"\nversion = \"1.1.0\"",
            ),
            (
                "abi/src/lib.rs",
                "    fn trigger(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture;",
                "    fn trigger(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture;\n
    /// Later.
    fn later(&self) -> u32 {
        1
    }",
            ),
            (
                "abi/src/lib.rs",
                "    fn log(&self, level: u8, line: RString);",
                "    fn log(&self, level: u8, line: RString);\n
    /// How much later it is; nothing at a host that knows nothing of it.
    fn later(&self) -> u32 {
        0
    }",
            ),
            (
                "abi/src/lib.rs",
                "    pub open: extern \"C\" fn() -> RResult<ConnectorBox, RVec<u8>>,",
                "    pub open: extern \"C\" fn() -> RResult<ConnectorBox, RVec<u8>>,
    /// Later.
    pub later: u64,",
            ),
            ("abi/src/lib.rs", "Root { open: open::<L> }", "Root { open: open::<L>, later: 1 }"),
            (
                "connector/src/lib.rs",
                "            host.log(3, \"asking\".into());",
                "            if host.later() != 0 {
                return fail(\"this host is as new as the library\");
            }
            host.log(3, \"asking\".into());",
            ),
        ],
    ),
    // What is handed over by value is of another size, and nothing that can be read beforehand says so.
    (
        "wider",
        &[
            ("abi/Cargo.toml", "version = \"1.0.0\"", "version = \"1.2.0\""),
            (
                "Cargo.lock",
                "name = \"connector-abi\"\nversion = \"1.0.0\"",
                "name = \"connector-abi\"\nversion = \"1.2.0\"",
            ),
            (
                "abi/src/lib.rs",
                "    fn log(&self, level: u8, line: RString);",
                "    fn log(&self, level: u32, line: RString);",
            ),
        ],
    ),
    // All of it is the same but the major version of the crate that the types come from.
    (
        "major",
        &[
            ("abi/Cargo.toml", "version = \"1.0.0\"", "version = \"2.0.0\""),
            (
                "Cargo.lock",
                "name = \"connector-abi\"\nversion = \"1.0.0\"",
                "name = \"connector-abi\"\nversion = \"2.0.0\"",
            ),
        ],
    ),
    // It says itself that it is of another ABI.
    (
        "second",
        &[
            ("abi/Cargo.toml", "version = \"1.0.0\"", "version = \"1.3.0\""),
            (
                "Cargo.lock",
                "name = \"connector-abi\"\nversion = \"1.0.0\"",
                "name = \"connector-abi\"\nversion = \"1.3.0\"",
            ),
            ("abi/src/lib.rs", "pub const ABI_VERSION: u32 = 1;", "pub const ABI_VERSION: u32 = 2;"),
            ("abi/src/lib.rs", "\"jackfield_connector_v1\";", "\"jackfield_connector_v2\";"),
            ("connector/src/lib.rs", "\"jackfield_connector_v1\"", "\"jackfield_connector_v2\""),
        ],
    ),
];

/// Builds libraries as a later Jackfield could have them. Their sources are made here, out of the frozen ones.
pub(crate) fn build() -> Result {
    NEWER.iter().try_for_each(|(name, changes)| {
        let to = target().join("abi-newer").join(name);
        write(&root().join("tests/abi-v1"), &to, name, changes)?;
        build_at(&to)
    })
}

fn write(from: &Path, to: &Path, name: &str, changes: &[Change]) -> Result {
    let own = [
        ("connector/Cargo.toml", "name = \"frozen\"".to_owned(), format!("name = \"{name}\"")),
        ("connector/manifest.json", "\"id\": \"frozen\"".to_owned(), format!("\"id\": \"{name}\"")),
    ];
    let changes = changes.iter().map(|(file, old, new)| (*file, (*old).to_owned(), (*new).to_owned()));
    let mut changes: Vec<_> = own.into_iter().chain(changes).collect();
    let sums = read(&from.join("SHA256SUMS"))?;
    for file in sums.lines().filter_map(|line| Some(line.split_once("  ")?.1)) {
        let mut text = read(&from.join(file))?;
        for (_, old, new) in changes.extract_if(.., |(changed, ..)| *changed == file) {
            let times = text.matches(&old).count();
            if times != 1 {
                return Err(format!("{file} of the frozen ABI: this stands there {times} times: {old}"));
            }
            text = text.replace(&old, &new);
        }
        let place = to.join(file);
        // What is written anew is built anew.
        if fs::read_to_string(&place).is_ok_and(|there| there == text) {
            continue;
        }
        let failed = |error| format!("{}: {error}", place.display());
        fs::create_dir_all(place.parent().unwrap_or(to)).map_err(failed)?;
        fs::write(&place, text).map_err(failed)?;
    }
    match changes.first() {
        None => Ok(()),
        Some((file, old, _)) => {
            Err(format!("{file}: the frozen ABI has no such file, to change this: {old}"))
        }
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_nowhere_is_told() {
        let to = tempfile::tempdir().expect("a temporary directory");
        let write = |file, old| {
            write(&root().join("tests/abi-v1"), to.path(), "x", &[(file, old, "")])
                .expect_err("it is nowhere")
        };
        assert!(write("abi/src/lib.rs", "no such text").contains("stands there 0 times: no such text"));
        assert!(write("abi/src/lib.rs", "RVec<u8>").contains("stands there"));
        assert!(write("abi/src/none.rs", "RVec").contains("has no such file"));
    }
}
