//! How errors look: one sentence, what is wrong where, and what to type next.

use std::fmt::Write;

use jackfield::{Error, ErrorKind};

use super::output::{self, BAD, Format, GOOD, SOFT, complain};

/// The exit code that an error ends the command with.
///
/// 1 failure, 2 usage or validation, 3 cancelled, 4 a credential is missing or not accepted, 5 the provider refused or
/// cannot be reached, 6 too many calls, 7 a library was refused, or is missing.
pub(crate) fn exit_code(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage | ErrorKind::InvalidInput | ErrorKind::Unknown => 2,
        ErrorKind::Cancelled => 3,
        ErrorKind::Unauthorized
        | ErrorKind::MissingScope
        | ErrorKind::ConnectionNeeded
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden => 4,
        ErrorKind::NotFound
        | ErrorKind::Refused
        | ErrorKind::Unavailable
        | ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Ambiguous
        | ErrorKind::UnexpectedAnswer => 5,
        ErrorKind::RateLimited => 6,
        ErrorKind::PluginRefused | ErrorKind::ConnectorMissing | ErrorKind::ConnectorQuarantined => 7,
        _ => 1,
    }
}

/// Prints an error on standard error: as text, or as one line of JSON where the answer would have been JSON.
pub(crate) fn print(error: &Error, format: Format) {
    complain(&match format {
        Format::Json | Format::Ndjson => output::harmless(serde_json::to_string(error).unwrap_or_default()),
        Format::Table | Format::Name => text(error),
    });
}

/// An error as people read it.
pub(crate) fn text(error: &Error) -> String {
    let clean = output::one_line;
    let mut out = format!("{BAD}error[{}]{BAD:#}: {}", clean(error.kind.as_str()), clean(&error.message));
    let fields: Vec<(String, String)> =
        error.problems.iter().map(|problem| (field(&problem.path), clean(&problem.message))).collect();
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, message) in fields {
        let _ = write!(out, "\n  {name:width$}  {message}");
    }
    if let Some(path) = error.path.as_ref().filter(|path| error.problems.is_empty() && !path.is_empty()) {
        let _ = write!(out, "\n  at: {}", field(path));
    }
    if let Some(provider) = &error.provider {
        let code = provider.code.as_ref().map_or(String::new(), |code| format!(", code {}", clean(code)));
        let said =
            provider.message.as_ref().filter(|said| !error.message.contains(said.trim_end_matches('.')));
        let said = said.map_or(String::new(), |text| format!(": {}", clean(text)));
        let _ = write!(out, "\n  provider: status {}{code}{said}", provider.status);
    }
    if let Some(hint) = &error.hint {
        let _ = write!(out, "\n  {GOOD}hint{GOOD:#}: {}", clean(hint));
    }
    if let Some(id) = &error.id {
        let _ = write!(out, "\n  {SOFT}id: {}{SOFT:#}", clean(id));
    }
    out
}

/// A JSON pointer as people write it on the command line: `settings.meeting_invitees[0].email`.
fn field(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            let _ = write!(path, "[{step}]");
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            let _ = write!(path, "{dot}{}", output::one_line(&step));
        }
    }
    if path.is_empty() { "(the input)".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_ends_the_command_with_a_code_of_its_own_family() {
        let codes: Vec<String> =
            ErrorKind::ALL.iter().map(|kind| format!("{} {kind}", exit_code(kind))).collect();
        assert_eq!(
            codes,
            [
                "2 usage",
                "2 invalid_input",
                "2 unknown",
                "4 unauthorized",
                "4 missing_scope",
                "5 not_found",
                "5 refused",
                "6 rate_limited",
                "5 unavailable",
                "5 network",
                "5 timeout",
                "5 ambiguous",
                "5 unexpected_answer",
                "1 blocked",
                "3 cancelled",
                "4 connection_needed",
                "1 conflict",
                "4 unauthenticated",
                "4 forbidden",
                "1 not_shown",
                "7 plugin_refused",
                "7 connector_missing",
                "1 connector_panicked",
                "1 connector_crashed",
                "1 connector_timeout",
                "7 connector_quarantined",
                "1 input_quarantined",
                "1 connector_fault",
                "1 unsupported",
                "1 call_ended",
                "1 config",
                "1 internal",
            ]
        );
    }

    #[test]
    fn fault_103_nothing_in_an_error_reaches_the_terminal_raw() {
        let error = Error::new(ErrorKind::Refused, "no\r\nerror[ok]: \u{1b}[2Jfine\u{202e}")
            .hint("a\nb")
            .problems([jackfield::Problem::new("/a\u{7}/0/b~1c", "x\u{9b}y")]);
        assert_eq!(
            anstream::adapter::strip_str(&text(&error)).to_string(),
            "error[refused]: no\\r\\nerror[ok]: \\u{1b}[2Jfine\\u{202e}\n  a\\u{7}[0].b/c  x\\u{9b}y\n  hint: a\\nb"
        );
    }
}
