//! What the operating system says of a file, as people say it. It knows nothing of what the file is for.

use std::{io, path::Path};

use connector_protocol::{Error, ErrorKind};

/// What went wrong, without the system's number for it: `no such file or directory`.
#[must_use]
pub fn words(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The error of something that could not be done to a file of the home: `cannot write FILE: no space left on device`.
pub fn cannot<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + Copy + 'a {
    move |error| Error::new(ErrorKind::Config, format!("cannot {what} {}: {}", path.display(), words(&error)))
}
