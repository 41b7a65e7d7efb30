//! `jackfield integration`

mod apply;
mod setup;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jackfield::{
    Error, ErrorKind, Result,
    api::{
        ConnectorShown,
        accounts::{IntegrationSet, IntegrationShown},
        guide::Guide,
    },
    connections::integrations::{handshake_secret, uses_client, webhook_secret},
    secret_file,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Everywhere, completion,
    engine::{Engine, encoded},
    output::{self, Format, Printing, say},
    prompt,
    user::sure,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Set a connector up: whose client it uses, and what that may do
    Add {
        /// The connector
        #[arg(add = completion::connectors())]
        connector: String,
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        printing: Printing,
    },
    /// List connectors that are set up
    List {
        #[command(flatten)]
        printing: Printing,
    },
    /// Show how a connector is set up
    Show {
        /// The connector
        #[arg(add = completion::connectors())]
        connector: String,
        /// Show, step by step, how it is set up at the provider and here
        #[arg(long)]
        setup: bool,
        #[command(flatten)]
        printing: Printing,
    },
    /// Set connectors up as a file says, which git can keep; secrets stand in files of their own
    Apply(apply::Apply),
    /// Change how a connector is set up; what is not named stays as it is. With nothing named, it is asked for
    Set {
        /// The connector
        #[arg(add = completion::connectors())]
        connector: String,
        #[command(flatten)]
        given: Given,
        #[command(flatten)]
        printing: Printing,
    },
    /// Undo it; there must be no connections left
    Remove {
        /// The connector
        #[arg(add = completion::connectors())]
        connector: String,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        printing: Printing,
    },
}

/// What is set of an integration. Secrets are never arguments: anybody on the machine could read them.
#[derive(Args, Default)]
pub(crate) struct Given {
    /// The client id of the app at the provider
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Read its client secret from a file
    #[arg(long, value_name = "FILE", conflicts_with = "client_secret_stdin")]
    client_secret_file: Option<PathBuf>,
    /// Read its client secret from standard input
    #[arg(long)]
    client_secret_stdin: bool,
    /// Read what its webhooks are signed with from a file
    #[arg(long, value_name = "FILE", conflicts_with = "webhook_secret_stdin")]
    webhook_secret_file: Option<PathBuf>,
    /// Read what its webhooks are signed with from standard input
    #[arg(long, conflicts_with = "client_secret_stdin")]
    webhook_secret_stdin: bool,
    /// Read what the provider repeats when it validates the address of webhooks from a file
    #[arg(long, value_name = "FILE", conflicts_with = "handshake_secret_stdin")]
    handshake_secret_file: Option<PathBuf>,
    /// Read what the provider repeats when it validates the address of webhooks from standard input
    #[arg(long, conflicts_with_all = ["client_secret_stdin", "webhook_secret_stdin"])]
    handshake_secret_stdin: bool,
    /// The scopes that the app was given, separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// How accounts are connected, where the connector knows several ways
    #[arg(long, value_name = "NAME")]
    auth: Option<String>,
}

impl Given {
    fn is_empty(&self) -> bool {
        self.client_id.is_none()
            && self.client_secret_file.is_none()
            && !self.client_secret_stdin
            && self.webhook_secret_file.is_none()
            && !self.webhook_secret_stdin
            && self.handshake_secret_file.is_none()
            && !self.handshake_secret_stdin
            && self.scopes.is_none()
            && self.auth.is_none()
    }

    fn set(self, everywhere: &Everywhere) -> Result<IntegrationSet> {
        let secret = |file: Option<PathBuf>, stdin: bool, name: &str| match file {
            Some(file) => read_secret(&file).map(Some),
            // Typed in a terminal it is not to be seen.
            None if stdin && everywhere.can_ask() => prompt::secret(name),
            None if stdin => secret_file::read_stdin()
                .map(taken)
                .map(Some)
                .map_err(|error| said(error, "the secret alone, on one line: --client-secret-stdin < FILE")),
            None => Ok(None),
        };
        Ok(IntegrationSet {
            connector: None,
            auth: self.auth,
            client_id: self.client_id,
            client_secret: secret(self.client_secret_file, self.client_secret_stdin, "Client secret")?,
            webhook_secret: secret(self.webhook_secret_file, self.webhook_secret_stdin, "Webhook secret")?,
            handshake_secret: secret(
                self.handshake_secret_file,
                self.handshake_secret_stdin,
                "Handshake secret",
            )?,
            scopes: self.scopes.map(|scopes| scopes.into_iter().filter(|scope| !scope.is_empty()).collect()),
        })
    }
}

