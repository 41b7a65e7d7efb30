//! `cargo xtask demo`: everything that can be done so far, as a user would do it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    Result,
    run::{built, cargo, root, run},
};

/// What the demo types in place of a long path.
const HOME: &str = "target/demo/home";
const TOKEN: &str = "target/demo/token";

pub(crate) fn demo() -> Result {
    run(cargo().args([
        "build",
        "--package",
        "jackfield",
        "--package",
        "connector-zoom",
        "--package",
        "zoom-simulator",
    ]))?;
    let directory = root().join("target/demo");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;

    let simulator = Simulator::start(&root().join(TOKEN))?;
    say("A home, and the Zoom connector in it, whose requests go to the Zoom simulator instead of Zoom");
    jackfield(&["init"])?;
    jackfield(&[
        "connector",
        "add",
        "target/debug/libzoom.so",
        "--endpoint",
        &format!("api={}", simulator.api),
        "--endpoint",
        &format!("oauth={}", simulator.oauth),
        "--token-file",
        TOKEN,
    ])?;
    jackfield(&["connector", "list"])?;

    say("What Create Meeting takes; `action form` would ask for it, field by field");
    jackfield(&["action", "show", "zoom.create_meeting"])?;

    say("The eight actions");
    let created = invoke(
        "create_meeting",
        &[
            "topic=Product demo",
            "start_time=2027-03-01T10:00",
            "timezone=Europe/Berlin",
            "settings.approval_type=0",
        ],
    )?;
    let meeting = format!("meeting_id={}", text_of(&created, "id")?);
    invoke("get_meeting", &[&meeting])?;
    invoke("update_meeting", &[&meeting, "topic=Product demo (moved)", "duration=45", "verify=true"])?;
    invoke("get_meetings", &[])?;
    let added = invoke("add_meeting_registrant", &[&meeting, "email=jill@example.com", "first_name=Jill"])?;
    invoke("get_meeting_registrants", &[&meeting])?;
    let registrant = format!("registrant_id={}", text_of(&added, "registrant_id")?);
    invoke("delete_meeting_registrant", &[&meeting, &registrant])?;
    invoke("delete_meeting", &[&meeting])?;

    say("What was done, and how long each took");
    jackfield(&["invocation", "list"])?;
    println!("\nThat is all: eight actions, each a request to the simulator, nothing left running.");
    Ok(())
}

fn text_of(output: &Value, member: &str) -> Result<String> {
    output[member]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("the answer has no `{member}`: {output}"))
}

fn say(text: &str) {
    println!("\n# {text}");
}

fn shown(command: &str) {
    println!("\n$ {command}");
}

fn command(args: &[&str]) -> Command {
    let quoted: Vec<String> = args.iter().map(|word| quote(word)).collect();
    shown(&format!("jackfield --home {HOME} {}", quoted.join(" ")));
    let mut command = Command::new(built().join("jackfield"));
    command.current_dir(root()).arg("--home").arg(HOME).args(args);
    command
}

fn jackfield(args: &[&str]) -> Result {
    run(&mut command(args))
}

/// Runs an action, prints its answer and gives it.
fn invoke(action: &str, sets: &[&str]) -> Result<Value> {
    let action = format!("zoom.{action}");
    let mut args = vec!["action", "invoke", &action];
    for set in sets {
        args.extend(["--set", set]);
    }
    args.extend(["--output", "json"]);
    let output = command(&args)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run jackfield: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    if !output.status.success() {
        return Err(format!("`{action}` failed"));
    }
    serde_json::from_str(&text).map_err(|error| format!("the answer of `{action}` is not JSON: {error}"))
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// The simulator, for as long as the demo runs.
struct Simulator {
    process: Child,
    api: String,
    oauth: String,
}

impl Simulator {
    fn start(token: &Path) -> Result<Self> {
        let mut process = Command::new(built().join("zoom-simulator"))
            .args(["--listen", "127.0.0.1:0", "--ready-json", "--token-file"])
            .arg(token)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the simulator: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let mut simulator = Self { process, api: String::new(), oauth: String::new() };
        simulator.api = text_of(&ready, "api").map_err(|_| "the simulator did not start".to_owned())?;
        simulator.oauth = text_of(&ready, "oauth")?;
        let address = simulator.api.trim_start_matches("http://").split('/').next().unwrap_or_default();
        println!("$ zoom-simulator --listen {address} --token-file {TOKEN} &");
        Ok(simulator)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
