//! `jackfield project`

use std::path::PathBuf;

use clap::Subcommand;
use jackfield::{
    Error, ErrorKind, Result,
    api::accounts::ProjectSet,
    store::{Project, SigningKey},
    system,
};
use serde_json::{Value, json};

use super::{
    Everywhere,
    engine::{Engine, encoded},
    output::{self, Format, Printing},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List projects
    List {
        #[command(flatten)]
        printing: Printing,
    },
    /// Show a project, and the keys that vouch for its users
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Add a project, or more to one that is there
    Add {
        /// Its name: lower-case letters, digits and dashes
        name: String,
        /// What people call it; they see it when they connect an account
        #[arg(long)]
        title: Option<String>,
        /// An address that people may be sent back to after connecting, with everything below it
        #[arg(long = "return-url", value_name = "URL")]
        return_urls: Vec<String>,
        /// One of those addresses that nobody is sent back to any more
        #[arg(long = "remove-return-url", value_name = "URL")]
        remove_return_urls: Vec<String>,
        #[command(flatten)]
        printing: Printing,
    },
    /// The keys that an app signs its users' tokens with
    #[command(subcommand)]
    Key(Key),
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Add the public half of a key
    Add {
        /// The file that holds it, as PEM
        file: PathBuf,
        #[command(flatten)]
        printing: Printing,
    },
    /// Take a key out: the tokens it has signed are not believed any more
    Remove {
        /// Its id
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing }
            | Self::Show { printing, .. }
            | Self::Add { printing, .. }
            | Self::Key(Key::Add { printing, .. } | Key::Remove { printing, .. }) => printing.output,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { printing } => {
                let query = printing.query()?;
                let found: Vec<Project> = engine.list("/v1/projects", usize::MAX)?;
                let names: Vec<String> = found.iter().map(|project| project.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |project: &Project| {
                        vec![
                            project.id.clone(),
                            project.title.clone().unwrap_or_default(),
                            project.return_urls.join(", "),
                        ]
                    };
                    output::rows(&["NAME", "TITLE", "RETURN ADDRESSES"], found.iter().map(row));
                })
            }
            Self::Show { name, printing } => {
                let query = printing.query()?;
                let project: Project = engine.get(&format!("/v1/projects/{}", encoded(&name)))?;
                let keys: Vec<SigningKey> =
                    engine.list(&format!("/v1/projects/{}/keys", encoded(&name)), usize::MAX)?;
                let mut whole = json!(project);
                whole["keys"] = json!(keys);
                printing.print(query.as_ref(), &whole, std::slice::from_ref(&project.id), || {
                    show(&project, &keys);
                })
            }
            Self::Add { name, title, return_urls, remove_return_urls, printing } => {
                let query = printing.query()?;
                let set = ProjectSet { id: name, title, return_urls, remove_return_urls };
                let project: Project = engine.ask("POST", "/v1/projects", Some(&set))?;
                let keys: Vec<SigningKey> =
                    engine.list(&format!("/v1/projects/{}/keys", encoded(&project.id)), usize::MAX)?;
                printing.print(query.as_ref(), &json!(project), std::slice::from_ref(&project.id), || {
                    show(&project, &keys);
                    if keys.is_empty() {
                        output::say(&format!(
                            "its app's users are known by a key: jackfield project key add FILE --project {}",
                            project.id
                        ));
                    }
                })
            }
            Self::Key(Key::Add { file, printing }) => {
                let query = printing.query()?;
                let pem = std::fs::read_to_string(&file).map_err(|error| {
                    let text = format!("cannot read {}: {}", file.display(), system::words(&error));
                    Error::new(ErrorKind::Usage, text).hint("name the file with the public half of the key")
                })?;
                let project = meant(&mut engine, everywhere)?;
                let path = format!("/v1/projects/{}/keys", encoded(&project));
                let key: SigningKey = engine.ask("POST", &path, Some(&json!({"pem": pem})))?;
                printing.print(query.as_ref(), &json!(key), std::slice::from_ref(&key.id), || {
                    output::data(&format!("{}\n", key.id));
                    output::say(&format!(
                        "the users of `{project}` are known by tokens that are signed with its other half, by {}",
                        key.algorithm
                    ));
                })
            }
            Self::Key(Key::Remove { id, printing }) => {
                let query = printing.query()?;
                let project = meant(&mut engine, everywhere)?;
                let path = format!("/v1/projects/{}/keys/{}", encoded(&project), encoded(&id));
                let done: Value = engine.ask("DELETE", &path, None::<&()>)?;
                printing.print(query.as_ref(), &done, std::slice::from_ref(&id), || {
                    output::say(&format!("`{id}` is taken out"));
                })
            }
        }
    }
}

/// The project that is named, or the only one.
fn meant(engine: &mut Engine, everywhere: &Everywhere) -> Result<String> {
    if let Some(project) = &everywhere.project {
        return Ok(project.clone());
    }
    let mut found: Vec<Project> = engine.list("/v1/projects", usize::MAX)?;
    if found.len() == 1 {
        return Ok(found.remove(0).id);
    }
    let names: Vec<&str> = found.iter().map(|project| project.id.as_str()).collect();
    let text = format!("there are several projects: {}", names.join(", "));
    Err(Error::new(ErrorKind::Usage, text).hint("name one: --project NAME"))
}

fn show(project: &Project, keys: &[SigningKey]) {
    let facts = [
        ("name", project.id.clone()),
        ("title", project.title.clone().unwrap_or_default()),
        ("return addresses", project.return_urls.join(", ")),
        ("made", project.created.to_string()),
        (
            "keys",
            keys.iter().map(|key| format!("{} ({})", key.id, key.algorithm)).collect::<Vec<_>>().join(", "),
        ),
    ];
    output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
}
