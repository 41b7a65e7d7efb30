//! `jackfield token`

use clap::Subcommand;
use jackfield::{
    Result,
    api::accounts::{TokenMade, TokenSet},
    store::ApiToken,
};
use serde_json::{Value, json};

use super::{
    Everywhere,
    engine::{Engine, encoded},
    output::{self, Format, Printing},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token for the API: an operator's, or a user's for development. It is printed once
    Create {
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// The user it acts as; without one it is an operator's
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// For how many days it is good; a user's is good for one, and for 30 at most
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Make it for all projects
        #[arg(long, conflicts_with = "user")]
        all_projects: bool,
        #[command(flatten)]
        printing: Printing,
    },
    /// List tokens
    List {
        #[command(flatten)]
        printing: Printing,
    },
    /// Take a token back
    Remove {
        /// Its id: tok_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Create { printing, .. } | Self::List { printing } | Self::Remove { printing, .. } => {
                printing.output
            }
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::Create { name, user, days, all_projects, printing } => {
                let query = printing.query()?;
                let set = TokenSet { name, user, days, all_projects };
                let made: TokenMade = engine.ask("POST", "/v1/tokens", Some(&set))?;
                printing.print(query.as_ref(), &json!(made), std::slice::from_ref(&made.kept.id), || {
                    output::data(&format!("{}\n", made.token));
                    let until = made
                        .kept
                        .expires
                        .map_or("until it is taken back".to_owned(), |at| format!("until {at}"));
                    output::say(&format!("{} is good {until}; it is not shown again", made.kept.id));
                })
            }
            Self::List { printing } => {
                let query = printing.query()?;
                let found: Vec<ApiToken> = engine.list("/v1/tokens", usize::MAX)?;
                let names: Vec<String> = found.iter().map(|token| token.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |token: &ApiToken| {
                        vec![
                            token.id.clone(),
                            token.user.as_ref().map_or("operator".to_owned(), |user| format!("user {user}")),
                            token.project.clone().unwrap_or_else(|| "all".to_owned()),
                            token.expires.map_or("never".to_owned(), |at| {
                                at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
                            }),
                            token.name.clone().unwrap_or_default(),
                        ]
                    };
                    output::rows(&["ID", "ACTS AS", "PROJECT", "ENDS", "NAME"], found.iter().map(row));
                })
            }
            Self::Remove { id, printing } => {
                let query = printing.query()?;
                let done: Value =
                    engine.ask("DELETE", &format!("/v1/tokens/{}", encoded(&id)), None::<&()>)?;
                printing.print(query.as_ref(), &done, std::slice::from_ref(&id), || {
                    output::say(&format!("{id} is taken back"));
                })
            }
        }
    }
}
