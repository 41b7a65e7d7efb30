//! `jackfield integration apply`: integrations as they stand in a file that git keeps. What is a secret stands in files of its
//! own beside it, which git does not keep.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use connector_protocol::{Problem, did_you_mean};
use jackfield::{
    Error, ErrorKind, Result,
    api::accounts::{IntegrationSet, IntegrationShown},
    system,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item};

use super::{
    super::{
        Everywhere,
        engine::{Engine, encoded},
        output::{self, Format, Printing, say},
    },
    read_secret,
};

/// How large such a file may be, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// What may stand in the file, from the outside in.
const OF_FILE: &[&str] = &["projects"];
const OF_PROJECT: &[&str] = &["integrations"];
const OF_INTEGRATION: &[&str] = &[
    "connector",
    "auth",
    "client_id",
    "scopes",
    "client_secret_file",
    "webhook_secret_file",
    "handshake_secret_file",
];

/// What would be a secret in a file that everybody can read.
const SECRETS: &[&str] = &["client_secret", "webhook_secret", "handshake_secret"];

/// Set connectors up as a file says, which git can keep; secrets stand in files of their own
#[derive(Args)]
pub(crate) struct Apply {
    /// The file, TOML or JSON; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be changed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    printing: Printing,
}

/// An integration as the file wants it.
struct Wanted {
    project: String,
    connector: String,
    set: IntegrationSet,
}

/// What became of it.
#[derive(Serialize)]
struct Applied {
    project: String,
    connector: String,
    result: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Added,
    Changed,
    AsItWas,
}

impl Apply {
    pub(super) fn format(&self) -> Format {
        self.printing.output
    }

    pub(super) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        if everywhere.project.is_some() {
            return Err(
                Error::new(ErrorKind::Usage, "the file names the projects").hint("leave --project out")
            );
        }
        let wanted = read(&self.file)?;
        let mut engine = Engine::find(everywhere)?;
        // Everything is tried before anything is done: half of a file would be nobody's wish.
        let mut applied = all(&mut engine, &wanted, true)?;
        if !self.dry_run {
            applied = all(&mut engine, &wanted, false)?;
        }
        let names: Vec<String> =
            applied.iter().map(|one| format!("{}/{}", one.project, one.connector)).collect();
        self.printing.print(query.as_ref(), &json!(applied), &names, || {
            output::rows(&["PROJECT", "CONNECTOR", "RESULT"], applied.iter().map(row));
        })?;
        for one in &applied {
            one.notes.iter().for_each(|note| output::warn(note, None));
        }
        if self.dry_run {
            say("nothing was changed; to do it: the same without --dry-run");
        }
        Ok(())
    }
}

fn row(one: &Applied) -> Vec<String> {
    let result = match one.result {
        Outcome::Added => "added".to_owned(),
        Outcome::Changed => format!("changed: {}", one.changes.join(", ")),
        Outcome::AsItWas => "as it was".to_owned(),
    };
    vec![one.project.clone(), one.connector.clone(), result]
}

fn all(engine: &mut Engine, wanted: &[Wanted], dry_run: bool) -> Result<Vec<Applied>> {
    let mut applied = Vec::new();
    for one in wanted {
        engine.means(&one.project);
        let done = apply(engine, one, dry_run).map_err(|mut error| {
            error.message = format!("{} in project {}: {}", one.connector, one.project, error.message);
            error
        })?;
        applied.push(done);
    }
    Ok(applied)
}

fn apply(engine: &mut Engine, wanted: &Wanted, dry_run: bool) -> Result<Applied> {
    let there: Vec<IntegrationShown> = engine.list("/v1/integrations", usize::MAX)?;
    let is_there = there.iter().any(|one| one.connector == wanted.connector);
    let how = if dry_run { "?dry_run=true" } else { "" };
    let shown: IntegrationShown = if is_there {
        let path = format!("/v1/integrations/{}{how}", encoded(&wanted.connector));
        engine.ask("PATCH", &path, Some(&wanted.set))?
    } else {
        engine.ask("POST", &format!("/v1/integrations{how}"), Some(&wanted.set))?
    };
    let result = match (is_there, shown.changes.is_empty()) {
        (false, _) => Outcome::Added,
        (true, false) => Outcome::Changed,
        (true, true) => Outcome::AsItWas,
    };
    let changes = if is_there { shown.changes } else { Vec::new() };
    let (project, connector) = (wanted.project.clone(), wanted.connector.clone());
    Ok(Applied { project, connector, result, changes, notes: shown.notes })
}

/// Reads the file, and the secrets that it names.
fn read(file: &Path) -> Result<Vec<Wanted>> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let text = text(file, is_stdin).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("cannot read {name}: {}", system::words(&error)))
            .hint("name the file: jackfield integration apply -f FILE")
    })?;
    let value = value(&text).map_err(|wrong| {
        let text = format!("{name} can be read neither as TOML nor as JSON: {wrong}");
        Error::new(ErrorKind::InvalidInput, text).hint("mend it and try again")
    })?;
    let beside = if is_stdin { Path::new("") } else { file.parent().unwrap_or(Path::new("")) };
    let mut reader = Reader { problems: Vec::new(), beside, secret: false };
    let entries = reader.file(&value);
    if !reader.problems.is_empty() {
        let hint = if reader.secret {
            "write the secret into a file of its own that git does not keep, and name that: client_secret_file = \"FILE\""
        } else {
            "mend it and try again"
        };
        let text = format!("{name} does not fit");
        return Err(Error::new(ErrorKind::InvalidInput, text).problems(reader.problems).hint(hint));
    }
    entries.into_iter().map(Entry::wanted).collect()
}

