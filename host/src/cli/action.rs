//! `jackfield action`

mod form;
mod invoke;
mod present;

use std::sync::Arc;

use clap::Subcommand;
use connector_protocol::{
    did_you_mean,
    manifest::{Action, Effect, Manifest, Scopes},
};
use jackfield::{Error, ErrorKind, Result, api, forms, plugins::Registry};
use serde_json::{Value, json};

pub(crate) use self::form::ask_for;
use super::{
    Everywhere, completion,
    engine::{Engine, registry},
    output::{self, Format, Printing},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List actions
    List {
        /// Of this connector only
        #[arg(add = completion::connectors())]
        connector: Option<String>,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show what an action does, what it needs and what it takes
    Show {
        /// The action, as CONNECTOR.ACTION
        #[arg(add = completion::actions())]
        action: String,
        /// One field of what it takes, and what is in it, such as settings
        #[arg(add = completion::field())]
        field: Option<String>,
        #[command(flatten)]
        printing: Printing,
    },
    /// Fill the form of an action, in the terminal; or get it as a page or as JSON
    Form(form::Fill),
    /// Run an action
    Invoke(Box<invoke::Invoke>),
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. } | Self::Show { printing, .. } => printing.output,
            Self::Form(fill) => fill.format(),
            Self::Invoke(invoke) => invoke.format(),
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        match self {
            Self::List { connector, printing } => list(everywhere, connector.as_deref(), &printing),
            Self::Show { action, field, printing } => show(everywhere, &action, field.as_deref(), &printing),
            Self::Form(fill) => fill.run(everywhere),
            Self::Invoke(invoke) => invoke.run(everywhere),
        }
    }
}

/// An action of a connector that is there.
pub(crate) struct Declared {
    /// Its name, as `connector.action`.
    pub(crate) name: String,
    pub(crate) manifest: Arc<Manifest>,
    index: usize,
}

impl Declared {
    /// Finds an action by its name.
    pub(crate) fn find(registry: &Registry, name: &str) -> Result<Self> {
        let (connector, _) = api::split(name)?;
        Self::of(name, registry.find(connector)?.manifest()?.clone())
    }

    /// The action of this name that a manifest declares.
    pub(crate) fn of(name: &str, manifest: Arc<Manifest>) -> Result<Self> {
        let (_, action) = api::split(name)?;
        let index = api::find_action(&manifest, action)?;
        Ok(Self { name: name.to_owned(), manifest, index })
    }

    pub(crate) fn action(&self) -> &Action {
        &self.manifest.actions[self.index]
    }

    /// The schema of what it takes, standing alone.
    pub(crate) fn input(&self) -> Value {
        self.manifest.standalone(&self.action().input)
    }

    pub(crate) fn form(&self) -> forms::Form {
        forms::build(&self.action().title, &self.action().description, &self.input())
    }
}

fn list(everywhere: &Everywhere, connector: Option<&str>, printing: &Printing) -> Result<()> {
    let query = printing.query()?;
    let manifests: Vec<Arc<Manifest>> = if everywhere.server.is_some() {
        Engine::find(everywhere)?.manifests(connector)?.into_iter().map(Arc::new).collect()
    } else {
        declared_here(&registry(&everywhere.home()?)?, connector, printing)?
    };
    let mut items: Vec<Value> = Vec::new();
    for manifest in &manifests {
        items.extend(manifest.actions.iter().map(|action| {
            let name = format!("{}.{}", manifest.id, action.name);
            json!({"name": name, "title": action.title, "effect": action.effect, "description": action.description})
        }));
    }
    let names: Vec<String> = items.iter().map(|item| output::cell(&item["name"])).collect();
    let columns = ["name", "title", "effect", "description"];
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|name| output::cell(&item[*name])).collect()).collect();
    printing.print(query.as_ref(), &Value::Array(items), &names, || {
        output::rows(&["NAME", "TITLE", "EFFECT", "ABOUT"], rows.into_iter());
    })
}

/// What the connectors of a home declare: one, or all, with a word on those that cannot be used.
fn declared_here(
    registry: &Registry,
    connector: Option<&str>,
    printing: &Printing,
) -> Result<Vec<Arc<Manifest>>> {
    if let Some(id) = connector {
        return Ok(vec![registry.find(id)?.manifest()?.clone()]);
    }
    if printing.output == Format::Table {
        for refusal in registry.refused() {
            output::warn(&refusal.to_string(), refusal.hint.as_deref());
        }
    }
    registry.libraries().map(|library| Ok(library.manifest()?.clone())).collect()
}

fn show(everywhere: &Everywhere, name: &str, field: Option<&str>, printing: &Printing) -> Result<()> {
    let query = printing.query()?;
    let declared = Engine::find(everywhere)?.declared(name)?;
    let described = forms::describe(&declared.form(), field, output::text_width()).ok_or_else(|| {
        let field = field.unwrap_or_default();
        let text = format!("{name} has no field `{}`", field.escape_debug());
        let form = declared.form();
        let meant = did_you_mean(field, form.object.fields.iter().map(|field| field.name.as_str()));
        Error::new(ErrorKind::Unknown, text).hint(match meant {
            Some(meant) => format!("did you mean: jackfield action show {name} {meant}"),
            None => format!("see what it takes: jackfield action show {name}"),
        })
    })?;
    let (manifest, action) = (&declared.manifest, declared.action());
    let mut whole = json!(action);
    whole["connector"] = json!(manifest.id);
    whole["input"] = declared.input();
    whole["output"] = manifest.standalone(&action.output);
    printing.print(query.as_ref(), &whole, &[name.to_owned()], || {
        if field.is_some() {
            return output::lines(described.trim_start_matches('\n'));
        }
        let effect = match action.effect {
            Effect::Reads => "reads; changes nothing",
            Effect::Creates => "creates; done twice, there are two",
            Effect::Updates => "updates what is there",
            Effect::Deletes => "deletes",
        };
        let paging = action.paging.as_ref().map_or("", |_| "comes in pages; --all gets them all");
        let facts = [
            ("name", name.to_owned()),
            ("title", action.title.clone()),
            ("about", action.description.clone()),
            ("effect", effect.to_owned()),
            ("scopes", scopes(&action.scopes)),
            ("list", paging.to_owned()),
            ("docs", action.docs.clone().unwrap_or_default()),
        ];
        output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
        output::lines(&described);
        output::say(&format!("to fill it: jackfield action form {name}"));
        output::say(&format!("to run it:  jackfield action invoke {name} --set FIELD=VALUE"));
    })
}

/// The sets of scopes, of which any one will do.
fn scopes(sets: &[Scopes]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| set.all.join(" and ")).collect();
    sets.join(", or ")
}
