//! `plugins.lock`: which libraries may be used, by version and digest.
//!
//! Without the file nothing is pinned. With it, whatever is not in it is refused; with one that cannot be read, everything is.

use std::{collections::BTreeMap, fs, io::Write, os::unix::fs::OpenOptionsExt};

use connector_protocol::{Error, ErrorKind, Result};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{
    library::{Library, Unfit},
    trust::Judge,
};
use crate::{home::Home, system};

/// How large the file may be, in bytes: ten thousand pins are below.
const MAX_LEN: u64 = 2 * 1024 * 1024;

const ABOUT: &str = "# Which libraries Jackfield may use. Made by `jackfield connector lock`.\n\n";

/// What a library has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The connector's version.
    pub version: String,
    /// The SHA-256 of the file, in hex.
    pub sha256: String,
}

impl Pin {
    /// What this library is.
    #[must_use]
    pub fn of(library: &Library) -> Self {
        Self { version: library.head.version.clone(), sha256: library.head.sha256.clone() }
    }

    /// In few words: `0.1.0, sha256 0123456789ab`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}, sha256 {}", self.version, self.sha256.get(..12).unwrap_or_default())
    }
}

/// What is pinned in a home, by the connector's id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(pub BTreeMap<String, Pin>);

impl Pins {
    /// What is pinned in this home; `None` if nothing has to be.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or if somebody else can write it.
    pub fn load(home: &Home) -> Result<Option<Self>> {
        Self::read(home, &Judge::default()).map_err(|unfit| unfit.at(&home.pins()).into())
    }

    pub(super) fn read(home: &Home, judge: &Judge) -> Result<Option<Self>, Unfit> {
        let Some(text) = judge.text(&home.pins(), MAX_LEN)? else { return Ok(None) };
        let pins = Self::parse(&text).map_err(|what| {
            Unfit::new(format!("cannot be read: {what}"))
                .hint("pin anew what is there: jackfield connector lock --off && jackfield connector lock")
        })?;
        Ok(Some(pins))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|_| "it is not TOML".to_owned())?;
        let mut pins = BTreeMap::new();
        for (key, item) in document.iter() {
            let tables = item.as_array_of_tables().filter(|_| key == "plugin");
            for table in tables.ok_or_else(|| format!("`{}` is no [[plugin]]", key.escape_debug()))? {
                let (id, pin) = pin(table)?;
                if pins.insert(id.clone(), pin).is_some() {
                    return Err(format!("`{}` is pinned twice", id.escape_debug()));
                }
            }
        }
        Ok(Self(pins))
    }

    /// Writes it down: the file is the old one or the new one, never a part.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, home: &Home) -> Result<()> {
        let path = home.pins();
        let fresh = path.with_extension(format!("lock.{}", std::process::id()));
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(system::cannot("write", &path))
    }

    fn text(&self) -> String {
        let mut plugins = ArrayOfTables::new();
        for (id, pin) in &self.0 {
            let mut table = Table::new();
            table["id"] = value(id);
            table["version"] = value(&pin.version);
            table["sha256"] = value(&pin.sha256);
            plugins.push(table);
        }
        let mut document = DocumentMut::new();
        document["plugin"] = Item::ArrayOfTables(plugins);
        format!("{ABOUT}{document}")
    }

    /// Takes the file away. False if there was none.
    ///
    /// # Errors
    ///
    /// If it cannot be taken away.
    pub fn remove(home: &Home) -> Result<bool> {
        let path = home.pins();
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(system::cannot("remove", &path)(error)),
        }
    }

    /// Whether a library is what is pinned.
    pub(super) fn check(&self, library: &Library) -> Result<(), Unfit> {
        let (id, is) = (library.id(), Pin::of(library));
        let reason = match self.0.get(id) {
            Some(pin) if *pin == is => return Ok(()),
            Some(pin) => {
                format!(
                    "is not what is pinned: plugins.lock has {id} {}; this is {}",
                    pin.short(),
                    is.short()
                )
            }
            None => format!("is not pinned: plugins.lock has no {id}; this is {}", is.short()),
        };
        Err(Unfit {
            id: Some(id.to_owned()),
            ..Unfit::new(reason).hint(format!("if you mean this file: jackfield connector lock {id}"))
        })
    }
}

/// A pin as it stands in the file, and nothing beside it.
fn pin(table: &Table) -> Result<(String, Pin), String> {
    let members = ["id", "version", "sha256"];
    if let Some((other, _)) = table.iter().find(|(key, _)| !members.contains(key)) {
        return Err(format!("`{}` is no member of a [[plugin]]", other.escape_debug()));
    }
    let text = |key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
    let [Some(id), Some(version), Some(sha256)] = members.map(text) else {
        return Err("a [[plugin]] has an id, a version and a sha256, each a text".to_owned());
    };
    let is_digest =
        sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest {
        return Err(format!("the sha256 of `{}` is none", id.escape_debug()));
    }
    Ok((id, Pin { version, sha256 }))
}

/// The error of what cannot be done while libraries are pinned.
#[must_use]
pub fn in_force(what: &str) -> Error {
    Error::new(ErrorKind::PluginRefused, format!("plugins.lock is in force: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(of: &[(&str, char)]) -> Pins {
        let pin = |digit: char| Pin { version: "0.1.0".to_owned(), sha256: digit.to_string().repeat(64) };
        Pins(of.iter().map(|(id, digit)| ((*id).to_owned(), pin(*digit))).collect())
    }

    #[test]
    fn what_is_written_is_read_again() {
        for pins in [pins(&[]), pins(&[("zebra", 'a'), ("ant", '0')])] {
            assert_eq!(Pins::parse(&pins.text()), Ok(pins));
        }
        let text = pins(&[("zebra", 'a'), ("ant", '0')]).text();
        assert!(text.find("ant") < text.find("zebra"), "sorted: {text}");
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        let digest = "a".repeat(64);
        let good = format!("[[plugin]]\nid = \"x\"\nversion = \"1.0.0\"\nsha256 = \"{digest}\"\n");
        assert!(Pins::parse(&good).is_ok());
        for (text, what) in [
            ("id =".to_owned(), "it is not TOML"),
            ("[plugin]\nid = \"x\"".to_owned(), "`plugin` is no [[plugin]]"),
            (format!("trust = 1\n{good}"), "`trust` is no [[plugin]]"),
            (format!("{good}{good}"), "`x` is pinned twice"),
            (format!("{good}path = \"y\""), "`path` is no member of a [[plugin]]"),
            (good.replace("version", "#"), "a [[plugin]] has an id, a version and a sha256, each a text"),
            (good.replace("aa", "AA"), "the sha256 of `x` is none"),
            (good.replace("aaa", ""), "the sha256 of `x` is none"),
        ] {
            assert_eq!(Pins::parse(&text), Err(what.to_owned()), "{text}");
        }
    }
}
