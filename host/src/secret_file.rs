//! Secrets that come from files, or from standard input: read whole, and never said. It does not know what they are for.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::system;
use connector_protocol::{Error, ErrorKind, Result};
use secrecy::{SecretString, zeroize::Zeroizing};

/// How large a secret may be, in bytes.
const MAX_LEN: u64 = 64 * 1024;

/// Reads a token from a file. A line break at its end does not belong to it.
///
/// # Errors
///
/// If there is none, or if it is no token.
pub fn read(path: &Path) -> Result<SecretString> {
    let name = path.display().to_string();
    File::open(path)
        .and_then(take)
        .map_err(|error| unreadable(&name, &error))
        .and_then(|bytes| token(&bytes, &name))
}

/// Reads a token from standard input.
///
/// # Errors
///
/// If there is none, or if it is no token.
pub fn read_stdin() -> Result<SecretString> {
    let name = "standard input";
    take(io::stdin().lock()).map_err(|error| unreadable(name, &error)).and_then(|bytes| token(&bytes, name))
}

fn take(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(io::Error::other(format!("has more than {MAX_LEN} bytes")));
    }
    Ok(bytes)
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Usage, format!("cannot read the token from {name}: {}", system::words(error)))
        .hint("write the token into that file, alone on one line, or name another: --token-file FILE")
}

fn token(bytes: &[u8], name: &str) -> Result<SecretString> {
    let unusable = |text: String| {
        Error::new(ErrorKind::Unauthorized, text).hint("it holds the token alone, on one line")
    };
    let text =
        std::str::from_utf8(bytes).map_err(|_| unusable(format!("the token in {name} is not text")))?;
    let token = text.trim_end_matches(['\r', '\n']);
    if token.is_empty() {
        return Err(unusable(format!("there is no token in {name}")));
    }
    if token.chars().any(char::is_control) {
        return Err(unusable(format!("the token in {name} holds a line break or a control character")));
    }
    Ok(SecretString::from(token))
}