fn text(file: &Path, is_stdin: bool) -> std::io::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> =
        if is_stdin { Box::new(std::io::stdin().lock()) } else { Box::new(std::fs::File::open(file)?) };
    source.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(std::io::Error::other(format!("has more than {MAX_LEN} bytes")));
    }
    Ok(text)
}

/// What is wrong is told without the line in which it is: that may hold what should not stand there.
fn value(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        format!("line {line} is not TOML")
    })?;
    Ok(of_item(document.as_item()))
}

fn of_item(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => of_value(value),
        Item::Table(table) => table.iter().map(|(name, item)| (name.to_owned(), of_item(item))).collect(),
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| table.iter().map(|(name, item)| (name.to_owned(), of_item(item))).collect::<Value>())
            .collect(),
    }
}

fn of_value(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => json!(text.value()),
        Toml::Integer(number) => json!(number.value()),
        Toml::Float(number) => json!(number.value()),
        Toml::Boolean(yes) => json!(yes.value()),
        Toml::Datetime(time) => json!(time.value().to_string()),
        Toml::Array(items) => items.iter().map(of_value).collect(),
        Toml::InlineTable(table) => {
            table.iter().map(|(name, value)| (name.to_owned(), of_value(value))).collect()
        }
    }
}

/// An integration as it stands in the file, its secrets not read yet.
struct Entry {
    project: String,
    connector: String,
    auth: Option<String>,
    client_id: Option<String>,
    scopes: Option<Vec<String>>,
    client_secret_file: Option<PathBuf>,
    webhook_secret_file: Option<PathBuf>,
    handshake_secret_file: Option<PathBuf>,
}

impl Entry {
    fn wanted(self) -> Result<Wanted> {
        let set = IntegrationSet {
            connector: Some(self.connector.clone()),
            auth: self.auth,
            client_id: self.client_id,
            client_secret: self.client_secret_file.as_deref().map(read_secret).transpose()?,
            webhook_secret: self.webhook_secret_file.as_deref().map(read_secret).transpose()?,
            handshake_secret: self.handshake_secret_file.as_deref().map(read_secret).transpose()?,
            scopes: self.scopes,
        };
        Ok(Wanted { project: self.project, connector: self.connector, set })
    }
}

/// Reads what stands in the file: all problems at once, and no value in any of them.
struct Reader<'a> {
    problems: Vec<Problem>,
    beside: &'a Path,
    /// Whether there is a secret where none may be.
    secret: bool,
}

impl Reader<'_> {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn file(&mut self, value: &Value) -> Vec<Entry> {
        let Some(file) = self.members("", value, OF_FILE) else { return Vec::new() };
        let Some(Value::Object(projects)) = file.get("projects") else {
            self.problem(
                "/projects",
                "must be there: a table for each project, such as [[projects.default.integrations]]",
            );
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (project, value) in projects {
            let path = format!("/projects/{}", connector_protocol::schema::escape(project));
            let Some(members) = self.members(&path, value, OF_PROJECT) else { continue };
            let Some(Value::Array(list)) = members.get("integrations") else {
                self.problem(format!("{path}/integrations"), "must be a list");
                continue;
            };
            let mut seen = BTreeSet::new();
            for (index, value) in list.iter().enumerate() {
                let path = format!("{path}/integrations/{index}");
                let Some(entry) = self.integration(&path, project, value) else { continue };
                if !seen.insert(entry.connector.clone()) {
                    self.problem(format!("{path}/connector"), "is there twice in this project");
                }
                entries.push(entry);
            }
        }
        entries
    }

    fn integration(&mut self, path: &str, project: &str, value: &Value) -> Option<Entry> {
        let members = self.members(path, value, OF_INTEGRATION)?;
        let connector = self.string(path, members, "connector");
        if !members.contains_key("connector") {
            self.problem(format!("{path}/connector"), "must be there");
        }
        let scopes = match members.get("scopes") {
            None => None,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(_) => {
                self.problem(format!("{path}/scopes"), "must be a list of names");
                None
            }
        };
        let beside = self.beside;
        let mut file = |name: &str| self.string(path, members, name).map(|file| beside.join(file));
        let (client_secret_file, webhook_secret_file, handshake_secret_file) =
            (file("client_secret_file"), file("webhook_secret_file"), file("handshake_secret_file"));
        Some(Entry {
            project: project.to_owned(),
            auth: self.string(path, members, "auth"),
            client_id: self.string(path, members, "client_id"),
            scopes,
            client_secret_file,
            webhook_secret_file,
            handshake_secret_file,
            connector: connector?,
        })
    }

    fn string(&mut self, path: &str, members: &Map<String, Value>, name: &str) -> Option<String> {
        match members.get(name)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.problem(format!("{path}/{name}"), "must be a text");
                None
            }
        }
    }

    /// The members of a table, of which each has to be known.
    fn members<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Value::Object(members) = value else {
            self.problem(path, "must be a table");
            return None;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let at = format!("{path}/{}", connector_protocol::schema::escape(name));
            if SECRETS.contains(&name.as_str()) && known == OF_INTEGRATION {
                self.secret = true;
                self.problem(at, "is a secret, which does not stand in this file");
                continue;
            }
            let meant = did_you_mean(name, known.iter().copied());
            let meant = meant.map_or_else(
                || format!("there are {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            self.problem(at, format!("is not a key; {meant}"));
        }
        Some(members)
    }
}
