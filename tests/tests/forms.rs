//! Forms as their users have them: as pages in a real browser, and as questions in a real terminal.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use jackfield_tests::{Home, Terminal, root, skip_for_tool};
use serde_json::{Value, json};

const BROWSERS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// The inputs of the Zoom connector's own fixtures that are sent: by name, with the action.
fn inputs() -> BTreeMap<String, (String, Value)> {
    let mut inputs = BTreeMap::new();
    for entry in fs::read_dir(root().join("connectors/zoom/tests/fixtures")).unwrap().flatten() {
        let fixture: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
        if let (Some(action), Some(input), Some(_)) =
            (fixture["action"].as_str(), fixture.get("input"), fixture.get("exchange"))
        {
            let name = entry.file_name().to_string_lossy().trim_end_matches(".json").to_owned();
            inputs.insert(name, (format!("zoom.{action}"), input.clone()));
        }
    }
    assert!(inputs.len() > 40, "{}", inputs.len());
    inputs
}

/// Without what a page never shows.
fn without_secrets(action: &str, mut input: Value) -> Value {
    if ["zoom.create_meeting", "zoom.update_meeting"].contains(&action) {
        // A secret that is to be cleared is none.
        let clears = input["password"].is_null();
        if let Some(members) = input.as_object_mut().filter(|_| !clears) {
            members.shift_remove("password");
        }
    }
    input
}

struct Pages {
    home: Home,
    directory: PathBuf,
}

impl Pages {
    fn new() -> Self {
        let home = Home::with(&["zoom", "sensors", "forge"]);
        let directory = home.path().join("pages");
        fs::create_dir(&directory).unwrap();
        Self { home, directory }
    }

    /// The page of an action's form, and where it lies.
    fn page(&self, name: &str, action: &str, input: Option<&Value>) -> PathBuf {
        let file = self.directory.join(format!("{name}.json"));
        let file = file.to_str().unwrap();
        let mut args = vec!["action", "form", action, "--html"];
        if let Some(input) = input {
            fs::write(file, input.to_string()).unwrap();
            args.extend(["-f", file]);
        }
        let outcome = self.home.run(&args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let page = self.directory.join(format!("{name}.html"));
        fs::write(&page, &outcome.stdout).unwrap();
        page
    }

    /// What becomes of what a page has sent.
    fn understood(&self, action: &str, sent: &str) -> Value {
        let file = self.directory.join("sent.form");
        fs::write(&file, sent).unwrap();
        self.home.run(&["action", "form", action, "-f", file.to_str().unwrap(), "--no-input"]).json()
    }
}

/// The browser, and what drives it; says what is missing.
fn browser() -> Result<&'static str, String> {
    if !root().join("tests/node/node_modules/playwright-core").exists() {
        return Err("Playwright is not installed: npm ci --prefix tests/node".to_owned());
    }
    let browser = BROWSERS.into_iter().find(|browser| Path::new(browser).exists());
    browser.ok_or_else(|| "there is no Chromium: apt-get install chromium".to_owned())
}

