//! `--query`: what a jq filter makes of the data, by jaq.

use jackfield::{Error, ErrorKind, Result};
use jaq_core::{
    Compiler, Ctx, Filter, Vars, data,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::{Val, read};
use serde_json::Value;

use super::output::{self, Format};

/// A filter that was understood.
pub(crate) struct Query {
    filter: Filter<data::JustLut<Val>>,
}

impl Query {
    /// Reads a filter.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let unclear = |what: &str| {
            let text = format!("--query: `{}` is not a jq filter: {what}", text.escape_debug());
            Error::new(ErrorKind::Usage, text).hint("a filter looks like .join_url or '.meetings[].topic'")
        };
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        // What is in the environment is no part of the data.
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let functions = functions.filter(|(name, ..)| *name != "env");
        let arena = Arena::default();
        let loader = Loader::new(definitions);
        let modules =
            loader.load(&arena, File { code: text, path: () }).map_err(|_| unclear("it cannot be read"))?;
        let filter = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
            let unknown =
                errors.iter().flat_map(|(_, errors)| errors).map(|(name, _)| (*name).to_owned()).next();
            match unknown {
                Some(name) => unclear(&format!("there is no `{}`", name.escape_debug())),
                None => unclear("it cannot be read"),
            }
        })?;
        Ok(Self { filter })
    }

    /// Prints each value that the filter gives: as JSON, or bare where names are wanted.
    pub(crate) fn print(&self, value: &Value, format: Format) -> Result<()> {
        let failed = |what: String| {
            Error::new(ErrorKind::Usage, format!("--query: {}", without_data(&what)))
                .hint("see what the data looks like: leave --query out, and print it with -o json")
        };
        let text = value.to_string();
        let input = read::parse_single(text.as_bytes()).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the data cannot be read again: {error}"))
        })?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
        for result in self.filter.id.run((context, input)).map(unwrap_valr) {
            let value = result.map_err(|error| failed(error.to_string()))?;
            let text = value.to_string();
            match (format, serde_json::from_str::<Value>(&text)) {
                (Format::Name, Ok(Value::String(bare))) => output::data(&bare),
                (Format::Json, Ok(value)) if value.is_object() || value.is_array() => output::json(&value),
                _ => output::data(&text),
            }
        }
        Ok(())
    }
}

/// What went wrong, without the data it went wrong with, which may be long, and another's: only words stay, and short
/// values.
fn without_data(what: &str) -> String {
    match (what.find(['{', '[']), what.rfind(['}', ']'])) {
        (Some(from), Some(to)) if from < to => {
            let shape = if what[from..].starts_with('{') { "an object" } else { "a list" };
            format!("{}{shape}{}", &what[..from], &what[to + 1..])
        }
        _ => what.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_told_before_anything_is_done() {
        for (filter, expected) in [
            (".a[", "--query: `.a[` is not a jq filter: it cannot be read"),
            ("nonsense", "--query: `nonsense` is not a jq filter: there is no `nonsense`"),
        ] {
            let error = Query::read(filter).err().map(|error| error.message);
            assert_eq!(error.as_deref(), Some(expected));
        }
        assert!(Query::read(".a[] | select(.b > 1) | keys | join(\",\")").is_ok());
    }
}
