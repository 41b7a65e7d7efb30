//! `cargo xtask messages`: everything that Jackfield says to people, in one file to be read from top to bottom.
//!
//! Sessions show messages where they come; this has those, too, that take a full disk or a broken kernel to be seen. It
//! is a snapshot: `cargo xtask tidy` complains when it is not what the code says, so that a new sentence is read by
//! somebody before it is read by everybody.

use std::{collections::BTreeSet, fs, str::FromStr};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{
    Result,
    run::root,
    tidy::{Source, sources},
};

const FILE: &str = "tests/sessions/messages.txt";

/// Where the words of the program, of every connector and of the Zoom connector are.
const TREES: [&str; 4] =
    ["host/src/", "connector-api/src/", "connector-api/protocol/src/", "connectors/zoom/src/"];

/// Macros and functions whose words are for a log, or for whoever changes the code.
const ASIDE: &[&str] = &[
    "assert",
    "assert_eq",
    "concat",
    "debug",
    "debug_assert",
    "expect",
    "include_str",
    "info_span",
    "prepare",
    "prepare_cached",
    "query_row",
    "reason",
    "trace",
    "unreachable",
];

/// Writes the file down.
pub(crate) fn messages() -> Result {
    fs::write(root().join(FILE), text()?).map_err(|error| format!("{FILE}: {error}"))
}

/// Complains if the file is not what the code says.
pub(crate) fn are_current(complaints: &mut Vec<String>) {
    let said = text().unwrap_or_else(|error| error);
    let there = fs::read_to_string(root().join(FILE)).unwrap_or_default();
    for line in said.lines().filter(|line| !there.lines().any(|known| known == *line)) {
        complaints.push(format!("{FILE} lacks {line:?}: read it aloud, then cargo xtask messages"));
    }
    if said != there && complaints.iter().all(|complaint| !complaint.starts_with(FILE)) {
        complaints
            .push(format!("{FILE} has what nobody says any more, or says elsewhere: cargo xtask messages"));
    }
}

fn text() -> Result<String> {
    let mut text =
        String::from("What Jackfield says, by the file that says it. Made by `cargo xtask messages`.\n");
    for source in sources()? {
        let is_ours = TREES.iter().any(|tree| source.path.starts_with(tree));
        if !is_ours || source.path.ends_with("conformance.rs") {
            continue;
        }
        let said = said_by(&source)?;
        if !said.is_empty() {
            text.push_str(&format!("\n{}\n", source.path));
            said.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
    }
    Ok(text)
}

/// The sentences of a file.
fn said_by(source: &Source) -> Result<BTreeSet<String>> {
    let tests = source.text.find("#[cfg(test)]\nmod ").unwrap_or(source.text.len());
    let tokens = TokenStream::from_str(&source.text[..tests])
        .map_err(|error| format!("{} cannot be read: {error}", source.path))?;
    let mut said = BTreeSet::new();
    collect(tokens, &mut said);
    Ok(said)
}

fn collect(tokens: TokenStream, said: &mut BTreeSet<String>) {
    // The name that the group in hand belongs to.
    let mut name = String::new();
    let mut is_attribute = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let is_aside = is_attribute && group.delimiter() == Delimiter::Bracket;
                if !is_aside && !ASIDE.contains(&name.as_str()) {
                    collect(group.stream(), said);
                }
                is_attribute = false;
                name.clear();
            }
            TokenTree::Ident(ident) => name = ident.to_string(),
            TokenTree::Punct(punct) => {
                is_attribute = punct.as_char() == '#' || is_attribute && punct.as_char() == '!';
                // `name!(` and `name(` are followed; whatever else comes between parts them.
                if punct.as_char() != '!' {
                    name.clear();
                }
            }
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    text.value().lines().filter(|line| is_said(line)).for_each(|line| {
                        said.insert(line.trim().to_owned());
                    });
                }
            }
        }
    }
}

/// Whether it is made of words: two of them beside each other, and no language of another program.
fn is_said(line: &str) -> bool {
    const OTHERS: &[&str] = &[
        "SELECT ",
        "INSERT ",
        "DELETE ",
        "UPDATE ",
        "CREATE ",
        "PRAGMA ",
        "VALUES ",
        "INTEGER",
        " NOT NULL",
        "-- ",
        " AND id",
        " ON CONFLICT",
    ];
    let is_word =
        |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_alphabetic() || "',.:;-`".contains(c));
    let words: Vec<&str> = line.split(' ').collect();
    words.windows(2).any(|pair| pair.iter().all(is_word)) && !OTHERS.iter().any(|other| line.contains(other))
}
