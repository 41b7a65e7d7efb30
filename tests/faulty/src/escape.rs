//! What code in a worker might try in order to get out, each asked of the kernel itself.
//!
//! Each is harmless where it succeeds: a signal is the one that does nothing, a limit is what it was, a child ends at once.

use std::{ffi::CString, io, ptr};

/// What is there to be reached.
#[derive(Debug, Default)]
pub struct Aims {
    /// Files that exist and that anybody may want to read.
    pub read: Vec<String>,
    /// Directories in which a file might be made.
    pub write: Vec<String>,
    /// The host.
    pub parent: i64,
    /// Where somebody listens on this machine.
    pub port: u16,
    /// A socket in the file system at which somebody listens.
    pub socket: String,
}

/// An attempt, and what the kernel answered.
pub type Attempt = (String, Result<i64, i32>);

/// The name of the file that is made where one can be made.
pub const CANARY: &str = "made-by-a-connector";

/// Asks the kernel for something.
fn ask(call: libc::c_long, arguments: [usize; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every pointer among the arguments is one to a value that the caller holds, as long as the call needs it to be;
    // what is asked for changes nothing that this process relies on.
    let answer = unsafe { libc::syscall(call, a, b, c, d, e, f) };
    if answer == -1 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or_default());
    }
    Ok(answer)
}

/// Asks for a copy of this process, which ends at once.
fn fork(call: libc::c_long, arguments: [usize; 6]) -> Result<i64, i32> {
    let answer = ask(call, arguments);
    if answer == Ok(0) {
        // SAFETY: it ends the copy, and runs nothing of this process before.
        unsafe { libc::_exit(0) };
    }
    answer
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

fn at(text: &CString) -> usize {
    text.as_ptr() as usize
}

/// These arguments, and no more.
fn with<const N: usize>(first: [usize; N]) -> [usize; 6] {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&first);
    all
}

const HERE: usize = libc::AT_FDCWD as usize;

/// What is refused from the moment a library is opened.
pub fn always(aims: &Aims) -> Vec<Attempt> {
    let mut tried = Vec::new();
    files(aims, &mut tried);
    sockets(aims, &mut tried);
    processes(&mut tried);
    others(aims, &mut tried);
    system(&mut tried);
    limits(&mut tried);
    tried
}

/// What is refused once it is loaded: loading itself needs some of it.
pub fn after_loading(aims: &Aims) -> Vec<Attempt> {
    let mut tried = Vec::new();
    let mut space = [0_u8; 4096];
    let room = space.as_mut_ptr() as usize;
    for path in &aims.read {
        let name = text(path);
        let mut note = |what: &str, answer| tried.push((format!("{what} {path}"), answer));
        note("stat", ask(libc::SYS_newfstatat, with([HERE, at(&name), room, 0])));
        note("statx", ask(libc::SYS_statx, with([HERE, at(&name), 0, 0x7ff, room])));
        note("readlinkat", ask(libc::SYS_readlinkat, with([HERE, at(&name), room, 4096])));
        let only_the_path = (libc::O_PATH | libc::O_CLOEXEC) as usize;
        note("open the path of", ask(libc::SYS_openat, with([HERE, at(&name), only_the_path])));
    }
    let link = text("/proc/self/exe");
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    note("readlinkat /proc/self/exe", ask(libc::SYS_readlinkat, with([HERE, at(&link), room, 4096])));
    note("fstat", ask(libc::SYS_fstat, with([2, room])));
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let code = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    note("mmap of code", ask(libc::SYS_mmap, with([0, 4096, code, private, usize::MAX])));
    let data = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // Without a page of its own there is no address, and another error.
    let page = ask(libc::SYS_mmap, with([0, 4096, data, private, usize::MAX])).unwrap_or_default();
    note("mprotect of data to code", ask(libc::SYS_mprotect, with([page as usize, 4096, code])));
    let unfiltered = 1;
    note("seccomp", ask(libc::SYS_seccomp, with([unfiltered, 0, 0])));
    tried
}

