//! `plugins/ID.dev`: where a build output lies that is used in its place, and is another one after each build.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use connector_protocol::Result;

use super::{
    library::{Library, Unfit},
    trust::Judge,
};
use crate::{home::Home, system};

/// What such a file's name ends with.
pub(super) const EXTENSION: &str = "dev";

/// How large such a file may be, in bytes: a path has fewer.
const MAX_LEN: u64 = 8 * 1024;

/// The file that names the build output of this connector.
#[must_use]
pub fn entry(home: &Home, id: &str) -> PathBuf {
    home.plugins().join(format!("{id}.{EXTENSION}"))
}

/// Whether a build output may be used where it lies: whose it and its directory are, and who else could change it.
///
/// # Errors
///
/// Why not.
pub fn check(library: &Library) -> Result<()> {
    Judge::default().elsewhere(&library.path).map(drop).map_err(|unfit| unfit.at(&library.path).into())
}

/// Has this build output used from now on. Gives the file that says so.
///
/// # Errors
///
/// If that cannot be written.
pub fn write(home: &Home, id: &str, library: &Path) -> Result<PathBuf> {
    let path = entry(home, id);
    let fresh = path.with_file_name(format!(".{id}.{EXTENSION}.{}", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(library.as_os_str().as_encoded_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(system::cannot("write", &path))?;
    Ok(path)
}

/// The build output that such a file names.
pub(super) fn target(judge: &Judge, entry: &Path) -> Result<PathBuf, Unfit> {
    let text = judge.text(entry, MAX_LEN)?.unwrap_or_default();
    let path = PathBuf::from(text.strip_suffix('\n').unwrap_or(&text));
    if !path.is_absolute() || text.trim_end_matches('\n').contains(char::is_control) {
        return Err(Unfit::new("does not name a library by its absolute path")
            .hint("name one: jackfield connector dev PATH"));
    }
    Ok(path)
}
