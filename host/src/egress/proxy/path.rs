//! Whether a path or a query stays where it was put. What a server might read as another place is refused, by whatever rules it
//! might read: those of addresses, of file systems, of what decodes twice.

use connector_protocol::{Error, ErrorKind, Result};
use percent_encoding::percent_decode;

/// How often something may be encoded over and over. A value that stands in a path as data is encoded twice at most.
const MOST_LAYERS: usize = 8;

/// What may stand in a path beside letters, digits and `%`: what has a meaning of its own there, or none anywhere.
const IN_PATH: &[u8] = b"-._~!$&'()*+,;=:@/[]|";

/// The error of a path that would lead elsewhere than below its base.
pub(super) fn elsewhere() -> Error {
    Error::new(ErrorKind::Usage, "the path would lead elsewhere than below the base address")
        .hint("write it as the provider's reference does, without the host: users/me/meetings")
}

/// The path below a base, without the slash before it.
pub(super) fn sound(path: &str) -> Result<&str> {
    let below = path.strip_prefix('/').unwrap_or(path);
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'%' || IN_PATH.contains(byte);
    if let Some(byte) = below.bytes().find(|byte| !is_fit(byte)) {
        let what = if byte.is_ascii_graphic() {
            format!("`{}`", char::from(byte))
        } else {
            "a space, a control character or one that is not ASCII".to_owned()
        };
        let text = format!("the path holds {what}, which does not stand in a path as it is");
        return Err(
            Error::new(ErrorKind::Usage, text).hint(format!("encode it, as %{byte:02X} and the like"))
        );
    }
    if !has_whole_escapes(below) {
        let text = "the path holds a `%` that no two hexadecimal digits follow";
        return Err(Error::new(ErrorKind::Usage, text).hint("encode it, as %25"));
    }
    let bare = bare(below.as_bytes())?;
    // Control characters are dropped by some readers, and 0xC0 and 0xC1 begin nothing but another spelling of ASCII.
    if bare.iter().any(|byte| byte.is_ascii_control() || matches!(byte, 0xC0 | 0xC1)) {
        return Err(elsewhere());
    }
    let begin = bare.trim_ascii_start();
    if begin.starts_with(b"/") || begin.starts_with(b"\\") || is_address(begin) {
        return Err(elsewhere());
    }
    let is_step = |segment: &[u8]| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        name == b"." || name == b".."
    };
    if bare.split(|byte| matches!(byte, b'/' | b'\\')).any(is_step) {
        return Err(elsewhere());
    }
    Ok(below)
}

/// Whether a query is one: what it means is between the user and the provider.
pub(super) fn query(query: &str) -> Result<()> {
    match query.bytes().find(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        None => Ok(()),
        Some(byte) => {
            let text = "the query holds a character that does not stand in a query as it is";
            Err(Error::new(ErrorKind::Usage, text).hint(format!("encode it, as %{byte:02X} and the like")))
        }
    }
}

/// The name in `name=value`, as lenient servers read it: `key[]` is `key`.
pub(super) fn parameter_name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
    let name = percent_decode(name.as_bytes()).decode_utf8_lossy().into_owned();
    let is_nothing = |c: char| c.is_whitespace() || c.is_control();
    name.split('[').next().unwrap_or_default().trim_matches(is_nothing).to_owned()
}

fn has_whole_escapes(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes();
        let mut is_digit = || digits.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit() && is_digit()
    })
}

/// A path with every layer of encoding off.
fn bare(path: &[u8]) -> Result<Vec<u8>> {
    let mut bare = path.to_vec();
    for _ in 0..MOST_LAYERS {
        let next: Vec<u8> = percent_decode(&bare).collect();
        if next.len() == bare.len() {
            return Ok(bare);
        }
        bare = next;
    }
    Err(elsewhere())
}

/// Whether a text begins as a full address does.
fn is_address(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|byte| *byte == b':') else { return false };
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    let is_name = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let is_known = [&b"http"[..], b"https", b"ws", b"wss", b"ftp", b"file"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_name && (is_known || rest.starts_with(b"/") || rest.starts_with(b"\\"))
}
