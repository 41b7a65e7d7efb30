//! Whose a file is, and who else could change it: whoever can write a library runs code as the owner of the home.
//!
//! A file is opened first and judged by what was opened, so that nobody can put another one in its place in between. What is
//! judged is owner and mode of the file, of the directory it lies in and of the home. What the file holds is not looked at.
//! Nothing of it is kept: it is asked anew each time. What cannot be told is no.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use connector_protocol::{Error, ErrorKind};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::geteuid,
};

use super::library::{MAX_LEN, Unfit};
use crate::{home::Home, system};

/// Where an access control list is kept, which can let others in whom the mode does not show.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// That something could not be read.
pub(super) fn unreadable(error: &io::Error) -> Unfit {
    Unfit::new(format!("cannot be read: {}", system::words(error)))
}

/// Opens a file, unless it is a link. What would keep whoever opens it waiting, such as a FIFO, does not.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), Unfit> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A socket, or a device that nothing stands behind.
        Err(Errno::NXIO) => return Err(Unfit::new("is not a regular file")),
        Err(error) => return Err(unreadable(&error.into())),
    };
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    Ok((file, metadata))
}

/// Whether what was opened can be a library at all.
pub(super) fn is_library(metadata: &Metadata) -> Result<(), Unfit> {
    if !metadata.is_file() {
        return Err(Unfit::new("is not a regular file"));
    }
    if metadata.len() > MAX_LEN {
        return Err(Unfit::new(format!("has {} bytes; the limit is {MAX_LEN}", metadata.len())));
    }
    Ok(())
}

/// What is judged, in words.
#[derive(Clone, Copy)]
struct Judged<'a> {
    path: &'a Path,
    /// How a sentence about a file goes on, or where something lies: `is`, `lies in HOME, which is`.
    subject: &'a str,
}

/// Whether a text that decides what runs, such as the configuration, is ours or root's, and nobody else's to write.
///
/// # Errors
///
/// Whose it is, or who can write it.
pub(crate) fn must_be_ours(path: &Path) -> Result<(), Error> {
    let judged = || -> Result<(), Unfit> {
        // It may be a link: to where is its owner's to say.
        let file = path.canonicalize().map_err(|error| unreadable(&error))?;
        let (opened, metadata) = open(&file)?;
        Judge::default().owned(Judged { path: &file, subject: "" }, &opened, &metadata)
    };
    judged().map_err(|unfit| Error { kind: ErrorKind::Config, ..unfit.at(path).into() })
}

/// Who asks, and who else is on this machine.
#[derive(Debug, Default)]
pub(super) struct Judge {
    accounts: OnceLock<Option<Accounts>>,
}

impl Judge {
    /// Opens a library in the directory `plugins`, following a link only to what lies in there as well. Gives the file that
    /// it is, and what was opened.
    pub(super) fn library(&self, path: &Path, plugins: &Path) -> Result<(PathBuf, Metadata), Unfit> {
        let is_link = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?.is_symlink();
        let file = if is_link { inside(path, plugins)? } else { path.to_owned() };
        let (opened, metadata) = open(&file)?;
        is_library(&metadata)?;
        self.owned(Judged { path: &file, subject: "" }, &opened, &metadata)?;
        let below = file.ancestors().skip(1).take_while(|directory| *directory != plugins);
        for directory in below.filter(|directory| directory.starts_with(plugins)) {
            self.directory(directory)?;
        }
        Ok((file, metadata))
    }

    /// Opens a library that lies elsewhere, and judges the directory that it lies in, too.
    pub(super) fn elsewhere(&self, path: &Path) -> Result<(PathBuf, Metadata), Unfit> {
        let file = path.canonicalize().map_err(|error| unreadable(&error))?;
        let (opened, metadata) = open(&file)?;
        is_library(&metadata)?;
        self.owned(Judged { path: &file, subject: "" }, &opened, &metadata)?;
        if let Some(directory) = file.parent() {
            self.directory(directory)?;
        }
        Ok((file, metadata))
    }

