//! `jackfield connector verify`

use std::{path::Path, sync::Arc};

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    config::Config,
    forms,
    forms::{Kind, Object},
    home::Home,
    plugins::Library,
    worker::{Terms, Workers},
};
use serde_json::json;

use super::{add::find, file_of};
use crate::cli::{
    Everywhere, completion,
    engine::registry,
    output::{self, Format, Printing},
};

/// Check a library: what it declares, and whether its code declares the same
#[derive(Args)]
pub(crate) struct Verify {
    /// The library, as a file; or a connector, by its id
    #[arg(add = completion::connectors())]
    library: String,
    #[command(flatten)]
    printing: Printing,
}

impl Verify {
    pub(crate) fn format(&self) -> Format {
        self.printing.output
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        let is_file = self.library.contains(['/', '.']) || Path::new(&self.library).exists();
        let home = everywhere.locate()?;
        let path = if is_file || home.must_exist().is_err() {
            find(&self.library)?
        } else {
            let registry = registry(&home)?;
            let ready = registry.libraries().find(|library| library.id() == self.library);
            match ready
                .map_or_else(|| file_of(&registry, &home, &self.library), |library| Ok(library.path.clone()))
            {
                Ok(path) => path,
                // It may lie where jackfield was installed.
                Err(error) => find(&self.library).map_err(|_| error)?,
            }
        };
        let library = prove(&path, &home)?;
        let head = &library.head;
        let raw = raw_fields(&library)?;
        let value = json!({
            "path": path, "id": head.id, "version": head.version, "abi": head.abi, "api": head.api,
            "actions": head.actions, "triggers": head.triggers, "manifest": head.digest,
            "sha256": head.sha256, "as_json": raw,
        });
        self.printing.print(query.as_ref(), &value, std::slice::from_ref(&head.id), || {
            let facts = [
                ("file", path.display().to_string()),
                ("connector", format!("{} {}", head.id, head.version)),
                ("built with", format!("connector-abi {}, connector-api {}", head.abi, head.api)),
                (
                    "declares",
                    format!(
                        "{}, {}",
                        output::count(head.actions, "action"),
                        output::count(head.triggers, "trigger")
                    ),
                ),
                ("library", format!("sha256 {}", head.sha256)),
                ("manifest", format!("sha256 {}", head.digest)),
            ];
            output::data(&output::pairs(facts.into_iter()));
            for field in &raw {
                output::warn(&format!("{field} can only be filled as JSON"), None);
            }
            output::say("it is well made: it loads, and its code declares what its manifest says");
        })
    }
}

/// Reads a library, checks what it declares as strictly as its author's tests do, and has a worker load it.
pub(super) fn prove(path: &Path, home: &Home) -> Result<Arc<Library>> {
    let library = Arc::new(Library::read(path).map_err(Error::from)?);
    let problems = library.manifest()?.lint();
    if !problems.is_empty() {
        let text = format!("{}: its manifest is not as it should be", path.display());
        let hint = "in the connector's crate: cargo test says the same, and where";
        return Err(Error::new(ErrorKind::PluginRefused, text).problems(problems).hint(hint));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))?;
    // Wherever there is no home, workers are what they are by default.
    let terms = match home.must_exist() {
        Ok(()) => Config::load(home)?.workers.terms(home),
        Err(_) => Terms::default(),
    };
    runtime.block_on(Workers::new(terms, Arc::default()).prove(&library))?;
    Ok(library)
}

/// The fields of all actions that a form cannot show as what they are.
fn raw_fields(library: &Library) -> Result<Vec<String>> {
    fn collect(object: &Object, path: &str, found: &mut Vec<String>) {
        let variants =
            object.variants.iter().flat_map(|variants| &variants.of).map(|variant| &variant.object);
        for field in std::iter::once(object).chain(variants).flat_map(|object| &object.fields) {
            let here = format!("{path}.{}", field.name);
            match &field.kind {
                Kind::Json => found.push(here),
                Kind::Object(inner) => collect(inner, &here, found),
                Kind::List { item, .. } => match &item.kind {
                    Kind::Json => found.push(format!("{here}[]")),
                    Kind::Object(inner) => collect(inner, &format!("{here}[]"), found),
                    _ => {}
                },
                _ => {}
            }
        }
    }
    let manifest = library.manifest()?;
    let mut found = Vec::new();
    for action in &manifest.actions {
        let form = forms::build(&action.title, "", &manifest.standalone(&action.input));
        collect(&form.object, &action.name, &mut found);
    }
    Ok(found)
}