fn files(aims: &Aims, tried: &mut Vec<Attempt>) {
    let read = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    for path in &aims.read {
        let name = text(path);
        tried.push((format!("openat {path}"), ask(libc::SYS_openat, with([HERE, at(&name), read]))));
        #[cfg(target_arch = "x86_64")]
        tried.push((format!("open {path}"), ask(libc::SYS_open, with([at(&name), read]))));
        // The kernel's own `struct open_how`: flags, mode, resolve.
        let how = [read as u64, 0, 0];
        let how = with([HERE, at(&name), how.as_ptr() as usize, size_of_val(&how)]);
        tried.push((format!("openat2 {path}"), ask(libc::SYS_openat2, how)));
        tried.push((format!("faccessat {path}"), ask(libc::SYS_faccessat, with([HERE, at(&name), 4]))));
    }
    let list = (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as usize;
    for path in ["/", "/proc/self/fd", "/tmp"] {
        let name = text(path);
        tried.push((format!("list {path}"), ask(libc::SYS_openat, with([HERE, at(&name), list]))));
    }
    let make = (libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC) as usize;
    let unnamed = (libc::O_RDWR | libc::O_TMPFILE | libc::O_CLOEXEC) as usize;
    for path in &aims.write {
        let name = text(&format!("{path}/{CANARY}"));
        tried.push((
            format!("make a file in {path}"),
            ask(libc::SYS_openat, with([HERE, at(&name), make, 0o600])),
        ));
        tried.push((format!("mkdir in {path}"), ask(libc::SYS_mkdirat, with([HERE, at(&name), 0o700]))));
        tried.push((
            format!("symlink in {path}"),
            ask(libc::SYS_symlinkat, with([at(&name), HERE, at(&name)])),
        ));
        tried.push((format!("mknod in {path}"), ask(libc::SYS_mknodat, with([HERE, at(&name), 0o10600]))));
        let directory = text(path);
        tried.push((
            format!("make a file without a name in {path}"),
            ask(libc::SYS_openat, with([HERE, at(&directory), unnamed, 0o600])),
        ));
        tried.push((format!("chmod {path}"), ask(libc::SYS_fchmodat, with([HERE, at(&directory), 0o700]))));
        tried.push((format!("chdir {path}"), ask(libc::SYS_chdir, with([at(&directory)]))));
        tried.push((format!("unlink in {path}"), ask(libc::SYS_unlinkat, with([HERE, at(&name), 0]))));
    }
    let write = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    for path in [
        "/proc/self/mem",
        "/proc/self/oom_score_adj",
        "/proc/self/comm",
        "/proc/self/uid_map",
        "/proc/sys/kernel/core_pattern",
        "/dev/tty",
        "/dev/null",
    ] {
        let name = text(path);
        tried.push((format!("write {path}"), ask(libc::SYS_openat, with([HERE, at(&name), write]))));
    }
    for path in ["/proc/self/environ", "/proc/self/maps", "/proc/1/environ", "/dev/null"] {
        let name = text(path);
        tried.push((format!("read {path}"), ask(libc::SYS_openat, with([HERE, at(&name), read]))));
    }
}

fn sockets(aims: &Aims, tried: &mut Vec<Attempt>) {
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    let stream = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
    let raw = (libc::SOCK_RAW | libc::SOCK_CLOEXEC) as usize;
    for (what, family, kind) in [
        ("socket inet", libc::AF_INET, stream),
        ("socket inet datagram", libc::AF_INET, libc::SOCK_DGRAM as usize),
        ("socket inet6", libc::AF_INET6, stream),
        ("socket unix", libc::AF_UNIX, stream),
        ("socket netlink", libc::AF_NETLINK, raw),
        ("socket packet", libc::AF_PACKET, raw),
        ("socket vsock", libc::AF_VSOCK, stream),
        ("socket alg", libc::AF_ALG, libc::SOCK_SEQPACKET as usize),
    ] {
        note(what, ask(libc::SYS_socket, with([family as usize, kind])));
    }
    let mut pair = [0_i32; 2];
    let to = pair.as_mut_ptr() as usize;
    note("socketpair", ask(libc::SYS_socketpair, with([libc::AF_UNIX as usize, stream, 0, to])));
    note("pipe2", ask(libc::SYS_pipe2, with([to, 0])));
    // Whatever socket there is: one that could be made, or else the one to the host.
    let mut inet = [0_u8; 16];
    inet[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    inet[2..4].copy_from_slice(&aims.port.to_be_bytes());
    inet[4..8].copy_from_slice(&[127, 0, 0, 1]);
    let mut unix = [0_u8; 110];
    unix[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let path = aims.socket.as_bytes();
    let len = path.len().min(100);
    unix[2..2 + len].copy_from_slice(&path[..len]);
    for (family, name, address, len) in [
        (libc::AF_INET, "inet", inet.as_ptr() as usize, inet.len()),
        (libc::AF_UNIX, "unix", unix.as_ptr() as usize, 3 + len),
    ] {
        let socket = ask(libc::SYS_socket, with([family as usize, stream])).unwrap_or(3) as usize;
        note(&format!("connect {name}"), ask(libc::SYS_connect, with([socket, address, len])));
        note(&format!("bind {name}"), ask(libc::SYS_bind, with([socket, address, len])));
    }
    for socket in 0..16 {
        // Somebody's socket may be among these numbers.
        note(&format!("listen {socket}"), ask(libc::SYS_listen, with([socket, 1])));
    }
    let mut word = *b"x";
    let vector = libc::iovec { iov_base: word.as_mut_ptr().cast(), iov_len: 1 };
    // A header, its kind, and one descriptor.
    let mut control = [0_u64; 3];
    control[0] = 20;
    let kinds = control[1..].as_mut_ptr().cast::<i32>();
    // SAFETY: three numbers of four bytes fit into the sixteen bytes there.
    unsafe {
        kinds.write(libc::SOL_SOCKET);
        kinds.add(1).write(libc::SCM_RIGHTS);
        kinds.add(2).write(0);
    }
    // SAFETY: it is numbers and pointers, all of which may be nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const vector).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = 24;
    let message = (&raw const message) as usize;
    for call in [("sendmsg", libc::SYS_sendmsg), ("recvmsg", libc::SYS_recvmsg)] {
        // No descriptor has this number: were it to go further than the filter, it would say so.
        note(&format!("{} with descriptors", call.0), ask(call.1, with([60, message, 0])));
    }
    note("accept4", ask(libc::SYS_accept4, with([60, 0, 0, 0])));
    note("setsockopt", ask(libc::SYS_setsockopt, with([60, 1, 2, to, 4])));
}

fn processes(tried: &mut Vec<Attempt>) {
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    let shell = text("/bin/sh");
    let none = [ptr::null::<u8>()];
    let none = none.as_ptr() as usize;
    note("execve", ask(libc::SYS_execve, with([at(&text("/nonexistent/shell")), none, none])));
    note(
        "execveat",
        ask(libc::SYS_execveat, with([60, at(&shell), none, none, libc::AT_EMPTY_PATH as usize])),
    );
    let ends = libc::SIGCHLD as usize;
    #[cfg(target_arch = "x86_64")]
    {
        note("fork", fork(libc::SYS_fork, with([])));
        note("vfork", fork(libc::SYS_vfork, with([])));
    }
    note("clone", fork(libc::SYS_clone, with([ends])));
    // The kernel's `struct clone_args`; the fifth is the signal at its end.
    let mut how = [0_u64; 11];
    how[4] = ends as u64;
    note("clone3", fork(libc::SYS_clone3, with([how.as_ptr() as usize, size_of_val(&how)])));
    for (what, flag) in [
        ("clone with a user namespace", libc::CLONE_NEWUSER),
        ("clone with a network namespace", libc::CLONE_NEWUSER | libc::CLONE_NEWNET),
        ("clone with a process namespace", libc::CLONE_NEWUSER | libc::CLONE_NEWPID),
    ] {
        note(what, fork(libc::SYS_clone, with([flag as usize | ends])));
    }
    note("unshare of users", ask(libc::SYS_unshare, with([libc::CLONE_NEWUSER as usize])));
    note("unshare of files", ask(libc::SYS_unshare, with([libc::CLONE_FILES as usize])));
    note("setns", ask(libc::SYS_setns, with([60, 0])));
    let thread = std::thread::Builder::new().spawn(|| {});
    let thread = thread.map(|_| 0).map_err(|error| error.raw_os_error().unwrap_or_default());
    note("a thread", thread);
    note("setsid", ask(libc::SYS_setsid, with([])));
    note("setpgid", ask(libc::SYS_setpgid, with([0, 0])));
    note("wait4", ask(libc::SYS_wait4, with([usize::MAX, 0, libc::WNOHANG as usize, 0])));
}

/// Other processes, the host before all.
fn others(aims: &Aims, tried: &mut Vec<Attempt>) {
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    note("getppid", ask(libc::SYS_getppid, with([])));
    let parent = aims.parent as usize;
    let seize = 0x4206;
    note("ptrace", ask(libc::SYS_ptrace, with([seize, parent, 0, 0])));
    let mut space = [0_u8; 16];
    let near = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: 16 };
    let far = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: 0 };
    let (near, far) = ((&raw const near) as usize, (&raw const far) as usize);
    note("process_vm_readv", ask(libc::SYS_process_vm_readv, [parent, near, 1, far, 1, 0]));
    note("process_vm_writev", ask(libc::SYS_process_vm_writev, [parent, near, 1, far, 1, 0]));
    note("process_madvise", ask(libc::SYS_process_madvise, with([60, near, 1, 21])));
    note("kcmp", ask(libc::SYS_kcmp, with([parent, parent, 2])));
    for (whom, number) in [("the host", parent), ("its group", 0), ("everybody", usize::MAX)] {
        note(&format!("kill {whom}"), ask(libc::SYS_kill, with([number, 0])));
    }
    note("kill itself", ask(libc::SYS_kill, with([std::process::id() as usize, 0])));
    note("tkill the host", ask(libc::SYS_tkill, with([parent, 0])));
    note("tgkill the host", ask(libc::SYS_tgkill, with([parent, parent, 0])));
    let mut about = [0_u64; 16];
    // From somebody who has made it up.
    about[1] = (libc::SI_QUEUE as u32).into();
    let about = about.as_ptr() as usize;
    note("rt_sigqueueinfo to the host", ask(libc::SYS_rt_sigqueueinfo, with([parent, 0, about])));
    note("rt_tgsigqueueinfo to the host", ask(libc::SYS_rt_tgsigqueueinfo, with([parent, parent, 0, about])));
    note("pidfd_open of the host", ask(libc::SYS_pidfd_open, with([parent, 0])));
    note("pidfd_send_signal", ask(libc::SYS_pidfd_send_signal, with([60, 0, 0, 0])));
    note("pidfd_getfd", ask(libc::SYS_pidfd_getfd, with([60, 0, 0])));
    // The kernel sends the signal then: on behalf of whoever has asked for it.
    note("fcntl F_SETOWN", ask(libc::SYS_fcntl, with([0, libc::F_SETOWN as usize, parent])));
    let set_signal = 10;
    note("fcntl F_SETSIG", ask(libc::SYS_fcntl, with([0, set_signal, libc::SIGKILL as usize])));
    note("fcntl F_DUPFD", ask(libc::SYS_fcntl, with([0, libc::F_DUPFD as usize, 0])));
    let limit = [u64::MAX; 2];
    let limit = limit.as_ptr() as usize;
    let files = libc::RLIMIT_NOFILE as usize;
    note("prlimit64 of the host", ask(libc::SYS_prlimit64, with([parent, files, limit, 0])));
    note("setpriority of the host", ask(libc::SYS_setpriority, with([0, parent, 0])));
    note("sched_setaffinity of the host", ask(libc::SYS_sched_setaffinity, with([parent, 8, about])));
    note("ioprio_set", ask(libc::SYS_ioprio_set, with([1, parent, 0])));
}

fn system(tried: &mut Vec<Attempt>) {
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    let name = text("x");
    let here = text("/");
    let mut space = [0_u8; 256];
    let room = space.as_mut_ptr() as usize;
    note("memfd_create", ask(libc::SYS_memfd_create, with([at(&name), 0])));
    note("memfd_secret", ask(libc::SYS_memfd_secret, with([0])));
    note("io_uring_setup", ask(libc::SYS_io_uring_setup, with([1, room])));
    note("io_setup", ask(libc::SYS_io_setup, with([1, room])));
    space[..128].fill(0);
    note("bpf", ask(libc::SYS_bpf, with([0, room, 48])));
    note("perf_event_open", ask(libc::SYS_perf_event_open, with([room, 0, usize::MAX, usize::MAX])));
    note("userfaultfd", ask(libc::SYS_userfaultfd, with([1])));
    let kind = text("user");
    note("add_key", ask(libc::SYS_add_key, with([at(&kind), at(&name), room, 1, (-3_isize) as usize])));
    note("request_key", ask(libc::SYS_request_key, with([at(&kind), at(&name), 0, 0])));
    note("keyctl", ask(libc::SYS_keyctl, with([0, (-3_isize) as usize, 0])));
    let tmpfs = text("tmpfs");
    let nowhere = text("/nonexistent");
    note("mount", ask(libc::SYS_mount, with([at(&tmpfs), at(&nowhere), at(&tmpfs)])));
    note("umount2", ask(libc::SYS_umount2, with([at(&nowhere), 0])));
    note("fsopen", ask(libc::SYS_fsopen, with([at(&tmpfs), 0])));
    note("open_tree", ask(libc::SYS_open_tree, with([HERE, at(&here), 0])));
    note("pivot_root", ask(libc::SYS_pivot_root, with([at(&nowhere), at(&nowhere)])));
    note("chroot", ask(libc::SYS_chroot, with([at(&here)])));
    note("name_to_handle_at", ask(libc::SYS_name_to_handle_at, with([HERE, at(&here), room, room + 128])));
    note("open_by_handle_at", ask(libc::SYS_open_by_handle_at, with([HERE, room, 0])));
    note("fanotify_init", ask(libc::SYS_fanotify_init, with([0, 0])));
    note("inotify_init1", ask(libc::SYS_inotify_init1, with([0])));
    note("ioctl", ask(libc::SYS_ioctl, with([0, libc::TIOCSTI as usize, room])));
    note("landlock_create_ruleset", ask(libc::SYS_landlock_create_ruleset, with([0, 0, 1])));
    note("shmget", ask(libc::SYS_shmget, with([0, 4096, 0o1600])));
    note("mq_open", ask(libc::SYS_mq_open, with([at(&name), 0])));
    note("sethostname", ask(libc::SYS_sethostname, with([at(&name), 0])));
    note("clock_settime", ask(libc::SYS_clock_settime, with([60, room])));
    note("init_module", ask(libc::SYS_init_module, with([room, 0, at(&name)])));
    note("syslog", ask(libc::SYS_syslog, with([3, room, 16])));
    note("swapon", ask(libc::SYS_swapon, with([at(&nowhere), 0])));
    note("quotactl", ask(libc::SYS_quotactl, with([0, at(&nowhere), 0, 0])));
    #[cfg(target_arch = "x86_64")]
    {
        note("iopl", ask(libc::SYS_iopl, with([0])));
        note("modify_ldt", ask(libc::SYS_modify_ldt, with([0, room, 16])));
        // The same number in another table of the kernel's: getpid, for one.
        let x32 = 0x4000_0000;
        note("x32", ask(x32 | libc::SYS_getpid, with([])));
    }
}

/// What it is held to.
fn limits(tried: &mut Vec<Attempt>) {
    let mut note = |what: &str, answer| tried.push((what.to_owned(), answer));
    let most = [u64::MAX; 2];
    let most = most.as_ptr() as usize;
    for (what, limit) in [
        ("processor time", libc::RLIMIT_CPU),
        ("memory", libc::RLIMIT_AS),
        ("files", libc::RLIMIT_NOFILE),
        ("the length of files", libc::RLIMIT_FSIZE),
    ] {
        note(&format!("prlimit64 of {what}"), ask(libc::SYS_prlimit64, with([0, limit as usize, most, 0])));
        note(&format!("setrlimit of {what}"), ask(libc::SYS_setrlimit, with([limit as usize, most])));
    }
    // Each would leave it as it is, or as it should not be.
    note("prctl PR_SET_PDEATHSIG", ask(libc::SYS_prctl, with([libc::PR_SET_PDEATHSIG as usize, 0])));
    note("prctl PR_SET_DUMPABLE", ask(libc::SYS_prctl, with([libc::PR_SET_DUMPABLE as usize, 1])));
    note("prctl PR_SET_NAME", ask(libc::SYS_prctl, with([libc::PR_SET_NAME as usize, at(&text("init"))])));
    note("prctl PR_SET_PTRACER", ask(libc::SYS_prctl, with([libc::PR_SET_PTRACER as usize, usize::MAX])));
    note("personality", ask(libc::SYS_personality, with([0xffff_ffff])));
    // What the kernel calls `struct sigaction`: to ignore a signal.
    let ignore = [1_u64, 0, 0, 0];
    let ignore = ignore.as_ptr() as usize;
    let signal = libc::SIGXCPU as usize;
    note("rt_sigaction of SIGXCPU", ask(libc::SYS_rt_sigaction, with([signal, ignore, 0, 8])));
    let set = [1_u64 << (signal - 1)];
    note("rt_sigprocmask of SIGXCPU", ask(libc::SYS_rt_sigprocmask, with([0, set.as_ptr() as usize, 0, 8])));
    note("setuid", ask(libc::SYS_setuid, with([0])));
    note("setgid", ask(libc::SYS_setgid, with([0])));
    note("setresuid", ask(libc::SYS_setresuid, with([0, 0, 0])));
    note("setgroups", ask(libc::SYS_setgroups, with([0, 0])));
    // A version, itself; and all rights.
    let (header, rights) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
    let capabilities = with([header.as_ptr() as usize, rights.as_ptr() as usize]);
    note("capset", ask(libc::SYS_capset, capabilities));
    note("mlockall", ask(libc::SYS_mlockall, with([1])));
    note("timer_create", ask(libc::SYS_timer_create, with([0, 0, 0])));
    note("setitimer", ask(libc::SYS_setitimer, with([0, 0, 0])));
    note("dup", ask(libc::SYS_dup, with([0])));
}

/// Which descriptors are open, of those that a process might have, and what they are.
pub fn descriptors() -> Vec<String> {
    let mut found = Vec::new();
    for number in 0..128_usize {
        let nothing = [0_u8; 1].as_ptr() as usize;
        let read = ask(libc::SYS_read, with([number, nothing, 0]));
        let written = ask(libc::SYS_write, with([number, nothing, 0]));
        let closed = Err(libc::EBADF);
        if read == closed && written == closed {
            continue;
        }
        let look = (libc::MSG_PEEK | libc::MSG_DONTWAIT) as usize;
        let socket = ask(libc::SYS_recvfrom, with([number, nothing, 0, look])) != Err(libc::ENOTSOCK);
        let what = match (socket, read) {
            (true, _) => "socket",
            (_, Ok(_)) => "can be read",
            (_, Err(libc::EBADF)) => "can be written",
            _ => "waits",
        };
        found.push(format!("{number} {what}"));
    }
    found
}

/// What was answered, one attempt a line.
pub fn told(tried: &[Attempt]) -> String {
    let line = |(name, answer): &Attempt| match answer {
        Ok(_) => format!("{name}: succeeded"),
        Err(libc::EPERM) => format!("{name}: EPERM"),
        Err(libc::EACCES) => format!("{name}: EACCES"),
        Err(other) => format!("{name}: error {other}"),
    };
    tried.iter().map(line).collect::<Vec<_>>().join("\n")
}
