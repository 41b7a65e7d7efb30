//! What a worker gives up before it opens a library: files, sockets, other processes, and most of what can be asked of the
//! kernel.
//!
//! There are two steps. [`enter`] comes before the library is opened, since its constructors run while it is loaded, and they
//! are the connector's code already. [`narrow`] comes after that, and takes away what only loading needs. Both name what is
//! allowed and refuse everything else; what a later kernel adds is refused too.
//!
//! A step cannot be taken back: not by this process, nor by what it loads.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use connector_protocol::{Error, ErrorKind};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

/// What is to happen where the kernel cannot lock a worker in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// No connector runs.
    #[default]
    Require,
    /// Connectors run with as much of it as there is.
    Prefer,
    /// Connectors run with all the rights of the host's user, whatever the kernel can.
    Off,
}

/// What keeps a worker in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Walls {
    /// The version of the kernel's Landlock, which keeps it from files, sockets and other processes; none if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock: Option<i32>,
    /// Whether the system calls it may make are filtered.
    pub seccomp: bool,
    /// What could not be had, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// How many descriptors a worker may have: those that it has, and the library while it is opened.
const DESCRIPTORS: u64 = 24;

/// Closes everything that was inherited but the three standard streams. Has to come first: whatever is open later is ours.
#[allow(unsafe_code, reason = "descriptors that nobody owns are closed by number")]
pub(super) fn close_inherited() -> io::Result<()> {
    // SAFETY: the process has just begun and has opened nothing; no descriptor from 3 on belongs to any value.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What holds whatever the isolation: how much memory there is, no file of any length, no dump, no rights of root's. Death
/// by a bad pointer is left to the kernel, which says by what signal.
#[allow(unsafe_code, reason = "signal handlers are set through libc")]
pub(super) fn limit(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    // What the program itself takes is not the connector's.
    let own = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = own.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or_default();
    let own = pages.saturating_mul(u64::try_from(rustix::param::page_size()).unwrap_or(4096));
    for (resource, most) in [
        (Resource::As, own.saturating_add(memory_bytes)),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Memlock, 0),
        (Resource::Nofile, DESCRIPTORS),
    ] {
        // Somebody may have set a lower one, which stays.
        let most = Some(getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most)));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    // Constructors have as much as a call; from the first one on the host moves it ahead.
    let maximum = getrlimit(Resource::Cpu).maximum;
    let most = cpu_seconds.saturating_add(2);
    let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
    setrlimit(Resource::Cpu, Rlimit { current, maximum })?;
    // Only root has any.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action is no function; nothing else of this process relies on the one that std has set.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Locks the process in, up to what loading a library needs. `library` is what may still be opened, where it is a file on a
/// disk.
///
/// # Errors
///
/// If the kernel lacks something that is required; says what, and which key decides about it.
pub(super) fn enter(isolation: Isolation, library: Option<BorrowedFd<'_>>) -> Result<Walls, Error> {
    let mut walls = Walls::default();
    if isolation == Isolation::Off {
        walls.missing.push("workers.isolation is \"off\"".to_owned());
        return Ok(walls);
    }
    match landlock(library) {
        Ok(version) => walls.landlock = Some(version),
        Err(why) => walls.missing.push(format!("no Landlock: {why}")),
    }
    match loading().and_then(|allowed| filter(&allowed)) {
        Ok(()) => walls.seccomp = true,
        Err(why) => walls.missing.push(format!("no seccomp filter: {why}")),
    }
    if isolation == Isolation::Require && !walls.missing.is_empty() {
        let text = format!("this kernel cannot lock a worker in: {}", walls.missing.join("; "));
        let hint = "Linux 5.13 or newer can; to run connectors with less all the same, set `isolation = \"prefer\"` under \
                    [workers] in jackfield.toml";
        return Err(Error::new(ErrorKind::Config, text).hint(hint));
    }
    Ok(walls)
}

/// Takes away what only loading needs.
///
/// # Errors
///
/// If there is a filter already, and a second one cannot be had.
pub(super) fn narrow(walls: &Walls) -> Result<(), Error> {
    if !walls.seccomp {
        return Ok(());
    }
    serving().and_then(|allowed| filter(&allowed)).map_err(|why| {
        Error::new(ErrorKind::Config, format!("this kernel does not take a second seccomp filter: {why}"))
    })
}

