//! The home directory: where everything of one Jackfield lies.
//!
//! It is named by `--home` or `JACKFIELD_HOME` and is `~/.jackfield` otherwise; it is never found by the working directory,
//! which may be somebody else's. Its parts lie side by side, so that whoever may write one of them has no way into another.

use std::{
    fs,
    io::ErrorKind as IoErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use connector_protocol::{Error, ErrorKind, Result};

use crate::system;

/// The environment variable that names the home.
pub const VARIABLE: &str = "JACKFIELD_HOME";

const DIRECTORIES: [&str; 4] = ["plugins", "data", "keys", "logs"];
const CONFIG: &str = "jackfield.toml";
const PINS: &str = "plugins.lock";

/// What a new home's configuration says.
const NEW_CONFIG: &str = r#"# Jackfield's configuration: what you decide about this machine.
# An unknown key is an error. Limits can also be set by the environment: JACKFIELD_LIMITS__DEADLINE_SECONDS=120

# The address that browsers and providers reach this Jackfield at; what it prints begins with it.
#public_url = "http://localhost:8080"

#[server]
# Where it listens, and the reverse proxies that may say for whom they ask.
#listen = "127.0.0.1:8080"
#trusted_proxies = ["127.0.0.1"]

#[limits]
# How long an action may take, in seconds.
#deadline_seconds = 60

#[workers]
# A connector is locked in by the kernel. Where the kernel cannot, "require" runs none, "prefer" runs them with as much
# as there is; "off" runs them with all your rights.
#isolation = "require"
# How much memory it may take, and how much processor time a call.
#memory_mib = 512
#cpu_seconds = 10

# Sends a connector's requests elsewhere, such as to the Zoom simulator. Each address takes the place of a whole base
# address, path and all. Plain http and loopback are allowed here and nowhere else.
#[integrations.zoom.endpoints]
#api = "http://127.0.0.1:4510/v2"
#oauth = "http://127.0.0.1:4510/oauth"
"#;

/// The home directory.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The home that is meant: the one given, else the variable's, else `~/.jackfield`.
    ///
    /// # Errors
    ///
    /// If nothing says where it is.
    pub fn locate(given: Option<PathBuf>) -> Result<Self> {
        let variable = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = given.or_else(variable).or_else(|| Some(std::env::home_dir()?.join(".jackfield")));
        match path {
            Some(path) => Ok(Self { path }),
            None => Err(Error::new(ErrorKind::Config, "nothing says where the home directory is")
                .hint(format!("name it with --home DIR or {VARIABLE}"))),
        }
    }

    /// Makes the home, or what is missing of it. Nothing that is there is changed. True if it was not there at all.
    ///
    /// # Errors
    ///
    /// If a directory or the configuration cannot be written.
    pub fn create(&self) -> Result<bool> {
        let new = !self.path.exists();
        let failed = |path: &Path, error: std::io::Error| {
            Error::new(
                ErrorKind::Config,
                format!("cannot make {}: {}", path.display(), system::words(&error)),
            )
        };
        // Only the owner has any business here: keys and data lie below.
        let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(&self.path).map_err(|error| failed(&self.path, error))?;
        for name in DIRECTORIES {
            let path = self.path.join(name);
            make(&path).map_err(|error| failed(&path, error))?;
        }
        let config = self.config();
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config) {
            Ok(mut file) => {
                std::io::Write::write_all(&mut file, NEW_CONFIG.as_bytes())
                    .map_err(|error| failed(&config, error))?;
            }
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&config, error)),
        }
        Ok(new)
    }

    /// Fails unless the home has been made.
    ///
    /// # Errors
    ///
    /// Says how to make it.
    pub fn must_exist(&self) -> Result<()> {
        if self.plugins().is_dir() {
            return Ok(());
        }
        let text = match self.path.exists() {
            false => format!("there is no home at {}", self.path.display()),
            true => format!("{} is not a home: it has no directory `plugins`", self.path.display()),
        };
        // Where it is looked for anyway need not be said.
        let is_default = Self::locate(None).is_ok_and(|home| home.path == self.path);
        let flag = if is_default { String::new() } else { format!("--home {} ", self.path.display()) };
        Err(Error::new(ErrorKind::Config, text).hint(format!("make one: jackfield {flag}init")))
    }

    /// What belongs to a home and is not there.
    #[must_use]
    pub fn missing(&self) -> Vec<PathBuf> {
        let directories = DIRECTORIES.iter().map(|name| self.path.join(name)).filter(|path| !path.is_dir());
        directories.chain(Some(self.config()).filter(|path| !path.is_file())).collect()
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where connector libraries are dropped.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.path.join("plugins")
    }

    /// What Jackfield itself writes to, beside which the plugins have to lie.
    #[must_use]
    pub fn written(&self) -> Vec<PathBuf> {
        let written = DIRECTORIES.iter().filter(|name| **name != "plugins");
        written.map(|name| self.path.join(name)).collect()
    }

    /// Where is pinned which libraries may be used, if any are.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.path.join(PINS)
    }

    /// Where logs are written.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// What Jackfield itself keeps.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Where is kept which workers died.
    #[must_use]
    pub fn deaths(&self) -> PathBuf {
        self.data().join("deaths.json")
    }

    /// Where is kept which webhook requests were refused, while nobody serves.
    #[must_use]
    pub fn refused(&self) -> PathBuf {
        self.data().join("refused.json")
    }

    /// The file of the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("data/jackfield.db")
    }

    /// Where is kept what was read of the libraries.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.path.join("data/plugins.json")
    }

    /// The socket of the Jackfield that serves this home.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("data/jackfield.sock")
    }

    /// The file that whoever serves this home holds.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("data/jackfield.lock")
    }

    /// The keys that open what the store has sealed.
    #[must_use]
    pub fn vault_keys(&self) -> PathBuf {
        self.path.join("keys/vault.keys")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_new_home_is_the_owners_alone_and_its_configuration_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().join("home"))).unwrap();
        assert!(home.must_exist().unwrap_err().hint.unwrap().contains("init"));
        assert!(home.create().unwrap());
        assert!(!home.create().unwrap(), "a second time nothing is made");
        home.must_exist().unwrap();
        for path in [home.path().to_owned(), home.plugins(), home.logs()] {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o700,
                "{}",
                path.display()
            );
        }
        Config::load(&home).unwrap();
    }

    #[test]
    fn what_the_new_configuration_suggests_is_valid() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().to_owned())).unwrap();
        home.create().unwrap();
        let suggested: String = NEW_CONFIG
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(home.config(), suggested).unwrap();
        let config = Config::load(&home).unwrap();
        assert_eq!(config.integration("zoom").endpoints["api"].as_str(), "http://127.0.0.1:4510/v2");
    }
}
