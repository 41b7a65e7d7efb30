//! A real browser that a test drives, with an app's site beside it: `tests/node/browser.mjs`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{root, skip_for_tool};

const BROWSERS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// A running browser. It can reach nothing but this machine.
pub struct Browser {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Answers that came before somebody waited for them.
    early: BTreeMap<u64, Value>,
    last: u64,
    /// Where the app's site is: `http://localhost:PORT`. On its page `/` scripts can import `@useparagon/connect`.
    pub app: String,
}

/// A page of the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page(u64);

/// Something that goes on in a page.
#[derive(Debug)]
#[must_use = "nobody knows what became of it"]
pub struct Going(u64);

impl Browser {
    /// Starts one. `None`, and said so, where what it needs is not installed.
    ///
    /// # Panics
    ///
    /// If it does not start, or if tools may not be missing.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        let node = root().join("tests/node");
        let packages = ["playwright-core", "@useparagon/connect"];
        if !packages.iter().all(|package| node.join("node_modules").join(package).exists()) {
            skip_for_tool(test, "playwright-core is not installed: npm ci --prefix tests/node");
            return None;
        }
        let Some(browser) = BROWSERS.into_iter().find(|browser| Path::new(browser).exists()) else {
            skip_for_tool(test, "there is no Chromium: apt-get install chromium");
            return None;
        };
        let started = Command::new("node")
            .arg(node.join("browser.mjs"))
            .arg(json!({"browser": browser}).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut process) = started else {
            skip_for_tool(test, "there is no node");
            return None;
        };
        let commands = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let app = ready["app"].as_str().expect("it says where the app is").to_owned();
        Some(Self { process, commands, answers, early: BTreeMap::new(), last: 0, app })
    }

    /// Puts a file on the app's site.
    pub fn serve(&mut self, path: &str, content_type: &str, body: &str) {
        self.ask(json!({"do": "serve", "path": path, "type": content_type, "body": body}));
    }

    /// Opens a page.
    ///
    /// # Panics
    ///
    /// If nothing is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) -> Page {
        page(&self.ask(json!({"do": "open", "url": url})))
    }

    /// The next page that was opened by another one; waits for it.
    ///
    /// # Panics
    ///
    /// If none is opened.
    #[track_caller]
    pub fn popup(&mut self) -> Page {
        page(&self.ask(json!({"do": "popup"})))
    }

    /// Runs the body of an async function in a page, with `arg`, and gives what it returns.
    ///
    /// # Errors
    ///
    /// What it threw.
    pub fn evaluate(&mut self, page: Page, script: &str, arg: &Value) -> Result<Value, String> {
        let going = self.begin(page, script, arg);
        self.finish(going)
    }

    /// Begins to run it, while something else is done.
    pub fn begin(&mut self, page: Page, script: &str, arg: &Value) -> Going {
        self.send(json!({"do": "evaluate", "page": page.0, "script": script, "arg": arg}))
    }

    /// Waits for what was begun.
    ///
    /// # Errors
    ///
    /// What it threw.
    ///
    /// # Panics
    ///
    /// If the browser is gone.
    pub fn finish(&mut self, going: Going) -> Result<Value, String> {
        let answer = loop {
            if let Some(answer) = self.early.remove(&going.0) {
                break answer;
            }
            let mut line = String::new();
            self.answers.read_line(&mut line).expect("the browser is there");
            let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.early.insert(answer["id"].as_u64().unwrap_or_default(), answer);
        };
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["value"].clone()),
        }
    }

    /// Clicks on what a selector finds; waits for it to be there.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn click(&mut self, page: Page, selector: &str) {
        self.ask(json!({"do": "click", "page": page.0, "selector": selector}));
    }

    /// Fills in a field.
    ///
    /// # Panics
    ///
    /// If it is not there.
    #[track_caller]
    pub fn fill(&mut self, page: Page, selector: &str, value: &str) {
        self.ask(json!({"do": "fill", "page": page.0, "selector": selector, "value": value}));
    }

    /// What people read where a selector finds something.
    ///
    /// # Panics
    ///
    /// If it finds nothing.
    #[must_use]
    #[track_caller]
    pub fn text(&mut self, page: Page, selector: &str) -> String {
        let text = self.ask(json!({"do": "text", "page": page.0, "selector": selector}));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The address of a page, once it has `until` in it.
    ///
    /// # Panics
    ///
    /// If it never has.
    #[must_use]
    #[track_caller]
    pub fn url(&mut self, page: Page, until: &str) -> String {
        let url = self.ask(json!({"do": "url", "page": page.0, "until": until}));
        url.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a page is closed.
    ///
    /// # Panics
    ///
    /// If it stays.
    #[track_caller]
    pub fn closed(&mut self, page: Page) {
        self.ask(json!({"do": "closed", "page": page.0}));
    }

    /// What was seen of a page: `console`, its complaints; `failed`, requests without an answer; `answers`, each with `method`,
    /// `url` and `status`.
    #[must_use]
    #[track_caller]
    pub fn seen(&mut self, page: Page) -> Value {
        self.ask(json!({"do": "seen", "page": page.0}))
    }

    #[track_caller]
    fn ask(&mut self, command: Value) -> Value {
        let what = command.to_string();
        let going = self.send(command);
        self.finish(going).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    fn send(&mut self, mut command: Value) -> Going {
        self.last += 1;
        command["id"] = json!(self.last);
        let commands = self.commands.as_mut().expect("it is open until the end");
        writeln!(commands, "{command}").expect("the browser is there");
        Going(self.last)
    }
}

fn page(answer: &Value) -> Page {
    Page(answer.as_u64().expect("a page has a number"))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes the browser when nobody can command it any more.
        self.commands.take();
        let _ = self.process.wait();
    }
}
