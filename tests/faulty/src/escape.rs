//! What a hostile connector would try, each by the system call itself: to see that the kernel refuses it.
//!
//! Each attempt says what came of it in few words. None does harm where it succeeds.

use std::{ffi::CString, io};

/// What an attempt is aimed at.
pub struct Aim<'a> {
    /// A file to read, or to write.
    pub path: &'a str,
    /// A port of this machine at which somebody listens.
    pub port: u16,
    /// The process that has started this one.
    pub parent: i32,
}

/// Every attempt, by its name.
pub const ATTEMPTS: &[&str] = &[
    "open-to-read",
    "open-to-write",
    "open-a-directory",
    "open-by-openat2",
    "make-a-directory",
    "remove",
    "rename",
    "link",
    "chmod",
    "truncate",
    "stat",
    "access",
    "readlink",
    "socket-inet",
    "socket-inet6",
    "socket-unix",
    "socket-netlink",
    "socket-packet",
    "socketpair",
    "connect",
    "bind",
    "exec",
    "execveat",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "clone-with-a-user-namespace",
    "unshare",
    "setns",
    "thread",
    "ptrace",
    "read-the-parents-memory",
    "write-the-parents-memory",
    "kill-the-parent",
    "kill-all",
    "tgkill-the-parent",
    "tkill-the-parent",
    "pidfd-of-the-parent",
    "queue-a-signal",
    "own-signals-of-a-file",
    "memory-file",
    "io-uring",
    "bpf",
    "perf",
    "userfaultfd",
    "add-a-key",
    "mount",
    "chroot",
    "pivot-root",
    "open-by-handle",
    "raise-the-processor-limit",
    "raise-the-memory-limit",
    "outlive-the-parent",
    "personality",
    "ignore-sigxcpu",
    "block-sigxcpu",
    "executable-memory",
    "make-memory-executable",
    "send-a-descriptor",
    "ioctl",
    "duplicate-a-descriptor",
    "setuid",
    "capset",
    "write-own-memory-file",
    "write-oom-score",
    "list-descriptors",
    "another-filter",
    "set-a-timer",
    "read-the-clock-of-others",
    "inotify",
    "shared-memory",
];