/// Reads a secret from a file.
fn read_secret(file: &Path) -> Result<Zeroizing<String>> {
    let hint = "write the secret into that file, alone on one line";
    secret_file::read(file).map(taken).map_err(|error| said(error, hint))
}

fn taken(secret: SecretString) -> Zeroizing<String> {
    Zeroizing::new(secret.expose_secret().to_owned())
}

/// An error about a file that holds a secret, where it is no token.
fn said(mut error: Error, hint: &str) -> Error {
    error.kind = ErrorKind::Usage;
    error.message = error.message.replacen("token", "secret", 1);
    error.hint(hint)
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Add { printing, .. }
            | Self::List { printing }
            | Self::Show { printing, .. }
            | Self::Set { printing, .. }
            | Self::Remove { printing, .. } => printing.output,
            Self::Apply(apply) => apply.format(),
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        if let Self::Apply(apply) = self {
            return apply.run(everywhere);
        }
        let mut engine = Engine::find(everywhere)?;
        let at = |connector: &str| format!("/v1/integrations/{}", encoded(connector));
        match self {
            Self::Apply(_) => Ok(()),
            Self::Add { connector, given, printing } => {
                let query = printing.query()?;
                let shown = engine.connector(&connector)?;
                let mut set = IntegrationSet { connector: Some(connector), ..given.set(everywhere)? };
                ask_for_missing(everywhere, &shown, &mut set)?;
                let made: IntegrationShown = engine.ask("POST", "/v1/integrations", Some(&set))?;
                print(&printing, query.as_ref(), &made)?;
                say(&format!("connect an account: jackfield connect {}", made.connector));
                Ok(())
            }
            Self::List { printing } => {
                let query = printing.query()?;
                let found: Vec<IntegrationShown> = engine.list("/v1/integrations", usize::MAX)?;
                let names: Vec<String> = found.iter().map(|one| one.connector.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |one: &IntegrationShown| {
                        vec![
                            one.connector.clone(),
                            one.auth.clone(),
                            one.client_id.clone().unwrap_or_default(),
                            one.id.clone(),
                            one.fault.clone().unwrap_or_else(|| "ready".to_owned()),
                        ]
                    };
                    output::rows(&["CONNECTOR", "AUTH", "CLIENT ID", "ID", "STATE"], found.iter().map(row));
                })
            }
            Self::Show { connector, setup: true, printing } => {
                let query = printing.query()?;
                let guide: Guide = engine.get(&format!("{}/setup", at(&connector)))?;
                printing.print(query.as_ref(), &json!(guide), std::slice::from_ref(&guide.connector), || {
                    setup::print(&guide);
                })
            }
            Self::Show { connector, setup: false, printing } => {
                let query = printing.query()?;
                let found: IntegrationShown = engine.get(&at(&connector))?;
                print(&printing, query.as_ref(), &found)
            }
            Self::Set { connector, given, printing } => {
                let query = printing.query()?;
                let mut set = IntegrationSet::default();
                if !given.is_empty() {
                    set = given.set(everywhere)?;
                } else if everywhere.can_ask() {
                    let found: IntegrationShown = engine.get(&at(&connector))?;
                    ask_for_changes(&engine.connector(&connector)?, &found, &mut set)?;
                } else {
                    return Err(Error::new(ErrorKind::Usage, "nothing is to be set")
                        .hint("see what can be: jackfield integration set --help"));
                }
                let made: IntegrationShown = engine.ask("PATCH", &at(&connector), Some(&set))?;
                print(&printing, query.as_ref(), &made)
            }
            Self::Remove { connector, yes, printing } => {
                let query = printing.query()?;
                sure(everywhere, yes, &format!("Forget how {connector} is set up, secrets and all?"))?;
                let done: Value = engine.ask("DELETE", &at(&connector), None::<&()>)?;
                printing.print(query.as_ref(), &done, std::slice::from_ref(&connector), || {
                    say(&format!("{connector} is not set up any more"));
                })
            }
        }
    }
}

