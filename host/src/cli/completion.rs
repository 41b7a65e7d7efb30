//! `jackfield completion`, and what a shell asks for while somebody types.

use std::{ffi::OsStr, path::PathBuf, sync::Arc};

use clap::{Args, Command, ValueEnum};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate},
    env::Shells,
};
use connector_protocol::schema::resolve;
use jackfield::{
    Error, ErrorKind, Result, api,
    home::Home,
    plugins::{Library, Registry},
};
use serde_json::Value;

use super::{engine, output};

/// The variable by which a shell's script asks.
const VARIABLE: &str = "JACKFIELD_COMPLETE";

/// What bash is told. It takes words apart at `=` and `:`, which stand in what we take; so they are put together again
/// before we are asked, and of what we answer bash gets what comes after them.
const BASH: &str = r#"_clap_complete_PROGRAM() {
    local separators=${COMP_WORDBREAKS//[^=:]/} words=() index=0 glued="" i
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        local word=${COMP_WORDS[i]}
        [[ $i == "$COMP_CWORD" ]] && word=$2
        if ((i > 1)) && [[ -n $separators ]] &&
            [[ ${COMP_WORDS[i]} == [$separators]* || ${COMP_WORDS[i - 1]} == [$separators]* ]]; then
            # What it takes for a word of its own may be a separator alone, of which nothing has been typed yet.
            [[ $i == "$COMP_CWORD" && ${COMP_WORDS[i]} == [$separators]* ]] && word=${COMP_WORDS[i]}
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        [[ $i == "$COMP_CWORD" ]] && index=$((${#words[@]} - 1)) && break
    done
    if [[ -n $separators && ${words[index]} == *[$separators]* ]]; then
        glued=${words[index]%"${words[index]##*[$separators]}"}
    fi
    local IFS=$'\013'
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX="$index" VARIABLE=bash PROGRAM -- "${words[@]}"))
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$glued"}
    done
    # What goes on is not followed by a space.
    [[ ${COMPREPLY-} == *[=:.] ]] && compopt -o nospace
    return 0
}
complete -o bashdefault -o nosort -F _clap_complete_PROGRAM PROGRAM 2>/dev/null ||
    complete -o bashdefault -F _clap_complete_PROGRAM PROGRAM
"#;

/// Print the script that makes a shell complete commands, connectors, actions and fields
#[derive(Args)]
#[command(after_help = "\
bash:  source <(jackfield completion bash), in ~/.bashrc
zsh:   source <(jackfield completion zsh), in ~/.zshrc
fish:  jackfield completion fish | source, in ~/.config/fish/config.fish")]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Completion {
    pub(crate) fn run(self, command: Command) -> Result<()> {
        let name = match self.shell {
            Shell::Bash => "bash",
            Shell::Elvish => "elvish",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
            Shell::Zsh => "zsh",
        };
        let failed = || Error::new(ErrorKind::Internal, format!("there is no script for {name}"));
        let shells = Shells::builtins();
        let shell = shells.completer(name).ok_or_else(failed)?;
        if matches!(self.shell, Shell::Bash) {
            output::data(&BASH.replace("PROGRAM", command.get_name()).replace("VARIABLE", VARIABLE));
            return Ok(());
        }
        let mut script = Vec::new();
        // By name, so that the one that is found when somebody types is the one that answers.
        let program = command.get_name();
        shell.write_registration(VARIABLE, program, program, program, &mut script).map_err(|_| failed())?;
        output::data(&String::from_utf8_lossy(&script));
        Ok(())
    }
}

/// Answers a shell that asks, and ends; goes on if none does.
pub(crate) fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The home that the words on the line mean, as far as they are typed.
fn home() -> Option<Home> {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1).cloned();
    let glued = || words.iter().find_map(|word| word.strip_prefix("--home=")).map(str::to_owned);
    let given = after("--home").or_else(glued);
    Home::locate(given.map(PathBuf::from)).ok()
}

fn registry() -> Option<Registry> {
    engine::registry(&home()?).ok()
}

/// Completes with connectors.
pub(crate) fn connectors() -> ArgValueCandidates {
    ArgValueCandidates::new(|| registry().iter().flat_map(Registry::libraries).map(candidate).collect())
}