/// Tries one of them.
pub fn attempt(name: &str, aim: &Aim<'_>) -> String {
    let path = CString::new(aim.path).unwrap_or_default();
    let shell = CString::new("/bin/true").unwrap_or_default();
    let (at, parent) = (libc::AT_FDCWD, aim.parent);
    let proc_file = |file: &str| CString::new(format!("/proc/self/{file}")).unwrap_or_default();
    let mut space = [0_u8; 512];
    let out = space.as_mut_ptr();
    let zero: libc::c_long = 0;
    let arguments = [shell.as_ptr(), std::ptr::null()];
    let vector = libc::iovec { iov_base: out.cast(), iov_len: 8 };
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let mut address: libc::sockaddr_in = unsafe_zeroed();
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = aim.port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);

    /// One system call, its result kept as it is.
    macro_rules! call {
        ($number:ident $(, $argument:expr)* $(,)?) => {{
            // SAFETY: what is passed by address lives until the end of this function; what the call does is the test.
            let result = unsafe { libc::syscall(libc::$number $(, $argument)*) };
            said(result)
        }};
    }

    match name {
        "open-to-read" => call!(SYS_openat, at, path.as_ptr(), libc::O_RDONLY),
        "open-to-write" => call!(SYS_openat, at, path.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600),
        "open-a-directory" => call!(SYS_openat, at, c"/".as_ptr(), libc::O_DIRECTORY),
        "open-by-openat2" => {
            let how = [0_u64; 3];
            call!(SYS_openat2, at, path.as_ptr(), how.as_ptr(), 24)
        }
        "make-a-directory" => call!(SYS_mkdirat, at, path.as_ptr(), 0o700),
        "remove" => call!(SYS_unlinkat, at, path.as_ptr(), 0),
        "rename" => call!(SYS_renameat2, at, path.as_ptr(), at, c"/nowhere/renamed".as_ptr(), 0),
        "link" => call!(SYS_linkat, at, path.as_ptr(), at, c"/nowhere/linked".as_ptr(), 0),
        "chmod" => call!(SYS_fchmodat, at, path.as_ptr(), 0o666),
        "truncate" => call!(SYS_truncate, path.as_ptr(), zero),
        "stat" => call!(SYS_newfstatat, at, path.as_ptr(), out, 0),
        "access" => call!(SYS_faccessat, at, path.as_ptr(), libc::R_OK),
        "readlink" => call!(SYS_readlinkat, at, c"/proc/self/exe".as_ptr(), out, 512),
        "socket-inet" => call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
        "socket-inet6" => call!(SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, 0),
        "socket-unix" => call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
        "socket-netlink" => call!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0),
        "socket-packet" => call!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0),
        "socketpair" => call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, out),
        // At every descriptor that there may be, should one of them be a socket that can.
        "connect" => each(|descriptor| {
            call!(SYS_connect, descriptor, &raw const address, size_of::<libc::sockaddr_in>())
        }),
        "bind" => {
            each(|descriptor| call!(SYS_bind, descriptor, &raw const address, size_of::<libc::sockaddr_in>()))
        }
        "exec" => call!(SYS_execve, shell.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr()),
        "execveat" => call!(SYS_execveat, at, shell.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr(), 0),
        "fork" | "clone" => child(call!(SYS_clone, libc::SIGCHLD, zero, zero, zero, zero)),
        #[cfg(target_arch = "x86_64")]
        "vfork" => child(call!(SYS_fork)),
        #[cfg(not(target_arch = "x86_64"))]
        "vfork" => "not there".to_owned(),
        "clone3" => {
            let how = [0_u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
            child(call!(SYS_clone3, how.as_ptr(), 64))
        }
        "clone-with-a-user-namespace" => {
            child(call!(SYS_clone, libc::SIGCHLD | libc::CLONE_NEWUSER, zero, zero, zero, zero))
        }
        "unshare" => call!(SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS),
        "setns" => each(|descriptor| call!(SYS_setns, descriptor, 0)),
        "thread" => match std::thread::Builder::new().spawn(|| ()) {
            Ok(_) => "succeeded".to_owned(),
            Err(error) => format!("refused: {}", error.raw_os_error().unwrap_or(0)),
        },
        "ptrace" => call!(SYS_ptrace, libc::PTRACE_ATTACH, parent, zero, zero),
        "read-the-parents-memory" => {
            call!(SYS_process_vm_readv, parent, &raw const vector, 1, &raw const vector, 1, 0)
        }
        "write-the-parents-memory" => {
            call!(SYS_process_vm_writev, parent, &raw const vector, 1, &raw const vector, 1, 0)
        }
        // Signal 0 asks whether one could be sent.
        "kill-the-parent" => call!(SYS_kill, parent, 0),
        "kill-all" => call!(SYS_kill, -1, 0),
        "tgkill-the-parent" => call!(SYS_tgkill, parent, parent, 0),
        "tkill-the-parent" => call!(SYS_tkill, parent, 0),
        "pidfd-of-the-parent" => call!(SYS_pidfd_open, parent, 0),
        "queue-a-signal" => call!(SYS_rt_sigqueueinfo, parent, 0, out),
        "own-signals-of-a-file" => each(|descriptor| call!(SYS_fcntl, descriptor, libc::F_SETOWN, parent)),
        "memory-file" => call!(SYS_memfd_create, c"escape".as_ptr(), 0),
        "io-uring" => call!(SYS_io_uring_setup, 4, out),
        "bpf" => call!(SYS_bpf, 0, out, 64),
        "perf" => call!(SYS_perf_event_open, out, 0, -1, -1, 0),
        "userfaultfd" => call!(SYS_userfaultfd, 1),
        "add-a-key" => call!(SYS_add_key, c"user".as_ptr(), c"escape".as_ptr(), out, 8, -3),
        "mount" => call!(SYS_mount, c"none".as_ptr(), c"/nowhere".as_ptr(), c"tmpfs".as_ptr(), zero, zero),
        "chroot" => call!(SYS_chroot, c"/nowhere".as_ptr()),
        "pivot-root" => call!(SYS_pivot_root, c"/nowhere".as_ptr(), c"/nowhere".as_ptr()),
        "open-by-handle" => call!(SYS_open_by_handle_at, at, out, 0),
        "raise-the-processor-limit" => call!(SYS_prlimit64, 0, libc::RLIMIT_CPU, &raw const limit, zero),
        "raise-the-memory-limit" => call!(SYS_setrlimit, libc::RLIMIT_AS, &raw const limit),
        "outlive-the-parent" => call!(SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0),
        "personality" => call!(SYS_personality, 0x0004_0000),
        "ignore-sigxcpu" => {
            let action = [1_usize, 0, 0, 0];
            call!(SYS_rt_sigaction, libc::SIGXCPU, action.as_ptr(), zero, 8)
        }
        "block-sigxcpu" => {
            let mask = 1_u64 << (libc::SIGXCPU - 1);
            call!(SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const mask, zero, 8)
        }
        "executable-memory" => {
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            call!(SYS_mmap, zero, 4096, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, zero)
        }
        "make-memory-executable" => {
            let page = out as usize & !4095;
            call!(SYS_mprotect, page, 4096, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)
        }
        "send-a-descriptor" => {
            let message: libc::msghdr = unsafe_zeroed();
            each(|descriptor| call!(SYS_sendmsg, descriptor, &raw const message, libc::MSG_DONTWAIT))
        }
        "ioctl" => each(|descriptor| call!(SYS_ioctl, descriptor, libc::FIONREAD, out)),
        "duplicate-a-descriptor" => call!(SYS_dup, 2),
        "setuid" => call!(SYS_setuid, 0),
        "capset" => {
            let header = [0x2008_0522_u32, 0];
            call!(SYS_capset, header.as_ptr(), out)
        }
        "write-own-memory-file" => call!(SYS_openat, at, proc_file("mem").as_ptr(), libc::O_RDWR),
        "write-oom-score" => call!(SYS_openat, at, proc_file("oom_score_adj").as_ptr(), libc::O_WRONLY),
        "list-descriptors" => call!(SYS_openat, at, proc_file("fd").as_ptr(), libc::O_DIRECTORY),
        "another-filter" => call!(SYS_seccomp, 0, 0, zero),
        "set-a-timer" => call!(SYS_timer_create, libc::CLOCK_MONOTONIC, zero, out),
        "read-the-clock-of-others" => call!(SYS_sched_setaffinity, parent, 8, out),
        "inotify" => call!(SYS_inotify_init1, 0),
        "shared-memory" => call!(SYS_shmget, 1, 4096, 0o1600),
        other => format!("nobody knows how to try `{other}`"),
    }
}

