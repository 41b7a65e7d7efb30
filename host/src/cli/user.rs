//! `jackfield user`

use clap::Subcommand;
use jackfield::{Error, ErrorKind, Result, server::Erased, store::User};
use serde_json::json;

use super::{
    Everywhere,
    engine::{Engine, encoded},
    output::{self, Format, Printing},
    prompt,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List users
    List {
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show a user
    Show {
        /// The app's own id of them
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Give up all connections of a user, and erase them and what was run for them
    Delete {
        /// The app's own id of them
        id: String,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        printing: Printing,
    },
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. } | Self::Show { printing, .. } | Self::Delete { printing, .. } => {
                printing.output
            }
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { limit, printing } => {
                let query = printing.query()?;
                let found: Vec<User> = engine.list("/v1/users", limit)?;
                let names: Vec<String> = found.iter().map(|user| user.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |user: &User| {
                        let seen = user.created.strftime("%Y-%m-%d").to_string();
                        vec![user.id.clone(), user.connections.to_string(), seen]
                    };
                    output::rows(&["ID", "CONNECTIONS", "SINCE"], found.iter().map(row));
                })
            }
            Self::Show { id, printing } => {
                let query = printing.query()?;
                let user: User = engine.get(&format!("/v1/users/{}", encoded(&id)))?;
                printing.print(query.as_ref(), &json!(user), std::slice::from_ref(&user.id), || {
                    let facts = [
                        ("id", user.id.clone()),
                        ("since", user.created.to_string()),
                        ("connections", user.connections.to_string()),
                        (
                            "meta",
                            if user.meta.is_empty() { String::new() } else { json!(user.meta).to_string() },
                        ),
                    ];
                    output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
                    output::say(&format!("their connections: jackfield connection list --user {id}"));
                })
            }
            Self::Delete { id, yes, printing } => {
                let query = printing.query()?;
                let user: User = engine.get(&format!("/v1/users/{}", encoded(&id)))?;
                let question = format!(
                    "Give up {} of {id}, and erase everything of theirs?",
                    output::count(usize::try_from(user.connections).unwrap_or(usize::MAX), "connection")
                );
                sure(everywhere, yes, &question)?;
                let erased: Erased =
                    engine.ask("DELETE", &format!("/v1/users/{}", encoded(&id)), None::<&()>)?;
                printing.print(query.as_ref(), &json!(erased), std::slice::from_ref(&id), || {
                    let untold = erased.connections.iter().filter(|one| !one.told).count();
                    output::say(&format!(
                        "{id} is erased, with {}",
                        output::count(erased.connections.len(), "connection")
                    ));
                    if untold > 0 {
                        output::warn(&format!("of {untold} of them the provider does not know it"), None);
                    }
                })
            }
        }
    }
}

/// Asks whether something is meant that cannot be taken back.
pub(super) fn sure(everywhere: &Everywhere, yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !everywhere.can_ask() {
        return Err(
            Error::new(ErrorKind::Usage, "this cannot be taken back").hint("say that it is meant: --yes")
        );
    }
    if prompt::confirm(question) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Cancelled, "cancelled; nothing was changed"))
}