#[test]
fn pages_are_accessible_work_without_script_and_give_back_what_they_show() {
    const TEST: &str = "forms in a browser";
    let browser = match browser() {
        Ok(browser) => browser,
        Err(missing) => return skip_for_tool(TEST, &missing),
    };
    let pages = Pages::new();
    let mut listed = Vec::new();
    let mut expected = BTreeMap::new();
    for line in pages.home.run(&["action", "list", "-o", "name"]).stdout.lines() {
        let file = pages.page(line, line, None);
        listed.push(json!({"name": line, "file": file, "thorough": line == "zoom.create_meeting"}));
    }
    let wrong = json!({
        "type": 8, "duration": 0, "topic": "<script>document.title = 'broken'</script>", "nonsense": 1,
        "settings": {"registration_type": 1, "meeting_invitees": [{"email": "a@example.com"}, {"email": "<b>"}]},
    });
    let file = pages.page("wrong", "zoom.create_meeting", Some(&wrong));
    listed.push(json!({"name": "wrong", "file": file, "thorough": true}));
    let axed = listed.len();
    for (name, (action, input)) in inputs() {
        let file = pages.page(&name, &action, Some(&input));
        listed.push(json!({"name": name, "file": file}));
        expected.insert(name, (action, input));
    }
    let task = pages.directory.join("task.json");
    let (audited, filled) = listed.split_at(axed);
    let task_json = json!({
        "browser": browser,
        "pages": audited,
        "filled": filled,
        "flow": {"file": pages.directory.join("zoom.create_meeting.html")},
    });
    fs::write(&task, task_json.to_string()).unwrap();
    let output =
        Command::new("node").arg(root().join("tests/node/forms.mjs")).arg(&task).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();

    // Nothing that axe knows to be a problem: unfolded, and of those with every kind of field folded and dark too.
    let audits = found["axe"].as_object().unwrap();
    for (page, audit) in audits {
        assert_eq!(audit["violations"], json!([]), "{page}");
        assert!(audit["passes"].as_u64() > Some(10), "{page}");
    }
    let thorough = audited.iter().filter(|page| page["thorough"] == true).count();
    assert_eq!((audits.len(), thorough), (axed + 2 * thorough, 2));
    assert_eq!(found["complaints"], json!([]));

    // Every page that shows an input sends that input.
    for (name, (action, input)) in &expected {
        let sent = found["pairs"][name].as_str().unwrap_or_else(|| panic!("{name} was not sent"));
        assert_eq!(pages.understood(action, sent), without_secrets(action, input.clone()), "{name}");
    }
    assert!(!found["pairs"].to_string().contains("hunter2"));

    // Filled by somebody, without script and with it.
    let flow = &found["flow"];
    let meeting = json!({
        "topic": "Filled in a browser", "type": 8, "start_time": "2030-01-07T09:30:00", "timezone": "Europe/Berlin",
        "recurrence": {"type": 2, "weekly_days": "2,4"},
        "settings": {"meeting_invitees": [{"email": "jill@example.com"}]},
    });
    for sent in ["address", "file"] {
        let sent = flow[sent].as_str().unwrap();
        assert_eq!(pages.understood("zoom.create_meeting", sent), meeting, "{sent}");
    }
    assert_eq!(flow["fileName"], "zoom.create_meeting.form");
    assert_eq!(flow["status"], "Saved as zoom.create_meeting.form");
    for (what, expected) in [
        ("recurrenceBefore", false),
        ("recurrenceAfter", true),
        ("starBefore", false),
        ("starAfter", true),
        ("monthlyDay", false),
        ("rangeStops", true),
        ("foldedStops", true),
        ("foldedIsShown", true),
        ("conditionStops", true),
    ] {
        assert_eq!(flow[what], expected, "{what}");
    }

    // By keyboard alone.
    assert_eq!(flow["unseenFocus"], Value::Null);
    let reached: Vec<&str> = flow["reached"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for control in ["/topic", "/type", "/start_time", "/timezone", "SUMMARY Settings", "BUTTON Save"] {
        assert!(reached.contains(&control), "{control} is not among {reached:?}");
    }
}

#[test]
fn fault_91_what_somebody_typed_stays_text_on_the_page_and_no_secret_is_on_it() {
    let pages = Pages::new();
    let input =
        json!({"topic": "\"><script>alert(1)</script>", "password": "hunter2", "agenda": "</textarea><b>"});
    let page = fs::read_to_string(pages.page("hostile", "zoom.create_meeting", Some(&input))).unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("</textarea><b>"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
    // Nothing is fetched, and nothing runs that is not the page's own.
    let policy = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page refers to something outside: {outside}");
    }
    let posted = pages.home.run(&[
        "action",
        "form",
        "zoom.get_meeting",
        "--html",
        "--post-to",
        "https://app.example.com/form",
    ]);
    assert!(
        posted.stdout.contains(r#"method="post" action="https:&#x2f;&#x2f;app.example.com&#x2f;form""#),
        "{}",
        posted.stdout
    );
}

#[test]
fn a_page_that_leads_to_an_address_does_not_ask_for_a_secret_and_one_that_posts_does() {
    let pages = Pages::new();
    let html = |more: &[&str]| {
        let args = [&["action", "form", "zoom.create_meeting", "--html"][..], more].concat();
        pages.home.run(&args).stdout
    };
    // What would be sent by GET stands in the address, and so in the history.
    let saved = html(&[]);
    assert!(saved.contains("method=\"get\"") && saved.contains("name=\"&#x2f;topic\""), "{saved}");
    assert!(!saved.contains("type=\"password\"") && !saved.contains("name=\"&#x2f;password\""), "{saved}");
    assert!(saved.contains("<code>--set password=@FILE</code>"), "{saved}");
    let posted = html(&["--post-to", "https://app.example.com/form"]);
    assert!(posted.contains("name=\"&#x2f;password\" type=\"password\""), "{posted}");
    assert!(!posted.contains("=@FILE"), "{posted}");

    // What the sentence says works.
    let (sent, secret) = (pages.directory.join("a.form"), pages.directory.join("secret"));
    fs::write(&sent, "%2Ftopic=Demo").unwrap();
    fs::write(&secret, "hunter2\n").unwrap();
    let set = format!("password=@{}", secret.display());
    let args =
        ["action", "form", "zoom.create_meeting", "-f", sent.to_str().unwrap(), "--set", &set, "--no-input"];
    assert_eq!(pages.home.run(&args).json(), json!({"topic": "Demo", "password": "hunter2"}));
}

const DOWN: &str = "\x1b[B";
const ESCAPE: &str = "\x1b";

#[test]
fn a_form_is_filled_in_a_terminal_and_what_is_wrong_is_told_at_its_field() {
    let home = Home::with(&["zoom"]);
    let saved = home.path().join("form.json");
    let command = home.command(&["action", "form", "zoom.create_meeting", "--save", saved.to_str().unwrap()]);
    let mut terminal = Terminal::start(command, 100, 40);
    terminal.answers("Topic", "Product demo");
    terminal.answers("? Type", &DOWN.repeat(4));
    terminal.answers("Start time *", "soon");
    terminal.sees("must be a date and a time, like 2026-12-01 10:00");
    terminal.types(&"\x7f".repeat(4));
    terminal.answers("Start time *", "2030-01-07 09:30");
    // The picker completes what is typed.
    terminal.sees("? Time zone");
    terminal.types("berl");
    terminal.sees("Europe/Berlin");
    terminal.types(&format!("{DOWN}\r"));
    terminal.answers("Duration", "45");
    terminal.answers("Agenda", "");
    terminal.answers("Repeats *", DOWN);
    terminal.answers("Every", "");
    terminal.answers("Weekly days *", "2,4");
    terminal.answers("Ends after", "");
    terminal.answers("Ends on", "");
    // A secret is not seen.
    terminal.sees("Passcode");
    terminal.types("hunter2");
    terminal.sees("*******");
    assert!(!terminal.screen().contains("hunter2"), "{}", terminal.screen());
    terminal.types("\r");
    // Back, and on again.
    terminal.sees("Anything else?");
    terminal.types(ESCAPE);
    terminal.answers("Topic Product demo", "");
    terminal.sees("? Type");
    terminal.types("\x03");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 3, "{screen}");
    assert!(screen.contains("error[cancelled]: cancelled; nothing was sent"), "{screen}");
    assert!(!saved.exists());
}

#[test]
fn what_was_filled_in_a_terminal_runs_the_action() {
    let home = Home::with(&["zoom"]);
    let provider = jackfield_tests::Provider::always(204, &[], "");
    home.endpoint("zoom", "api", &provider.url());
    let token = home.path().join("token");
    fs::write(&token, "a-token\n").unwrap();
    let args = [
        "action",
        "invoke",
        "zoom.delete_meeting",
        "-i",
        "--token-file",
        token.to_str().unwrap(),
        "-o",
        "json",
    ];
    let mut terminal = Terminal::start(home.command(&args), 100, 30);
    terminal.answers("Meeting ID *", "");
    terminal.sees("is required");
    terminal.answers("Meeting ID *", "926 7439 2836");
    for question in ["Ignore missing", "Occurrence ID", "Notify the host", "Notify registrants"] {
        terminal.answers(question, "");
    }
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(provider.requests()[0].target, "/meetings/92674392836");
    // Without a terminal, or when told not to, nothing is asked.
    let error = home.run(&["action", "invoke", "zoom.delete_meeting", "-i", "-o", "json"]).error(2);
    assert_eq!(error["message"], "there is no terminal to ask in");
    let terminal = Terminal::start(
        home.command(&["action", "invoke", "zoom.delete_meeting", "-i", "--no-input"]),
        100,
        30,
    );
    let (code, screen) = terminal.ends();
    assert_eq!(
        (code, screen.contains("error[usage]: there is no terminal to ask in")),
        (2, true),
        "{screen}"
    );
}