    /// Reads a small text of ours, such as the pins.
    pub(super) fn text(&self, path: &Path, most: u64) -> Result<Option<String>, Unfit> {
        let is_there = fs::symlink_metadata(path);
        if is_there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let (mut opened, metadata) = open(path)?;
        if !metadata.is_file() || metadata.len() > most {
            return Err(Unfit::new(format!("is not a text of at most {most} bytes")));
        }
        self.owned(Judged { path, subject: "" }, &opened, &metadata)?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(&mut opened, most), &mut text)
            .map_err(|error| unreadable(&error))?;
        Ok(Some(text))
    }

    /// The plugins directory of a home, if nobody but its owner can put anything there. It lies beside data, keys and logs,
    /// so that whatever writes those writes no library.
    pub(super) fn plugins(&self, home: &Home) -> Result<PathBuf, Unfit> {
        let plugins = canonical(&home.plugins())?;
        for other in home.written() {
            // What is not there holds nothing.
            let Ok(there) = other.canonicalize() else { continue };
            if there.starts_with(&plugins) || plugins.starts_with(&there) {
                let text = format!(
                    "lies in {}, and {} in {}; neither may lie in the other",
                    plugins.display(),
                    other.display(),
                    there.display()
                );
                let link = if fs::read_link(&other).is_ok() { other } else { home.plugins() };
                let link = link.display();
                return Err(Unfit::new(text)
                    .hint(format!("make it a directory of its own: rm {link} && mkdir -m 700 {link}")));
            }
        }
        self.directory(&canonical(home.path())?)?;
        self.directory(&plugins)?;
        Ok(plugins)
    }

    /// Whether nobody but its owner can put anything into a directory.
    pub(super) fn directory(&self, path: &Path) -> Result<(), Unfit> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: &io::Error| {
            Unfit::new(format!("lies in {}, which cannot be read: {}", path.display(), system::words(error)))
        };
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(&error.into()))?;
        let opened = File::from(opened);
        let metadata = opened.metadata().map_err(|error| failed(&error))?;
        let subject = format!("lies in {}, which ", path.display());
        self.owned(Judged { path, subject: &subject }, &opened, &metadata)
    }

    /// Whether this is ours or root's, and nobody else's to write.
    fn owned(&self, judged: Judged<'_>, opened: &File, metadata: &Metadata) -> Result<(), Unfit> {
        let Judged { path, subject } = judged;
        let (me, owner, mode) = (geteuid().as_raw(), metadata.uid(), metadata.mode() & 0o7777);
        if owner != me && owner != 0 {
            let or_mine = if me == 0 { String::new() } else { format!("{} or to ", self.user(me)) };
            let text = format!(
                "{subject}belongs to {}; it has to belong to {or_mine}{}",
                self.user(owner),
                self.user(0)
            );
            let sudo = if me == 0 { "" } else { "sudo " };
            return Err(Unfit::new(text).hint(format!("make it yours: {sudo}chown {me} {}", path.display())));
        }
        if mode & 0o002 != 0 {
            let text = format!("{subject}has mode {mode:03o}, so everybody can write it; only its owner may");
            return Err(Unfit::new(text).hint(format!("close it: chmod go-w {}", path.display())));
        }
        if mode & 0o020 != 0 && !self.is_owners_own(owner, metadata.gid(), opened) {
            let text = format!(
                "{subject}has mode {mode:03o}, so the group {} can write it; only its owner may",
                metadata.gid()
            );
            return Err(Unfit::new(text).hint(format!("close it: chmod g-w {}", path.display())));
        }
        Ok(())
    }

    /// Whether a group that can write something is its owner alone, as where everybody has a group of their own and files
    /// are made for it to write.
    fn is_owners_own(&self, owner: u32, group: u32, opened: &File) -> bool {
        // With such a list, the mode says what the group may at most, and the list who is meant.
        let has_list = match rustix::fs::fgetxattr(opened, ACCESS_LIST, &mut [0_u8; 0]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
            Ok(_) | Err(_) => true,
        };
        !has_list && self.accounts().is_some_and(|accounts| accounts.is_alone(owner, group))
    }

    fn accounts(&self) -> Option<&Accounts> {
        self.accounts.get_or_init(|| Accounts::read().ok()).as_ref()
    }

    /// A user as people know them.
    pub(super) fn user(&self, number: u32) -> String {
        let name = self.accounts().and_then(|accounts| accounts.name(number));
        name.map_or_else(|| format!("user {number}"), str::to_owned)
    }
}

