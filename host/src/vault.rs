//! The vault: secrets sealed so that the store may lie anywhere, and the file of master keys that opens them.
//!
//! Each owner's secrets have a data key of their own, and a master key wraps it. Ciphertexts are bound to project, owner, name
//! and master key, so that one that was moved to another place opens nowhere. The master keys lie in a file beside the store and
//! never in it. A key is made only while nothing is sealed: a new one in place of a lost one would hide what was lost.
//!
//! It knows no SQL, no provider and no OAuth: it is given names and values, and gives back text that anybody may see. Keys and
//! plaintexts are wiped when they are done with; what the cipher makes of a key lies in memory of its own, which is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind as IoErrorKind, Read, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest, rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{Error, ErrorKind, Result};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::system;

const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// How large the file of keys may be, in bytes: more than a hundred keys.
const MAX_LEN: usize = 16 * 1024;
/// How often somebody else's lock is looked at, and after how long each time.
const LOCK_TRIES: u32 = 400;
const LOCK_WAIT: Duration = Duration::from_millis(5);

const ABOUT: &str = "\
# Jackfield's master keys. Without them nothing opens that this home has sealed: keep a copy of this file, apart from the
# backups of the store. The last one seals; the others open what was sealed before.
";

/// A master key.
struct Key {
    id: String,
    bytes: Zeroizing<[u8; KEY_LEN]>,
    /// The same key, ready for use: making it so takes longer than opening with it.
    cipher: RandomizedNonceKey,
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Result<Self> {
        Ok(Self { id: id_of(&bytes), cipher: cipher(&bytes)?, bytes })
    }

    fn fresh() -> Result<Self> {
        Self::new(random_key()?)
    }

    fn line(&self) -> Zeroizing<String> {
        // As large as it gets, so that it is never moved and left behind.
        let mut line = Zeroizing::new(String::with_capacity(self.id.len() + 2 + KEY_LEN * 2));
        line.push_str(&self.id);
        line.push(' ');
        STANDARD.encode_string(&self.bytes[..], &mut line);
        line.push('\n');
        line
    }
}

/// The master keys of a home, as its file has them. The last one is the current one, with which is sealed.
pub struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// Reads the keys, unless there is no file.
    ///
    /// # Errors
    ///
    /// If others than its owner may touch the file, if it belongs to somebody else, or if a key is not the one that its id
    /// says.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        Ok(Loaded::read(path)?.map(|(loaded, _)| loaded.keyring))
    }

    /// Makes the file with its first key.
    ///
    /// # Errors
    ///
    /// If there is one: it is never overwritten. If it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_if_none(path)?.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{} is there already", path.display()))
                .hint("a file of keys is never overwritten: use the one that is there")
        })
    }

    /// As [`Self::create`], and `None` if there is a file.
    fn create_if_none(path: &Path) -> Result<Option<Self>> {
        let failed = system::cannot("write", path);
        let _lock = lock(path)?;
        let key = Key::fresh()?;
        let line = key.line();
        let mut text = Zeroizing::new(String::with_capacity(ABOUT.len() + line.len()));
        text.push_str(ABOUT);
        text.push_str(&line);
        let fresh = write_beside(path, &text).map_err(failed)?;
        // A link takes nobody's place, which renaming would.
        let linked = fs::hard_link(&fresh, path);
        let _ = fs::remove_file(&fresh);
        match linked {
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => return Ok(None),
            linked => linked.and_then(|()| sync_directory(path)).map_err(failed)?,
        }
        Ok(Some(Self { keys: vec![key] }))
    }

    /// The id of the key with which is sealed.
    #[must_use]
    pub fn current_id(&self) -> &str {
        // A keyring without a key is never made.
        self.keys.last().map_or("", |key| &key.id)
    }

    /// Whether a key is there.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// The ids of all keys, the current one last.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Adds a key to the file and makes it the current one. What others have added meanwhile stays. Gives its id.
    ///
    /// # Errors
    ///
    /// If there is no file, or if it cannot be read or written.
    pub fn add_new(&mut self, path: &Path) -> Result<String> {
        *self = append(path)?;
        Ok(self.current_id().to_owned())
    }

    /// Takes a key out of the file. What is sealed with it opens no more.
    ///
    /// # Errors
    ///
    /// If it is the current one, if there is none of that id, or if the file cannot be read or written.
    pub fn remove(&mut self, path: &Path, id: &str) -> Result<()> {
        *self = take_out(path, id)?;
        Ok(())
    }

    fn get(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    fn current(&self) -> Result<&Key> {
        self.keys.last().ok_or_else(|| Error::new(ErrorKind::Internal, "a keyring without keys"))
    }
}

/// Keys, and of which file they were read.
struct Loaded {
    identity: Identity,
    keyring: Keyring,
}

impl Loaded {
    /// Reads a file of keys, and gives its text too.
    fn read(path: &Path) -> Result<Option<(Self, Zeroizing<String>)>> {
        let failed = system::cannot("read", path);
        // It may be a link, to a place where keys are kept. What would keep whoever opens it waiting is no file of keys.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.cast_signed());
        let mut file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => return no_file(path).map_err(failed),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        must_be_owners_alone(path, &metadata)?;
        let text = read_text(&mut file).map_err(failed)?;
        let keyring = parse(&text, path)?;
        Ok(Some((Self { identity: Identity::of(&metadata), keyring }, text)))
    }
}

/// A link to nowhere is a file that is not there now, as where its disk is not mounted; it is not a home without keys.
fn no_file<T>(path: &Path) -> io::Result<Option<T>> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(io::Error::other("it is a link to a place where nothing is")),
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn must_be_owners_alone(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let refused = |what: String| Error::new(ErrorKind::Config, format!("{} {what}", path.display()));
    let (me, owner, mode) = (geteuid().as_raw(), metadata.uid(), metadata.mode() & 0o7777);
    if !metadata.is_file() {
        return Err(refused("is not a regular file".to_owned()).hint("put the file of keys there"));
    }
    if owner != me && owner != 0 {
        let text = format!("belongs to user {owner}; it has to belong to user {me} or to root");
        return Err(refused(text).hint(format!("make it yours: sudo chown {me} {}", path.display())));
    }
    // The rights of an access control list are covered too: the group's bits are the most that it gives.
    if mode & 0o077 != 0 {
        let text =
            format!("has mode {mode:03o}, so others than its owner may use it; keys are the owner's alone");
        return Err(refused(text).hint(format!("close it: chmod 600 {}", path.display())));
    }
    Ok(())
}

