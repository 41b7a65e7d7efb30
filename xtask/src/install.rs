//! `cargo xtask install`: puts the programs where cargo puts its own, and the connectors where `jackfield connector add`
//! finds them by their names.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    Result,
    run::{cargo, root, run, target},
};

/// The programs that are installed.
const PROGRAMS: [&str; 2] = ["jackfield", "zoom-simulator"];

/// Build jackfield, the Zoom simulator and the connectors, and install them
#[derive(Args)]
pub(crate) struct Install {
    /// Where to: programs into DIR/bin, connectors into DIR/lib/jackfield [default: $CARGO_INSTALL_ROOT, else cargo's home]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Install the debug build, which is there sooner and runs slower
    #[arg(long)]
    debug: bool,
    /// Remove what was installed, instead
    #[arg(long, conflicts_with = "debug")]
    remove: bool,
}

impl Install {
    pub(crate) fn run(self) -> Result {
        let place = match &self.root {
            Some(root) => root.clone(),
            None => usual_place()?,
        };
        let place = std::path::absolute(&place)
            .map_err(|error| format!("{} is no path: {error}", place.display()))?;
        let (bin, lib) = (place.join("bin"), place.join("lib/jackfield"));
        let connectors = connectors()?;
        let files: Vec<(String, &Path)> = PROGRAMS
            .iter()
            .map(|program| ((*program).to_owned(), bin.as_path()))
            .chain(connectors.iter().map(|connector| (format!("lib{connector}.so"), lib.as_path())))
            .collect();
        if self.remove {
            return remove(&files, &lib);
        }
        let built = self.build(&connectors)?;
        for (name, directory) in &files {
            let to = directory.join(name);
            put(&built.join(name), &to).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
            println!("installed {}", to.display());
        }
        let found: Vec<Option<PathBuf>> = PROGRAMS.iter().map(|program| on_path(program)).collect();
        if found.contains(&None) {
            println!("to find them: export PATH=\"{}:$PATH\"", bin.display());
        }
        for other in found.into_iter().flatten().filter(|found| !found.starts_with(&bin)) {
            println!("note: {} comes first in PATH", other.display());
        }
        Ok(())
    }

    /// Builds everything, and gives the directory it lies in.
    fn build(&self, connectors: &[String]) -> Result<PathBuf> {
        if self.debug {
            run(cargo().args(["build", "--workspace"]))?;
            return Ok(target().join("debug"));
        }
        let mut command = cargo();
        command.args(["build", "--release", "--locked"]);
        for program in PROGRAMS {
            command.args(["--package", program]);
        }
        for connector in connectors {
            command.arg("--package").arg(format!("connector-{connector}"));
        }
        run(&mut command)?;
        Ok(target().join("release"))
    }
}

/// Where cargo installs programs: that is on the PATH of whoever has cargo.
fn usual_place() -> Result<PathBuf> {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("CARGO_INSTALL_ROOT")
        .or_else(|| named("CARGO_HOME"))
        .or_else(|| Some(named("HOME")?.join(".cargo")))
        .ok_or_else(|| "nobody says where to: name it with --root DIR".to_owned())
}

/// The connectors of this repository.
fn connectors() -> Result<Vec<String>> {
    let directory = root().join("connectors");
    let entries =
        fs::read_dir(&directory).map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Puts a file in place of whatever is there, also of a program that is running.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let directory = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let fresh = directory.join(format!(".{}.new", to.file_name().unwrap_or_default().to_string_lossy()));
    fs::copy(from, &fresh).and_then(|_| fs::rename(&fresh, to)).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

fn remove(files: &[(String, &Path)], lib: &Path) -> Result {
    for (name, directory) in files {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Ok(()) => println!("removed {}", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot remove {}: {error}", path.display())),
        }
    }
    // It was ours; unless somebody has put something into it, it goes too.
    let _ = fs::remove_dir(lib);
    Ok(())
}

/// The program that a shell would run.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}