/// Completes with connectors that can be pinned.
pub(crate) fn pinnable() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let registry = registry();
        let libraries = registry.iter().flat_map(|registry| registry.libraries().chain(registry.unpinned()));
        libraries.map(candidate).collect()
    })
}

fn candidate(library: &Arc<Library>) -> CompletionCandidate {
    CompletionCandidate::new(library.id()).help(Some(library.head.title.clone().into()))
}

/// Completes with actions.
pub(crate) fn actions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut candidates = Vec::new();
        for library in registry().iter().flat_map(Registry::libraries) {
            let Ok(manifest) = library.manifest() else { continue };
            candidates.extend(manifest.actions.iter().map(|action| {
                CompletionCandidate::new(format!("{}.{}", library.id(), action.name))
                    .help(Some(action.title.clone().into()))
            }));
        }
        candidates
    })
}

/// Completes with the fields of the action on the line, and with the values of those that have choices.
pub(crate) fn fields() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| complete_field(&typed.to_string_lossy()).unwrap_or_default())
}

/// Completes with the fields alone.
pub(crate) fn field() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let candidates = complete_field(&typed.to_string_lossy()).unwrap_or_default();
        let bare = candidates.into_iter().map(|candidate| {
            let value = candidate.get_value().to_string_lossy().into_owned();
            let bare = CompletionCandidate::new(value.trim_end_matches(['=', '.']));
            bare.help(candidate.get_help().cloned())
        });
        bare.collect()
    })
}

fn complete_field(typed: &str) -> Option<Vec<CompletionCandidate>> {
    let registry = registry()?;
    let schema = std::env::args().find_map(|word| {
        let (connector, action) = api::split(&word).ok()?;
        let manifest = registry.find(connector).ok()?.manifest().ok()?.clone();
        let input = manifest.action(action)?.input.clone();
        Some(manifest.standalone(&input))
    })?;
    let defs = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let (path, value) = match typed.split_once('=') {
        Some((path, value)) => (path, Some(value)),
        None => (typed, None),
    };
    // Down to the object whose field is being typed.
    let (parents, last) = path.rsplit_once('.').map_or(("", path), |(parents, last)| (parents, last));
    let mut at = resolve(&schema, &defs);
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        let name = step.split('[').next().unwrap_or_default();
        at = resolve(at.get("properties")?.get(name)?, &defs);
        if step.contains('[') {
            at = resolve(at.get("items")?, &defs);
        }
    }
    let fields = at.get("properties")?.as_object()?;
    let prefix = if parents.is_empty() { String::new() } else { format!("{parents}.") };
    let help = |schema: &Value| {
        let target = resolve(schema, &defs);
        let text =
            [schema, target].iter().find_map(|schema| schema.get("description")?.as_str()).map(str::to_owned);
        text.map(|text| text.lines().next().unwrap_or_default().to_owned().into())
    };
    if value.is_some() {
        let field = resolve(fields.get(last)?, &defs);
        let choices: Vec<(String, Option<String>)> =
            if field.get("type").is_some_and(|kind| kind == "boolean") {
                vec![("true".to_owned(), None), ("false".to_owned(), None)]
            } else if let Some(values) = field.get("enum").and_then(Value::as_array) {
                values.iter().map(|value| (output::cell(value), None)).collect()
            } else {
                let choice = |choice: &Value| {
                    Some((
                        output::cell(choice.get("const")?),
                        choice.get("title").and_then(Value::as_str).map(str::to_owned),
                    ))
                };
                field.get("oneOf")?.as_array()?.iter().filter_map(choice).collect()
            };
        let candidates = choices.into_iter().map(|(choice, title)| {
            CompletionCandidate::new(format!("{path}={choice}")).help(title.map(Into::into))
        });
        return Some(
            candidates
                .filter(|candidate| candidate.get_value().to_string_lossy().starts_with(typed))
                .collect(),
        );
    }
    let is_object = |schema: &Value| resolve(schema, &defs).get("properties").is_some();
    let candidates = fields.iter().filter(|(name, _)| name.starts_with(last)).map(|(name, schema)| {
        let end = if is_object(schema) { "." } else { "=" };
        CompletionCandidate::new(format!("{prefix}{name}{end}")).help(help(schema))
    });
    Some(candidates.collect())
}