fn read_text(file: &mut File) -> io::Result<Zeroizing<String>> {
    // Never larger than this from the start, so that no copy is left behind when it grows.
    let mut bytes = Zeroizing::new(vec![0; MAX_LEN + 1]);
    let mut len = 0;
    loop {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if len > MAX_LEN {
        return Err(io::Error::other(format!("it has more than {MAX_LEN} bytes")));
    }
    let text = std::str::from_utf8(&bytes[..len]).map_err(|_| io::Error::other("it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What the text says. No error repeats what stands in it, but for an id.
fn parse(text: &str, path: &Path) -> Result<Keyring> {
    let wrong = |what: String| {
        Error::new(ErrorKind::Config, what)
            .hint("put the file back as it was, from where you keep a copy of it")
    };
    let path = path.display();
    let mut keys: Vec<Key> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(id), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong(format!("line {number} of {path} is not an id and a key")));
        };
        if !is_id(id) {
            return Err(wrong(format!("line {number} of {path} does not begin with the id of a key")));
        }
        let Some(bytes) = decode_key(encoded) else {
            return Err(wrong(format!("what stands at {id} in {path} is not a key")));
        };
        if id_of(&bytes) != id {
            return Err(wrong(format!("the key {id} in {path} is not the one that had this id")));
        }
        if keys.iter().any(|known| known.id == id) {
            return Err(wrong(format!("{id} stands twice in {path}")));
        }
        keys.push(Key::new(bytes)?);
    }
    if keys.is_empty() {
        return Err(wrong(format!("{path} has no key")));
    }
    Ok(Keyring { keys })
}

fn decode_key(encoded: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut decoded = Zeroizing::new([0; KEY_LEN + 4]);
    let len = STANDARD.decode_slice(encoded, &mut decoded[..]).ok()?;
    let bytes: &[u8; KEY_LEN] = decoded[..len].try_into().ok()?;
    Some(Zeroizing::new(*bytes))
}

/// What a key is called: the same key has the same name everywhere, and another key another one.
fn id_of(bytes: &[u8; KEY_LEN]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"jackfield vault key id");
    context.update(bytes);
    let digest = context.finish();
    digest.as_ref().iter().take(8).fold("key_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("key_").is_some_and(|digits| digits.len() == 16 && digits.bytes().all(is_digit))
}

/// Holds whoever else would change the file, until it is dropped: a key that one of two writes away is lost with all that it
/// has sealed.
fn lock(path: &Path) -> Result<File> {
    let failed = system::cannot("lock the directory of", path);
    let directory = File::open(directory_of(path)).map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::AGAIN) => std::thread::sleep(LOCK_WAIT),
            Err(error) => return Err(failed(error.into())),
        }
    }
    Err(failed(io::Error::other("somebody else holds it")))
}

/// Changes the file: it is the old one or the new one, never a part.
fn change(path: &Path, edit: impl FnOnce(&str, &mut Zeroizing<String>) -> Result<()>) -> Result<Keyring> {
    let failed = system::cannot("write", path);
    // What a link leads to is changed, not the link.
    let path = &path.canonicalize().map_err(failed)?;
    let _lock = lock(path)?;
    let (_, text) = Loaded::read(path)?.ok_or_else(|| failed(IoErrorKind::NotFound.into()))?;
    let mut fresh = Zeroizing::new(String::with_capacity(text.len() + 128));
    edit(&text, &mut fresh)?;
    if fresh.len() > MAX_LEN {
        return Err(failed(io::Error::other(format!("it would have more than {MAX_LEN} bytes"))));
    }
    // What could not be read again is not put in the place of what can.
    let keyring = parse(&fresh, path)?;
    let beside = write_beside(path, &fresh).map_err(failed)?;
    fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside))).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    Ok(keyring)
}

/// Puts a fresh key behind the others.
fn append(path: &Path) -> Result<Keyring> {
    let line = Key::fresh()?.line();
    change(path, |text, fresh| {
        fresh.push_str(text);
        if !text.ends_with('\n') {
            fresh.push('\n');
        }
        fresh.push_str(&line);
        Ok(())
    })
}

fn take_out(path: &Path, id: &str) -> Result<Keyring> {
    change(path, |text, fresh| {
        let there = parse(text, path)?;
        if there.current_id() == id {
            let text = format!("{id} is the current key and stays");
            return Err(Error::new(ErrorKind::Refused, text).hint("add another one first"));
        }
        if !there.has(id) {
            let text = format!("{} has no {id}", path.display());
            return Err(Error::new(ErrorKind::Unknown, text).hint(format!("it has {}", words(there.ids()))));
        }
        for line in text.lines().filter(|line| line.split_whitespace().next() != Some(id)) {
            fresh.push_str(line);
            fresh.push('\n');
        }
        Ok(())
    })
}

/// Writes a file beside this one, onto the disk. Whoever does so holds the lock, and what was left there by a process that was
/// killed is gone.
fn write_beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != IoErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside)))?;
    Ok(beside)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn words<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.collect::<Vec<_>>().join(", ")
}

/// By what a file is told from another one that took its place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whose secrets they are. They open for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The project that the owner belongs to.
    pub project: &'a str,
    /// The id of what has the secrets: a connection, an integration, a link.
    pub id: &'a str,
}

/// Secrets of one owner, sealed. It holds ciphertext and names, and may be stored and printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The id of the master key.
    pub key: String,
    /// The data key, sealed by the master key; base64.
    pub wrapped: String,
    /// What each name stands for, sealed by the data key; base64.
    pub fields: BTreeMap<String, String>,
}

