//! `cargo xtask demo`: everything that can be done so far, as a user would do it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
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
    let demo = Demo { home: root().join(HOME) };
    demo.say("A home, and the Zoom connector dropped into it");
    demo.jackfield(&["init"])?;
    demo.shown(&format!("cp target/debug/libzoom.so {HOME}/plugins/"));
    fs::copy(built().join("libzoom.so"), demo.home.join("plugins/libzoom.so"))
        .map_err(|error| error.to_string())?;
    demo.jackfield(&["connector", "list"])?;

    demo.say("Requests go to the Zoom simulator instead of Zoom, because jackfield.toml says so");
    let endpoints = format!(
        "[integrations.zoom.endpoints]\napi = \"{}\"\noauth = \"{}\"\n",
        simulator.api, simulator.oauth
    );
    demo.shown(&format!("cat >> {HOME}/jackfield.toml <<END\n{endpoints}END"));
    let config = demo.home.join("jackfield.toml");
    let text = fs::read_to_string(&config).map_err(|error| error.to_string())?;
    fs::write(&config, text + "\n" + &endpoints).map_err(|error| error.to_string())?;

    demo.say("What Create Meeting takes");
    demo.jackfield(&["action", "form", "zoom.create_meeting"])?;

    demo.say("The eight actions");
    let created = demo.invoke(
        "create_meeting",
        &[
            "topic=Product demo",
            "start_time=2027-03-01T10:00",
            "timezone=Europe/Berlin",
            "settings.approval_type=0",
        ],
    )?;
    let meeting = format!("meeting_id={}", text_of(&created, "id")?);
    demo.invoke("get_meeting", &[&meeting])?;
    demo.invoke("update_meeting", &[&meeting, "topic=Product demo (moved)", "duration=45", "verify=true"])?;
    demo.invoke("get_meetings", &[])?;
    let added =
        demo.invoke("add_meeting_registrant", &[&meeting, "email=jill@example.com", "first_name=Jill"])?;
    demo.invoke("get_meeting_registrants", &[&meeting])?;
    let registrant = format!("registrant_id={}", text_of(&added, "registrant_id")?);
    demo.invoke("delete_meeting_registrant", &[&meeting, &registrant])?;
    demo.invoke("delete_meeting", &[&meeting])?;
    println!("\nThat is all: eight actions, each a request to the simulator, nothing left running.");
    Ok(())
}

fn text_of(output: &Value, member: &str) -> Result<String> {
    output[member]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("the answer has no `{member}`: {output}"))
}

struct Demo {
    home: PathBuf,
}

impl Demo {
    fn say(&self, text: &str) {
        println!("\n# {text}");
    }

    fn shown(&self, command: &str) {
        println!("\n$ {command}");
    }

    fn command(&self, args: &[&str]) -> Command {
        let quoted: Vec<String> = args.iter().map(|word| quote(word)).collect();
        self.shown(&format!("jackfield --home {HOME} {}", quoted.join(" ")));
        let mut command = Command::new(built().join("jackfield"));
        command.current_dir(root()).arg("--home").arg(HOME).args(args);
        command
    }

    fn jackfield(&self, args: &[&str]) -> Result {
        run(&mut self.command(args))
    }

    /// Runs an action, prints its answer and gives it.
    fn invoke(&self, action: &str, sets: &[&str]) -> Result<Value> {
        let action = format!("zoom.{action}");
        let mut args = vec!["action", "invoke", &action];
        for set in sets {
            args.extend(["--set", set]);
        }
        args.extend(["--token-file", TOKEN, "--output", "json"]);
        let output = self
            .command(&args)
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