/// The descriptors that are open, found by reading nothing from each.
pub fn descriptors() -> Vec<i32> {
    let is_open = |descriptor: &i32| {
        // SAFETY: of length 0, nothing is written anywhere.
        let read = unsafe { libc::syscall(libc::SYS_read, *descriptor, std::ptr::null_mut::<u8>(), 0) };
        read == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EBADF)
    };
    (0..256).filter(is_open).collect()
}

/// The same at each descriptor: whether it succeeded at any.
fn each(mut attempt: impl FnMut(i32) -> String) -> String {
    let mut last = String::new();
    for descriptor in 0..64 {
        last = attempt(descriptor);
        if last == "succeeded" {
            break;
        }
    }
    last
}

/// Ends at once what is a child now.
fn child(said: String) -> String {
    // SAFETY: it has no arguments that could be wrong.
    if said == "succeeded" && unsafe { libc::syscall(libc::SYS_getppid) } == i64::from(std::process::id()) {
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    }
    said
}

fn said(result: libc::c_long) -> String {
    if result >= 0 {
        return "succeeded".to_owned();
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EPERM) => "refused".to_owned(),
        Some(libc::EACCES) => "refused by Landlock".to_owned(),
        other => format!("failed: {}", other.unwrap_or(0)),
    }
}

/// A structure of the C library, all of it zero.
fn unsafe_zeroed<T>() -> T {
    // SAFETY: it is used for structures of numbers and addresses, for which zero is a value.
    unsafe { std::mem::zeroed() }
}