/// Seals and opens with the keys of one file, which may change under it.
pub struct Vault {
    path: PathBuf,
    loaded: RwLock<Option<Arc<Loaded>>>,
    /// The owners of which has been said already that their secrets do not open.
    alarmed: Mutex<BTreeSet<String>>,
}

impl Vault {
    /// The vault whose keys lie in this file. Nothing is read yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), loaded: RwLock::default(), alarmed: Mutex::default() }
    }

    /// Makes sure that everything that is sealed can be opened, before anything is done. `used` are the keys of the envelopes
    /// that exist. A key is made if there are none and no file either.
    ///
    /// # Errors
    ///
    /// If a key is not there, or is not the one that it was. None is made in its place.
    pub fn must_fit(&self, used: &[String]) -> Result<()> {
        let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
        let Some(loaded) = self.look()? else {
            if !used.is_empty() {
                let text = format!(
                    "there is no {}, and secrets of this home are sealed with {}",
                    self.path.display(),
                    words(used.into_iter())
                );
                return Err(Error::new(ErrorKind::Config, text).hint(PUT_BACK));
            }
            // If somebody else was faster, theirs is as good.
            Keyring::create_if_none(&self.path)?;
            return self.loaded().map(drop);
        };
        let missing: Vec<&str> = used.into_iter().filter(|id| !loaded.keyring.has(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} does not have {}, with which secrets of this home are sealed",
            self.path.display(),
            words(missing.into_iter())
        );
        Err(Error::new(ErrorKind::Config, text).hint(PUT_BACK))
    }

    /// The id of the key with which is sealed now.
    ///
    /// # Errors
    ///
    /// If the keys cannot be read.
    pub fn current_id(&self) -> Result<String> {
        Ok(self.loaded()?.keyring.current_id().to_owned())
    }

    /// The ids of all keys, the current one last.
    ///
    /// # Errors
    ///
    /// If the keys cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        Ok(self.loaded()?.keyring.ids().map(str::to_owned).collect())
    }

    /// Adds a key, with which is sealed from now on, here and in every other process. Gives its id.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or if there is none.
    pub fn add_key(&self) -> Result<String> {
        // It has to be a good file before it is changed.
        self.loaded()?;
        Ok(append(&self.path)?.current_id().to_owned())
    }

    /// Takes a key away that nothing is sealed with any more. `used` are the keys of the envelopes that exist.
    ///
    /// # Errors
    ///
    /// If something is sealed with it, if it is the current one, or if the file cannot be read or written.
    pub fn remove_key(&self, id: &str, used: &[String]) -> Result<()> {
        if used.iter().any(|used| used == id) {
            let text = format!("secrets of this home are sealed with {id}, so it stays");
            return Err(Error::new(ErrorKind::Refused, text).hint("seal them anew first"));
        }
        take_out(&self.path, id).map(drop)
    }

    /// Seals secrets with a data key of their own.
    ///
    /// # Errors
    ///
    /// If the keys cannot be read, or if there is no chance to be had.
    pub fn seal(&self, owner: Owner<'_>, secrets: &BTreeMap<String, SecretString>) -> Result<Envelope> {
        let loaded = self.loaded()?;
        let master = loaded.keyring.current()?;
        let key = random_key()?;
        let data = cipher(&key)?;
        let mut fields = BTreeMap::new();
        for (name, secret) in secrets {
            let aad = aad(owner, name, &master.id);
            fields.insert(name.clone(), sealed(&data, &aad, secret.expose_secret().as_bytes())?);
        }
        let wrapped = sealed(&master.cipher, &aad(owner, DATA_KEY, &master.id), &key[..])?;
        // Whoever has new secrets may fail anew.
        self.alarmed.lock().unwrap_or_else(PoisonError::into_inner).remove(owner.id);
        Ok(Envelope { key: master.id.clone(), wrapped, fields })
    }

    /// Opens all secrets of an envelope.
    ///
    /// # Errors
    ///
    /// If the master key is not there, or if anything of the envelope is not what was sealed for this owner.
    pub fn open(&self, owner: Owner<'_>, envelope: &Envelope) -> Result<BTreeMap<String, SecretString>> {
        let data = self.data_key(owner, envelope)?;
        let mut secrets = BTreeMap::new();
        for (name, text) in &envelope.fields {
            secrets.insert(name.clone(), self.secret(owner, envelope, &data, name, text)?);
        }
        Ok(secrets)
    }

    /// Opens one secret of an envelope, if it has one of that name.
    ///
    /// # Errors
    ///
    /// If the master key is not there, or if this secret is not what was sealed for this owner.
    pub fn open_one(
        &self,
        owner: Owner<'_>,
        envelope: &Envelope,
        field: &str,
    ) -> Result<Option<SecretString>> {
        self.names_a_key(owner, envelope)?;
        let Some(text) = envelope.fields.get(field) else { return Ok(None) };
        let data = self.data_key(owner, envelope)?;
        self.secret(owner, envelope, &data, field, text).map(Some)
    }

    /// The same secrets under the current key, with another data key. `None` if they are under it already.
    ///
    /// # Errors
    ///
    /// If they cannot be opened, or not sealed.
    pub fn reseal(&self, owner: Owner<'_>, envelope: &Envelope) -> Result<Option<Envelope>> {
        if self.loaded()?.keyring.current_id() == envelope.key {
            return Ok(None);
        }
        self.seal(owner, &self.open(owner, envelope)?).map(Some)
    }

    /// Fails for what was made something else in the store: no key could be put back with which it opens.
    fn names_a_key(&self, owner: Owner<'_>, envelope: &Envelope) -> Result<()> {
        if is_id(&envelope.key) { Ok(()) } else { Err(self.cannot_open(owner, "what names its key")) }
    }

    fn data_key(&self, owner: Owner<'_>, envelope: &Envelope) -> Result<RandomizedNonceKey> {
        let loaded = self.loaded()?;
        self.names_a_key(owner, envelope)?;
        let Some(master) = loaded.keyring.get(&envelope.key) else {
            let key = &envelope.key;
            let text = format!(
                "{} does not have {key}, with which the secrets of {} are sealed",
                self.path.display(),
                owner.id
            );
            return Err(Error::new(ErrorKind::Config, text).hint(PUT_BACK));
        };
        let aad = aad(owner, DATA_KEY, &envelope.key);
        let failed = || self.cannot_open(owner, "the key that they are sealed with");
        let bytes = unsealed(&master.cipher, &aad, &envelope.wrapped).ok_or_else(failed)?;
        let key: &[u8; KEY_LEN] = bytes.plaintext().try_into().map_err(|_| failed())?;
        cipher(key)
    }

    fn secret(
        &self,
        owner: Owner<'_>,
        envelope: &Envelope,
        data: &RandomizedNonceKey,
        name: &str,
        text: &str,
    ) -> Result<SecretString> {
        let opened = unsealed(data, &aad(owner, name, &envelope.key), text);
        opened
            .as_ref()
            .and_then(|opened| std::str::from_utf8(opened.plaintext()).ok())
            .map(SecretString::from)
            .ok_or_else(|| self.cannot_open(owner, &format!("`{}`", name.escape_debug())))
    }

    /// Says once for each owner that their secrets do not open: whoever tries again and again should not fill the log.
    fn cannot_open(&self, owner: Owner<'_>, what: &str) -> Error {
        let id = owner.id;
        let text = format!(
            "the secrets of {id} cannot be opened: {what} is not what was sealed for it; it alone is affected"
        );
        if self.alarmed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned()) {
            tracing::error!(owner = id, project = owner.project, "{text}");
        }
        Error::new(ErrorKind::Internal, text).hint(
            "the store was changed or damaged there: set it up anew, or bring back a backup of the store",
        )
    }

    fn loaded(&self) -> Result<Arc<Loaded>> {
        self.look()?.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("there is no {}", self.path.display())).hint(PUT_BACK)
        })
    }

    /// The keys as the file has them now: it is read again when it has changed, since another process may have.
    fn look(&self) -> Result<Option<Arc<Loaded>>> {
        let identity = fs::metadata(&self.path).ok().map(|metadata| Identity::of(&metadata));
        let known = self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && Some(known.identity) == identity
        {
            return Ok(Some(known));
        }
        let loaded = Loaded::read(&self.path)?.map(|(loaded, _)| Arc::new(loaded));
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).clone_from(&loaded);
        Ok(loaded)
    }
}

