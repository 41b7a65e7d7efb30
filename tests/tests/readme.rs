//! README's five commands, typed into a shell one after the other by somebody who has just cloned.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use jackfield_tests::root;

/// Where README's simulator listens.
const USUAL: &str = "127.0.0.1:4510";

/// The block of commands that begins with this one.
fn block<'a>(readme: &'a str, first: &str) -> Vec<&'a str> {
    let start = readme.find(&format!("```sh\n{first}\n")).expect("README has them") + "```sh\n".len();
    readme[start..].lines().take_while(|line| *line != "```").collect()
}

/// A simulator that was left in the background ends with the test.
struct Ends<'a>(&'a Path);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.0) {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

#[test]
fn five_commands_lead_from_a_clone_to_the_first_meeting() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = block(&readme, "cargo xtask install");
    assert_eq!(commands.len(), 5, "{commands:?}");
    let place = tempfile::tempdir().unwrap();
    let (home, installed, pid) =
        (place.path().join("user"), place.path().join("cargo"), place.path().join("pid"));
    fs::create_dir(&home).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let token = place.path().join("token").display().to_string();
    let _ends = Ends(&pid);
    // The installation with all optimisations takes minutes, and differs from this one in how it is built alone. Where
    // the simulator listens and leaves the token is not what is there for everybody.
    let typed = |command: &str| {
        let command = command
            .replace("xtask install", "xtask install --debug")
            .replace("zoom-simulator", &format!("zoom-simulator --listen {address}"))
            .replace("-file token", &format!("-file {token}"))
            .replace(USUAL, &address);
        match command.strip_suffix(" &") {
            Some(server) => format!("{server} > /dev/null 2>&1 & echo $! > {}", pid.display()),
            None => command,
        }
    };
    let path = format!("{}:{}", installed.join("bin").display(), std::env::var("PATH").unwrap());
    let mut said = String::new();
    for command in &commands {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &typed(command)])
            .current_dir(root())
            .env_remove("JACKFIELD_HOME")
            .env("CARGO_INSTALL_ROOT", &installed)
            .env("CARGO_HOME", std::env::var_os("CARGO_HOME").unwrap_or_else(|| usual(".cargo")))
            .env("RUSTUP_HOME", std::env::var_os("RUSTUP_HOME").unwrap_or_else(|| usual(".rustup")))
            .env("HOME", &home)
            .env("PATH", &path)
            .stdin(Stdio::null());
        let output = shell.output().unwrap();
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{said}{wrong}");
        if command.ends_with('&') {
            listens(&address);
        }
    }
    assert!(said.contains("join_url"), "{said}");
    let left = |directory: &str| fs::read_dir(installed.join(directory)).into_iter().flatten().count();
    assert_eq!((left("bin"), left("lib/jackfield")), (2, 1));
    let removed = Command::new("cargo")
        .args(["xtask", "install", "--remove"])
        .current_dir(root())
        .env("CARGO_INSTALL_ROOT", &installed)
        .output()
        .unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!((left("bin"), left("lib/jackfield")), (0, 0), "what was put there can be removed");
}

fn usual(directory: &str) -> std::ffi::OsString {
    std::env::home_dir().unwrap().join(directory).into()
}

fn listens(address: &str) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
