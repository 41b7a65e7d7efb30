//! `jackfield connector add`

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    config::Config,
    home::Home,
    plugins::{
        self, Library,
        pins::{Pin, Pins},
    },
    system,
};
use rustix::fs::{FlockOperation, flock};

use super::verify;
use crate::cli::{engine::registry, input, output::say};

/// Check a library and put it into the plugins directory
#[derive(Args)]
pub(crate) struct Add {
    /// The library, as a file; or the id of a connector that was installed together with jackfield
    library: String,
    /// Send its requests elsewhere, such as api=http://127.0.0.1:4510/v2; is written to jackfield.toml
    #[arg(long = "endpoint", value_name = "BASE=URL", help_heading = "Configuration")]
    endpoints: Vec<String>,
    /// The file that holds an access token for it; is written to jackfield.toml
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    token_file: Option<PathBuf>,
}

impl Add {
    pub(crate) fn run(self, home: &Home) -> Result<()> {
        let file = find(&self.library)?;
        let library = verify::prove(&file, home)?;
        let id = library.id();
        let mut endpoints = Vec::new();
        for assignment in &self.endpoints {
            let (base, url) = input::split(assignment)?;
            endpoints.push((base.to_owned(), url.to_owned()));
        }
        let token_file = self.token_file.as_deref().map(absolute).transpose()?;
        // What cannot be configured is told before anything is changed.
        let edit = Config::edit(home, library.manifest()?, &endpoints, token_file.as_deref())?;
        let pins = Pins::load(home)?;

        let name = format!("lib{}.so", id.replace('-', "_"));
        let target = home.plugins().join(&name);
        let before = registry(home)?;
        let there = before.libraries().chain(before.unpinned()).find(|there| there.id() == id);
        if let Some(there) = there.filter(|there| there.entry != target) {
            let text = format!("`{id}` is there already, as {}", there.entry.display());
            return Err(Error::new(ErrorKind::Usage, text)
                .hint(format!("take that one out first: jackfield connector remove {id}")));
        }
        if plugins::close(home)? {
            say(&format!("closed {} to others (mode 700)", home.plugins().display()));
        }
        copy(&file, &target, &library.head.sha256).map_err(system::cannot("write", &target))?;
        let (version, target) = (&library.head.version, target.display());
        match there {
            Some(there) if there.head.version == *version => {
                say(&format!("replaced {id} {version} at {target}"))
            }
            Some(there) => say(&format!("replaced {id} {} by {version} at {target}", there.head.version)),
            None => say(&format!("added {id} {version} as {target}")),
        }
        if let Some(mut pins) = pins {
            let pin = Pin::of(&library);
            say(&format!("pinned {id} {} in {}", pin.short(), home.pins().display()));
            pins.0.insert(id.to_owned(), pin);
            pins.save(home)?;
        }
        if let Some(edit) = edit {
            edit.write(home)?;
            say(&format!("wrote [integrations.{id}] to {}", home.config().display()));
        }
        for (base, url) in Config::load(home)?.integration(id).endpoints {
            if self.endpoints.is_empty() {
                say(&format!("its `{base}` goes on to {url}, as [integrations.{id}.endpoints] says"));
            }
        }
        say(&format!("see what it can do: jackfield action list {id}"));
        Ok(())
    }
}

/// A path that means the same wherever a command is run.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::new(ErrorKind::Usage, format!("{} is no path: {error}", path.display())))
}

/// The file of a library that is named by its path, or of a connector that lies where jackfield was installed.
pub(super) fn find(library: &str) -> Result<PathBuf> {
    let path = PathBuf::from(library);
    let is_id = !library.contains(['/', '.']);
    if path.exists() {
        return Ok(path);
    }
    if !is_id {
        return Err(Error::new(ErrorKind::Usage, format!("there is no file {}", path.display()))
            .hint("name the library's file, or a connector that was installed together with jackfield"));
    }
    let file = format!("lib{}.so", library.replace('-', "_"));
    let found = places().iter().map(|place| place.join(&file)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let text = format!(
            "there is no file `{}`, and no connector of that name was installed",
            library.escape_debug()
        );
        Error::new(ErrorKind::Unknown, text)
            .hint("name the library's file: jackfield connector add path/to/libNAME.so")
    })
}

/// Where libraries lie that were installed together with this program: in `lib/jackfield` next to its directory, or, as
/// cargo builds them, beside it.
fn places() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let directory = program.as_deref().and_then(Path::parent);
    let lib = directory.and_then(Path::parent).map(|prefix| prefix.join("lib/jackfield"));
    lib.into_iter().chain(directory.map(Path::to_owned)).collect()
}

/// The connectors that were installed together with this program.
pub(crate) fn installed() -> Vec<String> {
    let directory = places().into_iter().next();
    let entries =
        directory.and_then(|directory| fs::read_dir(directory).ok()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_prefix("lib")?.strip_suffix(".so")?.replace('_', "-"))
        })
        .collect();
    names.sort();
    names
}

/// Takes away what copies have left that did not come to their end. One that is still being made is locked.
fn sweep(plugins: &Path) {
    for entry in fs::read_dir(plugins).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((library, number)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
        let is_copy = library.starts_with(".lib")
            && library.ends_with(".so")
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit());
        // Nobody puts anything but a file there under such a name; what is none is left alone.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_copy
            && is_file
            && let Ok(file) = fs::File::open(entry.path())
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Copies a library so that whoever looks never sees a part of it, nor anything but what has been proved.
fn copy(from: &Path, to: &Path, sha256: &str) -> io::Result<()> {
    to.parent().into_iter().for_each(sweep);
    let fresh = to.with_file_name(format!(
        ".{}.{}",
        to.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    // For as long as this process is there, it is no leftover.
    flock(&target, FlockOperation::LockExclusive)?;
    let copied = fs::File::open(from)
        .and_then(|mut source| io::copy(&mut source, &mut target))
        .and_then(|_| target.sync_all())
        .and_then(|()| match Library::read(&fresh) {
            Ok(copied) if copied.head.sha256 == sha256 => Ok(()),
            _ => Err(io::Error::other("it has changed while it was copied")),
        })
        .and_then(|()| fs::rename(&fresh, to));
    if copied.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    copied
}