/// What to do about keys that are not there.
const PUT_BACK: &str =
    "put the file of keys back from where you keep a copy of it: it is not part of a backup of the store";

/// The name under which a data key is sealed. Master keys seal nothing else, so no field is mistaken for it.
const DATA_KEY: &str = "data-key";

/// What a ciphertext is bound to. Each part has its length before it, so that no two lists make the same bytes.
fn aad(owner: Owner<'_>, name: &str, key: &str) -> Aad<Vec<u8>> {
    let parts = [owner.project, owner.id, name, key];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    Aad::from(bytes)
}

fn random_key() -> Result<Zeroizing<[u8; KEY_LEN]>> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    rand::fill(&mut bytes[..])
        .map_err(|_| Error::new(ErrorKind::Internal, "no random bytes are to be had"))?;
    Ok(bytes)
}

fn cipher(bytes: &[u8; KEY_LEN]) -> Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "a key cannot be made ready for use"))
}

/// Nonce, ciphertext and tag, in base64.
fn sealed(key: &RandomizedNonceKey, aad: &Aad<Vec<u8>>, plaintext: &[u8]) -> Result<String> {
    // Never moved, so that no plaintext is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(NONCE_LEN + plaintext.len() + TAG_LEN));
    bytes.resize(NONCE_LEN, 0);
    bytes.extend_from_slice(plaintext);
    let (nonce, tag) = key
        .seal_in_place_separate_tag(Aad::from(aad.as_ref()), &mut bytes[NONCE_LEN..])
        .map_err(|_| Error::new(ErrorKind::Internal, "a secret cannot be sealed"))?;
    bytes[..NONCE_LEN].copy_from_slice(nonce.as_ref());
    bytes.extend_from_slice(tag.as_ref());
    Ok(STANDARD.encode(&bytes[..]))
}

/// What was opened, in the buffer in which it was sealed.
struct Opened {
    bytes: Zeroizing<Vec<u8>>,
}

impl Opened {
    fn plaintext(&self) -> &[u8] {
        &self.bytes[NONCE_LEN..self.bytes.len() - TAG_LEN]
    }
}