/// Closes the plugins directory of a home, if it is ours and others can put something there. False if there was no need.
///
/// # Errors
///
/// If it cannot be closed.
pub fn close(home: &Home) -> Result<bool, Error> {
    let path = home.plugins();
    let failed = system::cannot("close", &path);
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    // Where a link leads, others may need to get in.
    let is_ours = metadata.is_dir() && metadata.uid() == geteuid().as_raw();
    let is_closed = path.canonicalize().is_ok_and(|path| Judge::default().directory(&path).is_ok());
    if !is_ours || is_closed {
        return Ok(false);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(true)
}

fn canonical(path: &Path) -> Result<PathBuf, Unfit> {
    path.canonicalize().map_err(|error| {
        Unfit::new(format!("lies in {}, which cannot be read: {}", path.display(), system::words(&error)))
    })
}

/// Where a link in the plugins directory leads, which has to be in there.
fn inside(link: &Path, plugins: &Path) -> Result<PathBuf, Unfit> {
    let Ok(file) = link.canonicalize() else {
        let to = fs::read_link(link).unwrap_or_default();
        let text = format!("is a link to {}, where nothing is", to.display());
        return Err(Unfit::new(text).hint(format!("take it away: rm {}", link.display())));
    };
    if file.starts_with(plugins) {
        return Ok(file);
    }
    let text = format!("is a link to {}, which does not lie in {}", file.display(), plugins.display());
    let hint =
        format!("put the file in its place: cp --remove-destination {} {}", file.display(), link.display());
    Err(Unfit::new(text).hint(hint))
}

/// The users and groups of this machine, as its files have them.
#[derive(Debug)]
struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct User {
    name: String,
    number: u32,
    group: u32,
}

#[derive(Debug)]
struct Group {
    number: u32,
    members: Vec<String>,
}

impl Accounts {
    fn read() -> io::Result<Self> {
        Ok(Self::of(&fs::read_to_string("/etc/passwd")?, &fs::read_to_string("/etc/group")?))
    }

    fn of(passwd: &str, group: &str) -> Self {
        let users = passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (number, group) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            Some(User { name: fields[0].to_owned(), number, group })
        });
        let groups = group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3)?.split(',').map(str::trim).filter(|name| !name.is_empty());
            Some(Group { number: fields[2].parse().ok()?, members: members.map(str::to_owned).collect() })
        });
        Self { users: users.collect(), groups: groups.collect() }
    }

    fn name(&self, user: u32) -> Option<&str> {
        self.users.iter().find(|known| known.number == user).map(|known| known.name.as_str())
    }

    /// Whether this user is in this group, and nobody else is.
    fn is_alone(&self, user: u32, group: u32) -> bool {
        let is_theirs = match self.users.iter().find(|known| known.number == user) {
            Some(known) => known.group == group,
            // Where a user has no entry, the group of the same number is taken for theirs.
            None => user == group,
        };
        let is_known = |name: &String| self.name(user) == Some(name.as_str());
        let mut others = self.users.iter().filter(|known| known.group == group && known.number != user);
        let mut groups = self.groups.iter().filter(|known| known.number == group);
        is_theirs && others.next().is_none() && groups.all(|known| known.members.iter().all(is_known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_its_owners_own_if_nobody_else_is_in_it() {
        let accounts = Accounts::of(
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n\
             cat:x:1002:100::/:/bin/sh\ndan:x:1003:1001::/:/bin/sh\neve:x:1004:1004::/:/bin/sh\n",
            "root:x:0:\nann:x:1000:ann\nbob:x:1001:\nusers:x:100:ann,bob\neve:x:1004:ann\nlost:x:7:ann\n+::\n",
        );
        for (user, group, is_alone) in [
            (0, 0, true),
            // As a member of their own group they are still alone in it.
            (1000, 1000, true),
            // Somebody else has it for their primary group.
            (1001, 1001, false),
            (1002, 100, false),
            // Somebody else is a member.
            (1004, 1004, false),
            // It is the group of somebody else.
            (1000, 1001, false),
            // Without an entry, the number decides, unless the group has members.
            (5000, 5000, true),
            (5000, 5001, false),
            (7, 7, false),
        ] {
            assert_eq!(accounts.is_alone(user, group), is_alone, "{user} in {group}");
        }
    }
}