/// No file, no port, no process but its own; all that the kernel's version knows of.
fn landlock(library: Option<BorrowedFd<'_>>) -> Result<i32, String> {
    const NEWEST: ABI = ABI::V10;
    let words = |error: landlock::RulesetError| error.to_string();
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(words)?;
    if let Some(library) = library {
        ruleset = ruleset.add_rule(PathBeneath::new(library.as_fd(), AccessFs::ReadFile)).map_err(words)?;
    }
    let status = ruleset.restrict_self().map_err(words)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("it is there and not enabled (boot with `lsm=` naming it)".to_owned())
        }
        (RulesetStatus::NotEnforced, _) => Err("it is not there".to_owned()),
        (_, LandlockStatus::Available { effective_abi, kernel_abi }) => {
            Ok(kernel_abi.unwrap_or(effective_abi as i32))
        }
        _ => Ok(1),
    }
}

/// System calls, each with the conditions under which it is allowed; any one of them is enough, and none is always.
type Allowed = BTreeMap<i64, Vec<SeccompRule>>;

fn filter(allowed: &Allowed) -> Result<(), String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|_| "not for this processor".to_owned())?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(allowed.clone(), refuse, SeccompAction::Allow, arch)
        .map_err(|error| error.to_string())?;
    let program: BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

/// What serving calls needs: the socket, memory, time, waiting, and to end.
fn serving() -> Result<Allowed, String> {
    let mut allowed = Allowed::new();
    for call in [
        // The socket, and standard error. Messages that could carry descriptors are not among these.
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        libc::SYS_shutdown,
        libc::SYS_close,
        // Waiting.
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_ppoll,
        libc::SYS_futex,
        libc::SYS_nanosleep,
        libc::SYS_sched_yield,
        libc::SYS_restart_syscall,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // What it may know: time, chance, itself.
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getrusage,
        libc::SYS_getcpu,
        libc::SYS_uname,
        libc::SYS_sysinfo,
        // What the C library does for a thread.
        libc::SYS_rseq,
        libc::SYS_set_robust_list,
        libc::SYS_membarrier,
        libc::SYS_sigaltstack,
        // To end.
        libc::SYS_exit,
        libc::SYS_exit_group,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_time,
    ] {
        allowed.insert(call, Vec::new());
    }
    // Memory that can be written and never run.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
        allowed.insert(call, only(2, SeccompCmpOp::MaskedEq(executable), 0)?);
    }
    // Signals to itself alone: `abort` is one.
    allowed.insert(libc::SYS_tgkill, only(0, SeccompCmpOp::Eq, u64::from(std::process::id()))?);
    // Its own limits, and setting none: the third argument is what to set.
    allowed.insert(libc::SYS_prlimit64, both((0, SeccompCmpOp::Eq, 0), (2, SeccompCmpOp::Eq, 0))?);
    allowed.insert(libc::SYS_sched_getaffinity, only(0, SeccompCmpOp::Eq, 0)?);
    // The machine's clocks. A process has some as well, with numbers that are far above or below.
    for call in [libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep] {
        allowed.insert(call, only(0, SeccompCmpOp::Le, u64::from(libc::CLOCK_TAI.unsigned_abs()))?);
    }
    Ok(allowed)
}

/// What loading a library needs besides: to open it, to map code, and the next filter. Which file can be opened is Landlock's
/// to say.
fn loading() -> Result<Allowed, String> {
    let mut allowed = serving()?;
    for call in [
        libc::SYS_pread64,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_seccomp,
    ] {
        allowed.insert(call, Vec::new());
    }
    // To read and nothing else: neither to make or cut a file, nor to hold a place of the file system.
    let more = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH | libc::O_DIRECTORY;
    let to_read = |argument| only(argument, SeccompCmpOp::MaskedEq(u64::from(more.unsigned_abs())), 0);
    allowed.insert(libc::SYS_openat, to_read(2)?);
    #[cfg(target_arch = "x86_64")]
    allowed.insert(libc::SYS_open, to_read(1)?);
    let no_new_privs = u64::from(libc::PR_SET_NO_NEW_PRIVS.unsigned_abs());
    allowed.insert(libc::SYS_prctl, only(0, SeccompCmpOp::Eq, no_new_privs)?);
    Ok(allowed)
}

/// An argument of a system call, and what it is held to.
type Held = (u8, SeccompCmpOp, u64);

/// A system call with one argument held to something.
fn only(argument: u8, how: SeccompCmpOp, value: u64) -> Result<Vec<SeccompRule>, String> {
    rule(&[(argument, how, value)])
}

/// A system call with two arguments, each held to something.
fn both(one: Held, other: Held) -> Result<Vec<SeccompRule>, String> {
    rule(&[one, other])
}

fn rule(held: &[Held]) -> Result<Vec<SeccompRule>, String> {
    let conditions = held.iter().map(|(argument, how, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, how.clone(), *value)
    });
    let rule = conditions.collect::<Result<Vec<_>, _>>().and_then(SeccompRule::new);
    Ok(vec![rule.map_err(|error| error.to_string())?])
}