fn unsealed(key: &RandomizedNonceKey, aad: &Aad<Vec<u8>>, text: &str) -> Option<Opened> {
    let mut bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
    if rest.len() < TAG_LEN {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    key.open_in_place(nonce, Aad::from(aad.as_ref()), rest).ok()?;
    Some(Opened { bytes })
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Debug,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use proptest::prelude::*;

    use super::*;

    /// Does not compile if the type is what it must not be: then two implementations fit.
    macro_rules! is_not {
        ($type:ty: $trait:path) => {
            const _: fn() = || {
                trait Either<A> {
                    fn meant() {}
                }
                struct Wrong;
                impl<T: ?Sized> Either<()> for T {}
                impl<T: ?Sized + $trait> Either<Wrong> for T {}
                let _ = <$type as Either<_>>::meant;
            };
        };
    }

    is_not!(Key: Debug);
    is_not!(Keyring: Debug);
    is_not!(Loaded: Debug);
    is_not!(Vault: Debug);
    is_not!(Opened: Debug);
    is_not!(Key: Serialize);
    is_not!(Keyring: Serialize);
    is_not!(Vault: Serialize);
    is_not!(Opened: Serialize);
    is_not!(Keyring: Clone);

    const ANNA: Owner<'static> = Owner { project: "default", id: "conn_anna" };
    const CANARY: &str = "canary-5f0c-access";

    struct Place {
        _dir: tempfile::TempDir,
        path: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("vault.keys");
            Self { _dir: dir, path }
        }

        fn vault(&self) -> Vault {
            Vault::at(&self.path)
        }

        fn ready() -> (Self, Vault) {
            let place = Self::new();
            let vault = place.vault();
            vault.must_fit(&[]).unwrap();
            (place, vault)
        }

        fn text(&self) -> String {
            fs::read_to_string(&self.path).unwrap()
        }

        fn write(&self, text: &str) {
            fs::write(&self.path, text).unwrap();
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path.parent().unwrap()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    fn secrets() -> BTreeMap<String, SecretString> {
        [("access_token", CANARY), ("refresh_token", "canary-5f0c-refresh"), ("empty", "")]
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .into()
    }

    fn exposed(secrets: &BTreeMap<String, SecretString>) -> BTreeMap<String, String> {
        secrets.iter().map(|(name, secret)| (name.clone(), secret.expose_secret().to_owned())).collect()
    }

    fn opens(vault: &Vault, owner: Owner<'_>, envelope: &Envelope) -> bool {
        vault.open(owner, envelope).is_ok()
    }

    /// The text of a key, of which nothing may be said.
    fn key_text(line: &str) -> &str {
        line.split_whitespace().nth(1).unwrap()
    }

    fn says_no_key(error: &Error, text: &str) {
        let said = serde_json::to_string(error).unwrap();
        for key in text.lines().filter_map(|line| line.split_whitespace().nth(1)).filter(|key| key.len() > 20)
        {
            assert!(!said.contains(key), "{said}");
        }
    }

    #[test]
    fn what_was_sealed_opens_whole_and_by_name() {
        let (_place, vault) = Place::ready();
        let envelope = vault.seal(ANNA, &secrets()).unwrap();
        assert_eq!(exposed(&vault.open(ANNA, &envelope).unwrap()), exposed(&secrets()));
        let one = vault.open_one(ANNA, &envelope, "access_token").unwrap().unwrap();
        assert_eq!(one.expose_secret(), CANARY);
        assert!(vault.open_one(ANNA, &envelope, "password").unwrap().is_none());
        assert_eq!(envelope.key, vault.current_id().unwrap());

        let text = serde_json::to_string(&envelope).unwrap();
        assert!(!text.contains("canary") && !format!("{envelope:?}").contains("canary"));
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);

        let again = vault.seal(ANNA, &secrets()).unwrap();
        assert_ne!(again.wrapped, envelope.wrapped);
        assert_ne!(again.fields, envelope.fields);
        // Each has a data key of its own: a field of one does not open in the other.
        let mut mixed = again;
        mixed.fields.insert("access_token".to_owned(), envelope.fields["access_token"].clone());
        assert!(!opens(&vault, ANNA, &mixed));
    }

    #[test]
    fn the_file_of_keys_is_its_owners_alone_and_holds_one_key() {
        let (place, vault) = Place::ready();
        assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(place.names(), ["vault.keys"]);
        assert_eq!(vault.ids().unwrap(), [vault.current_id().unwrap()]);
        let text = place.text();
        let line = text.lines().last().unwrap();
        assert_eq!(line.split_whitespace().next().unwrap(), vault.current_id().unwrap());
        assert_eq!(STANDARD.decode(key_text(line)).unwrap().len(), KEY_LEN);

        let before = text;
        let Err(error) = Keyring::create(&place.path) else { panic!("it was overwritten") };
        assert_eq!(error.kind, ErrorKind::Config);
        vault.must_fit(&[]).unwrap();
        vault.must_fit(&[vault.current_id().unwrap()]).unwrap();
        assert_eq!(place.text(), before);
        assert_eq!(place.names(), ["vault.keys"]);
    }

    #[test]
    fn a_key_has_the_same_id_for_ever() {
        // Made with another program: whoever changes how ids are made takes the keys away from every home.
        let bytes: [u8; KEY_LEN] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        assert_eq!(id_of(&bytes), "key_ea93c4208df55ef3");
    }

    #[test]
    fn what_was_sealed_by_this_version_opens_for_ever() {
        let place = Place::new();
        place.write("key_ea93c4208df55ef3 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        let envelope: Envelope = serde_json::from_str(SEALED).unwrap();
        let opened = place.vault().open(ANNA, &envelope).unwrap();
        assert_eq!(exposed(&opened), [("access_token".to_owned(), CANARY.to_owned())].into());
    }

    const SEALED: &str = r#"{"key": "key_ea93c4208df55ef3", "wrapped": "AAECAwQFBgcICQoLI2ewfK2MqHDhLPnkwZgKHvej8UOIAiUHRBqb+p3ogjH3QSJLMns4vVixBfDso98u", "fields": {"access_token": "DA0ODxAREhMUFRYX9z77FPquyBp2ubZTmS1tRDQbtzU6OjgI5JZt38nP9ulh8A=="}}"#;

    #[test]
    fn fault_49_a_file_that_others_may_use_is_refused() {
        for mode in [0o644, 0o640, 0o660, 0o602, 0o601, 0o610] {
            let (place, vault) = Place::ready();
            let envelope = vault.seal(ANNA, &secrets()).unwrap();
            fs::set_permissions(&place.path, fs::Permissions::from_mode(mode)).unwrap();
            for error in [vault.open(ANNA, &envelope).err(), place.vault().must_fit(&[]).err()] {
                let error = error.unwrap();
                assert_eq!(error.kind, ErrorKind::Config);
                assert!(error.message.contains(&format!("{mode:03o}")), "{error}");
                assert!(error.hint.unwrap().contains("chmod 600"));
            }
            assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o777, mode, "it is not changed");
        }
    }

    #[test]
    fn fault_49_a_file_of_somebody_else_is_refused() {
        let (place, _) = Place::ready();
        let metadata = fs::metadata(&place.path).unwrap();
        must_be_owners_alone(&place.path, &metadata).unwrap();
        // Whoever runs as root can give it away, and nobody else can.
        if geteuid().is_root() {
            std::os::unix::fs::chown(&place.path, Some(65_534), None).unwrap();
            let error = place.vault().must_fit(&[]).unwrap_err();
            assert!(error.message.contains("belongs to user 65534"), "{error}");
        }
    }

    #[test]
    fn fault_49_no_key_is_made_while_something_is_sealed() {
        let (place, vault) = Place::ready();
        let envelope = vault.seal(ANNA, &secrets()).unwrap();
        let kept = place.text();
        let used = [envelope.key.clone()];

        fs::remove_file(&place.path).unwrap();
        for vault in [vault, place.vault()] {
            let error = vault.must_fit(&used).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.message.contains(&envelope.key), "{error}");
            assert!(error.message.contains(place.path.to_str().unwrap()), "{error}");
            assert!(error.hint.unwrap().contains("not part of a backup"));
            for result in [
                vault.seal(ANNA, &secrets()).err(),
                vault.open(ANNA, &envelope).err(),
                vault.reseal(ANNA, &envelope).err(),
                vault.current_id().err(),
                vault.add_key().err(),
            ] {
                assert_eq!(result.unwrap().kind, ErrorKind::Config);
            }
            assert!(place.names().is_empty(), "nothing is made: {:?}", place.names());
        }

        // Another key is no better than none.
        Keyring::create(&place.path).unwrap();
        let other = place.text();
        let error = place.vault().must_fit(&used).unwrap_err();
        assert!(error.message.contains(&envelope.key), "{error}");
        let error = place.vault().open(ANNA, &envelope).unwrap_err();
        assert!(error.message.contains(&envelope.key) && error.kind == ErrorKind::Config, "{error}");
        assert_eq!(place.text(), other, "it is left as it is");

        place.write(&kept);
        let vault = place.vault();
        vault.must_fit(&used).unwrap();
        assert!(opens(&vault, ANNA, &envelope));
    }

    #[test]
    fn fault_49_a_changed_file_is_noticed_and_named() {
        let (place, vault) = Place::ready();
        let good = place.text();
        let id = vault.current_id().unwrap();
        let key = key_text(good.lines().last().unwrap()).to_owned();
        let other = Key::fresh().unwrap();
        let other_text = other.line().clone();
        let long = STANDARD.encode([7; 33]);
        let short = STANDARD.encode([7; 31]);
        let cases = [
            (format!("{id} {}\n", key_text(&other_text)), format!("the key {id} in")),
            (format!("{} {key}\n", other.id), format!("the key {} in", other.id)),
            (format!("{id} {key}\n{id} {key}\n"), "stands twice".to_owned()),
            (format!("{id} {long}\n"), format!("what stands at {id}")),
            (format!("{id} {short}\n"), format!("what stands at {id}")),
            (format!("{id} {}\n", &key[..40]), format!("what stands at {id}")),
            (format!("{id}\n"), "line 1".to_owned()),
            // A key that lost its id must not be taken for one.
            (format!("{key}\n"), "line 1".to_owned()),
            (format!("# a comment\n{key} {key}\n"), "line 2".to_owned()),
            (format!("{id} {key} more\n"), "line 1".to_owned()),
            (format!("{} {key}\n", id.to_uppercase()), "line 1".to_owned()),
            (String::new(), "has no key".to_owned()),
            ("# only words\n".to_owned(), "has no key".to_owned()),
            ("x".repeat(MAX_LEN + 1), "more than".to_owned()),
        ];
        for (text, said) in cases {
            place.write(&text);
            for result in [place.vault().must_fit(&[]).err(), vault.current_id().err()] {
                let error = result.unwrap_or_else(|| panic!("{said}: it was taken"));
                assert_eq!(error.kind, ErrorKind::Config);
                assert!(error.message.contains(&said), "{said}: {error}");
                assert!(error.message.contains(place.path.to_str().unwrap()), "{error}");
                says_no_key(&error, &good);
                says_no_key(&error, &text);
                assert!(!serde_json::to_string(&error).unwrap().contains(&key));
            }
            assert_eq!(place.text(), text, "it is left as it is");
        }
        fs::write(&place.path, [0xff, 0xfe]).unwrap();
        assert!(vault.current_id().unwrap_err().message.contains("not text"));
        place.write(&good);
        assert_eq!(vault.current_id().unwrap(), id);
    }

    #[test]
    fn fault_49_every_bit_of_a_key_counts() {
        let (place, vault) = Place::ready();
        let id = vault.current_id().unwrap();
        let text = place.text();
        let bytes = STANDARD.decode(key_text(text.lines().last().unwrap())).unwrap();
        for bit in 0..KEY_LEN * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            place.write(&format!("{id} {}\n", STANDARD.encode(changed)));
            let error = place.vault().must_fit(std::slice::from_ref(&id)).unwrap_err();
            assert!(error.message.contains(&id), "bit {bit}: {error}");
        }
    }

    #[test]
    fn fault_49_a_link_to_nowhere_is_no_new_home() {
        let place = Place::new();
        symlink("/nonexistent/vault.keys", &place.path).unwrap();
        let error = place.vault().must_fit(&[]).unwrap_err();
        assert!(error.message.contains("link to a place where nothing is"), "{error}");

        // One that leads somewhere is followed, and what it leads to is what changes.
        let elsewhere = Place::new();
        Keyring::create(&elsewhere.path).unwrap();
        fs::remove_file(&place.path).unwrap();
        symlink(&elsewhere.path, &place.path).unwrap();
        let vault = place.vault();
        let added = vault.add_key().unwrap();
        assert!(fs::symlink_metadata(&place.path).unwrap().is_symlink());
        assert_eq!(elsewhere.vault().current_id().unwrap(), added);

        let fifo = Place::new();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo.path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let error = fifo.vault().must_fit(&[]).unwrap_err();
        assert!(error.message.contains("not a regular file"), "{error}");
    }

    #[test]
    fn fault_50_a_flipped_bit_anywhere_is_noticed() {
        let (_place, vault) = Place::ready();
        let envelope = vault.seal(ANNA, &secrets()).unwrap();
        let others = Owner { id: "conn_bert", ..ANNA };
        let untouched = vault.seal(others, &secrets()).unwrap();
        let tried = std::cell::Cell::new(0);
        let check = |changed: &Envelope, what: &str| {
            let error = vault.open(ANNA, changed).err().unwrap_or_else(|| panic!("{what}: it opened"));
            assert!(!serde_json::to_string(&error).unwrap().contains("canary"), "{error}");
            if changed.key == envelope.key {
                assert_eq!(error.kind, ErrorKind::Internal, "{error}");
                assert!(error.message.starts_with("the secrets of conn_anna cannot be opened"), "{error}");
                assert!(error.message.contains("it alone is affected"), "{error}");
            }
            tried.set(tried.get() + 1);
        };
        let flips = |text: &str| {
            let bytes = STANDARD.decode(text).unwrap();
            (0..bytes.len() * 8)
                .map(|bit| {
                    let mut bytes = bytes.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    STANDARD.encode(bytes)
                })
                .collect::<Vec<_>>()
        };
        for wrapped in flips(&envelope.wrapped) {
            check(&Envelope { wrapped, ..envelope.clone() }, "the data key");
        }
        for (name, text) in &envelope.fields {
            for text in flips(text) {
                let mut changed = envelope.clone();
                changed.fields.insert(name.clone(), text);
                check(&changed, name);
            }
        }
        // And of the text as it is stored.
        let mut texts = vec![];
        for index in 0..envelope.key.len() {
            texts.push((index, 0));
        }
        for index in 0..envelope.wrapped.len() {
            texts.push((index, 1));
        }
        for index in 0..envelope.fields["access_token"].len() {
            texts.push((index, 2));
        }
        for (index, part) in texts {
            for bit in 0..7 {
                let mut changed = envelope.clone();
                let text = match part {
                    0 => &mut changed.key,
                    1 => &mut changed.wrapped,
                    _ => changed.fields.get_mut("access_token").unwrap(),
                };
                let mut bytes = text.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                *text = String::from_utf8(bytes).unwrap();
                check(&changed, "the text");
            }
        }
        assert!(tried.get() > 2500, "{}", tried.get());
        for text in ["", "=", "AAAA", &envelope.wrapped[..20]] {
            check(&Envelope { wrapped: text.to_owned(), ..envelope.clone() }, "a short data key");
            let mut changed = envelope.clone();
            changed.fields.insert("access_token".to_owned(), text.to_owned());
            check(&changed, "a short field");
        }
        assert!(opens(&vault, ANNA, &envelope) && opens(&vault, others, &untouched));
    }

    #[test]
    fn fault_50_what_was_moved_opens_nowhere() {
        let (_place, vault) = Place::ready();
        let envelope = vault.seal(ANNA, &secrets()).unwrap();
        let other = vault.seal(Owner { id: "conn_bert", ..ANNA }, &secrets()).unwrap();
        for owner in [
            Owner { id: "conn_bert", ..ANNA },
            Owner { project: "other", ..ANNA },
            // The same bytes in a row, with another border between them.
            Owner { project: "defaultc", id: "onn_anna" },
            Owner { project: "", id: "defaultconn_anna" },
        ] {
            assert!(!opens(&vault, owner, &envelope), "{owner:?}");
            assert!(vault.open_one(owner, &envelope, "access_token").is_err(), "{owner:?}");
            assert!(vault.reseal(owner, &envelope).unwrap().is_none(), "nothing was opened");
        }
        let moved = |change: &dyn Fn(&mut Envelope)| {
            let mut envelope = envelope.clone();
            change(&mut envelope);
            opens(&vault, ANNA, &envelope)
        };
        let (access, refresh) =
            (envelope.fields["access_token"].clone(), envelope.fields["refresh_token"].clone());
        assert!(!moved(&|envelope| {
            envelope.fields.insert("access_token".to_owned(), refresh.clone());
            envelope.fields.insert("refresh_token".to_owned(), access.clone());
        }));
        assert!(!moved(&|envelope| drop(envelope.fields.insert("copy".to_owned(), access.clone()))));
        assert!(!moved(&|envelope| drop(
            envelope.fields.insert(DATA_KEY.to_owned(), envelope.wrapped.clone())
        )));
        assert!(!moved(&|envelope| envelope.wrapped.clone_from(&access)));
        assert!(!moved(&|envelope| envelope.wrapped.clone_from(&other.wrapped)));
        assert!(!moved(&|envelope| envelope.fields.clone_from(&other.fields)));
        assert!(moved(&|_| {}));
    }

    #[test]
    fn fault_50_an_alarm_is_raised_once_for_each_owner() {
        let log = Log::default();
        let (_place, vault) = Place::ready();
        let envelope = vault.seal(ANNA, &secrets()).unwrap();
        let broken = Envelope { wrapped: String::new(), ..envelope };
        let bert = Owner { id: "conn_bert", ..ANNA };
        tracing::subscriber::with_default(log.clone(), || {
            for owner in [ANNA, ANNA, bert, ANNA] {
                vault.open(owner, &broken).unwrap_err();
            }
            assert_eq!(log.owners(), ["conn_anna", "conn_bert"]);
            // New secrets that are damaged again are news.
            vault.seal(ANNA, &secrets()).unwrap();
            vault.open(ANNA, &broken).unwrap_err();
            assert_eq!(log.owners(), ["conn_anna", "conn_bert", "conn_anna"]);
        });
    }

    #[test]
    fn keys_rotate_while_others_seal_and_open() {
        let (place, vault) = Place::ready();
        let other = place.vault();
        let old = vault.seal(ANNA, &secrets()).unwrap();
        assert!(vault.reseal(ANNA, &old).unwrap().is_none());
        assert!(opens(&other, ANNA, &old));

        let id = vault.add_key().unwrap();
        assert_eq!((vault.current_id().unwrap(), other.current_id().unwrap()), (id.clone(), id.clone()));
        assert_eq!(vault.ids().unwrap(), [old.key.clone(), id.clone()]);
        assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o7777, 0o600);
        let new = other.seal(ANNA, &secrets()).unwrap();
        assert_eq!(new.key, id);
        for vault in [&vault, &other, &place.vault()] {
            assert!(opens(vault, ANNA, &old) && opens(vault, ANNA, &new));
            vault.must_fit(&[old.key.clone(), new.key.clone()]).unwrap();
        }
        // The label alone is no key.
        assert!(!opens(&vault, ANNA, &Envelope { key: id.clone(), ..old.clone() }));

        let resealed = other.reseal(ANNA, &old).unwrap().unwrap();
        assert_eq!(resealed.key, id);
        assert_ne!(resealed.wrapped, old.wrapped);
        assert_eq!(exposed(&vault.open(ANNA, &resealed).unwrap()), exposed(&secrets()));

        let error = vault.remove_key(&old.key, &[old.key.clone(), id.clone()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert_eq!(vault.remove_key(&id, &[]).unwrap_err().kind, ErrorKind::Refused, "it is the current one");
        assert_eq!(vault.remove_key("key_0000000000000000", &[]).unwrap_err().kind, ErrorKind::Unknown);
        assert_eq!(vault.ids().unwrap().len(), 2);
        vault.remove_key(&old.key, std::slice::from_ref(&id)).unwrap();
        assert_eq!(other.ids().unwrap(), [id]);
        assert!(!opens(&other, ANNA, &old) && opens(&other, ANNA, &resealed));
        assert!(place.text().starts_with(ABOUT), "its words stay");
    }

    #[test]
    fn fault_51_what_a_killed_rotation_leaves_is_no_hindrance() {
        let (place, vault) = Place::ready();
        let old = vault.seal(ANNA, &secrets()).unwrap();
        // Killed before it took the old file's place: half of a file lies beside.
        let beside = place.path.with_file_name("vault.keys.new");
        fs::write(&beside, "key_00").unwrap();
        assert!(opens(&vault, ANNA, &old));
        let id = vault.add_key().unwrap();
        assert!(!beside.exists());
        // Killed after that and before anything was sealed anew: both open, and going on is the same as beginning.
        assert!(opens(&place.vault(), ANNA, &old));
        assert_eq!(vault.reseal(ANNA, &old).unwrap().unwrap().key, id);
        // A last line without its end is not run into the next.
        place.write(place.text().trim_end());
        vault.add_key().unwrap();
        assert_eq!(vault.ids().unwrap().len(), 3);
    }

    #[test]
    fn keys_that_are_added_at_once_are_all_there() {
        let (place, vault) = Place::ready();
        let added: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| place.vault().add_key().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ids = vault.ids().unwrap();
        assert_eq!(ids.len(), 9);
        assert!(added.iter().all(|id| ids.contains(id)));
        assert_eq!(place.names(), ["vault.keys"]);
    }

    #[test]
    fn of_many_who_begin_at_once_all_have_the_same_key() {
        let place = Place::new();
        let ids: BTreeSet<String> = std::thread::scope(|scope| {
            let begin = || {
                let vault = place.vault();
                vault.must_fit(&[]).unwrap();
                vault.current_id().unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1, "{ids:?}");
    }

    #[test]
    fn a_file_that_is_not_written_whole_takes_nobodys_place() {
        let (place, vault) = Place::ready();
        let text = place.text();
        // There is no more room in the file: what is there stays.
        let filler = format!("#{}\n", "x".repeat(MAX_LEN - text.len() - 20));
        place.write(&format!("{filler}{text}"));
        let before = place.text();
        let id = vault.current_id().unwrap();
        assert_eq!(vault.add_key().unwrap_err().kind, ErrorKind::Config);
        assert_eq!((place.text(), vault.current_id().unwrap()), (before, id));
        assert_eq!(place.names(), ["vault.keys"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_was_sealed_opens_for_its_owner_alone(
            project in ".{0,12}",
            id in "[a-z_0-9]{0,20}",
            values in prop::collection::btree_map(".{0,16}", ".{0,300}", 0..5),
            other_project in ".{0,12}",
            other_id in "[a-z_0-9]{0,20}",
        ) {
            let (_place, vault) = Place::ready();
            let owner = Owner { project: &project, id: &id };
            let secrets = values.iter().map(|(name, value)| (name.clone(), SecretString::from(value.as_str()))).collect();
            let envelope = vault.seal(owner, &secrets).unwrap();
            prop_assert_eq!(&exposed(&vault.open(owner, &envelope).unwrap()), &values);
            for (name, value) in &values {
                let one = vault.open_one(owner, &envelope, name).unwrap().unwrap();
                prop_assert_eq!(one.expose_secret(), value);
            }
            let other = Owner { project: &other_project, id: &other_id };
            if other != owner {
                prop_assert!(vault.open(other, &envelope).is_err());
            }
            let renamed = values.keys().next().map(|name| {
                let mut envelope = envelope.clone();
                let text = envelope.fields.remove(name).unwrap();
                envelope.fields.insert(format!("{name}+"), text);
                envelope
            });
            if let Some(renamed) = renamed {
                prop_assert!(vault.open(owner, &renamed).is_err());
            }
        }

        #[test]
        fn no_two_lists_of_parts_are_bound_to_the_same(a in "[ab]{0,3}", b in "[ab]{0,3}", c in "[ab]{0,3}", d in "[ab]{0,3}") {
            let whole = format!("{a}{b}{c}{d}");
            let bound = aad(Owner { project: &a, id: &b }, &c, &d);
            for cut in 0..=whole.len() {
                let (project, id) = whole.split_at(cut);
                let other = aad(Owner { project, id }, "", "");
                let same = (a.as_str(), b.as_str(), c.as_str(), d.as_str()) == (project, id, "", "");
                prop_assert_eq!(bound.as_ref() == other.as_ref(), same);
            }
        }
    }

    /// Notes whose alarm was raised.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn owners(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl tracing::Subscriber for Log {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::ERROR
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            struct Visit<'a>(&'a mut Vec<String>);
            impl tracing::field::Visit for Visit<'_> {
                fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn Debug) {}

                fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                    if field.name() == "owner" {
                        self.0.push(value.to_owned());
                    }
                }
            }
            event.record(&mut Visit(&mut self.0.lock().unwrap()));
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }
}