/// Asks for what was not given, in a terminal.
fn ask_for_missing(everywhere: &Everywhere, shown: &ConnectorShown, set: &mut IntegrationSet) -> Result<()> {
    let manifest = &shown.manifest;
    let first = manifest.auth.first().map(|auth| auth.name.clone()).unwrap_or_default();
    let auth = set.auth.clone().unwrap_or(first);
    if !everywhere.can_ask() {
        return Ok(());
    }
    if uses_client(manifest, &auth) {
        if set.client_id.is_none() {
            set.client_id = Some(prompt::line(&format!("Client id of the {} app", manifest.title))?);
        }
        if set.client_secret.is_none() {
            set.client_secret = prompt::secret(&format!("Client secret of the {} app", manifest.title))?;
        }
    }
    if let Some(title) = webhook_secret(manifest)
        && set.webhook_secret.is_none()
    {
        set.webhook_secret = prompt::secret(&format!("{title} of its webhooks (Enter for later)"))?;
    }
    if let Some(title) = handshake_secret(manifest)
        && set.handshake_secret.is_none()
    {
        set.handshake_secret =
            prompt::secret(&format!("{title} for the address of its webhooks (Enter for later)"))?;
    }
    Ok(())
}

/// Asks for what may be another one now, in a terminal; what is left empty stays as it is.
fn ask_for_changes(shown: &ConnectorShown, found: &IntegrationShown, set: &mut IntegrationSet) -> Result<()> {
    let manifest = &shown.manifest;
    let stays = |there: bool| if there { "Enter leaves it as it is" } else { "Enter for later" };
    if uses_client(manifest, &found.auth) {
        let question =
            format!("Client id of the {} app ({})", manifest.title, stays(found.client_id.is_some()));
        set.client_id = Some(prompt::line(&question)?).filter(|id| !id.is_empty());
        let question =
            format!("Client secret of the {} app ({})", manifest.title, stays(found.has_client_secret));
        set.client_secret = prompt::secret(&question)?;
    }
    if let Some(title) = webhook_secret(manifest) {
        set.webhook_secret =
            prompt::secret(&format!("{title} of its webhooks ({})", stays(found.has_webhook_secret)))?;
    }
    if let Some(title) = handshake_secret(manifest) {
        let stays = stays(found.has_handshake_secret == Some(true));
        set.handshake_secret = prompt::secret(&format!("{title} for the address of its webhooks ({stays})"))?;
    }
    Ok(())
}

fn print(printing: &Printing, query: Option<&super::query::Query>, shown: &IntegrationShown) -> Result<()> {
    printing.print(query, &json!(shown), std::slice::from_ref(&shown.connector), || {
        let yes = |there: bool| if there { "set" } else { "not set" }.to_owned();
        let facts = [
            ("connector", shown.connector.clone()),
            ("id", shown.id.clone()),
            ("project", shown.project.clone()),
            ("auth", shown.auth.clone()),
            ("client id", shown.client_id.clone().unwrap_or_else(|| "not set".to_owned())),
            ("client secret", yes(shown.has_client_secret)),
            ("webhook secret", yes(shown.has_webhook_secret)),
            ("handshake secret", shown.has_handshake_secret.map(yes).unwrap_or_default()),
            ("scopes", shown.scopes.join(", ")),
            ("redirect URL", shown.redirect_uri.clone()),
            ("webhook URL", shown.webhook_url.clone()),
            ("fault", shown.fault.clone().unwrap_or_default()),
        ];
        output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
        shown.notes.iter().for_each(|note| output::warn(note, None));
    })
}
