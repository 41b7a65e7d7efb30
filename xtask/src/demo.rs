//! `cargo xtask demo`: everything that can be done so far, as a user would do it.

mod hears;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    Result,
    run::{built, cargo, root, run},
    visitor::Visitor,
};

/// What the demo types in place of a long path.
const HOME: &str = "target/demo/home";
const SECRET: &str = "target/demo/client-secret";

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

    let port = free_port()?;
    let public = format!("http://localhost:{port}");
    let simulator = Simulator::start(&format!("{public}/oauth/callback"))?;
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
    ])?;
    listen_at(port, &public)?;
    jackfield(&["connector", "list"])?;

    say("The app that users will allow: its client id, and its secret from a file");
    fs::write(root().join(SECRET), &simulator.client_secret).map_err(|error| error.to_string())?;
    jackfield(&[
        "integration",
        "add",
        "zoom",
        "--client-id",
        &simulator.client_id,
        "--client-secret-file",
        SECRET,
        "--scopes",
        &simulator.scopes,
    ])?;

    say("A user connects an account: the demo goes where their browser would");
    connect("u_42")?;
    jackfield(&["connection", "list"])?;

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

    say("A request of one's own, with the same account and without an action");
    jackfield(&[
        "request",
        "zoom",
        "users/me/meetings",
        "-X",
        "POST",
        "-d",
        r#"{"topic":"Product Demo Webinar"}"#,
    ])?;
    println!();

    hears::hears(&simulator, &public)?;

    say("What was done, and how long each took");
    jackfield(&["invocation", "list"])?;
    println!(
        "\nThat is all: an account, eight actions, a request of one's own and an event; nothing is left running."
    );
    Ok(())
}

/// Follows the address that is printed, allows what is asked for, and comes back.
fn connect(user: &str) -> Result {
    let mut connecting = command(&["connect", "zoom", "--user", user, "--no-browser"])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run jackfield: {error}"))?;
    let mut said = BufReader::new(connecting.stderr.take().ok_or("nothing is said")?);
    let mut line = String::new();
    let mut address = None;
    while address.is_none() && said.read_line(&mut line).is_ok_and(|len| len > 0) {
        print!("{line}");
        address = line.split_whitespace().find(|word| word.contains("/connect/")).map(str::to_owned);
        line.clear();
    }
    let visited = address.ok_or_else(|| "there is no address to go to".to_owned()).and_then(|address| {
        // It listens a moment later.
        let mut visitor = Visitor::default();
        let asked = (0..50)
            .find_map(|_| {
                std::thread::sleep(Duration::from_millis(100));
                visitor.go(&address).ok()
            })
            .ok_or("nobody answers there")?;
        println!("  [page] {}", asked.heading());
        let consent = visitor.submit(&asked, &[])?;
        println!("  [page] {}", consent.heading());
        let done = visitor.submit(&consent, &[("user", "host@example.com"), ("decision", "allow")])?;
        println!("  [page] {}", done.heading());
        Ok(())
    });
    if visited.is_err() {
        let _ = connecting.kill();
    }
    let _ = std::io::copy(&mut said, &mut std::io::stdout());
    let ended = connecting.wait().map_err(|error| error.to_string())?;
    visited?;
    if ended.success() { Ok(()) } else { Err("the account was not connected".to_owned()) }
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Writes into the configuration where browsers come back to.
fn listen_at(port: u16, public: &str) -> Result {
    let path = root().join(HOME).join("jackfield.toml");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let (address, listen) =
        (format!("public_url = \"{public}\"\n"), format!("\n[server]\nlisten = \"127.0.0.1:{port}\"\n"));
    print!("\n$ cat >> {HOME}/jackfield.toml\n{address}{listen}");
    fs::write(&path, format!("{address}{text}{listen}")).map_err(|error| error.to_string())
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
    control: String,
    client_id: String,
    client_secret: String,
    /// Separated by commas.
    scopes: String,
}

impl Simulator {
    fn start(redirect_uri: &str) -> Result<Self> {
        let mut process = Command::new(built().join("zoom-simulator"))
            .args(["--listen", "127.0.0.1:0", "--ready-json", "--redirect-uri", redirect_uri])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the simulator: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let mut simulator = Self {
            process,
            api: String::new(),
            oauth: String::new(),
            control: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            scopes: String::new(),
        };
        simulator.api = text_of(&ready, "api").map_err(|_| "the simulator did not start".to_owned())?;
        simulator.oauth = text_of(&ready, "oauth")?;
        simulator.control = text_of(&ready, "control")?;
        simulator.client_id = text_of(&ready, "client_id")?;
        simulator.client_secret = text_of(&ready, "client_secret")?;
        let scopes = ready["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        simulator.scopes = scopes.collect::<Vec<_>>().join(",");
        let address = simulator.api.trim_start_matches("http://").split('/').next().unwrap_or_default();
        println!("$ zoom-simulator --listen {address} --redirect-uri {redirect_uri} &");
        Ok(simulator)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
