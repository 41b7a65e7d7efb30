//! The probe: 64 bytes in a link section that say how a library was built, readable without opening it.
//!
//! A host reads it before the dynamic loader sees the file, because loading runs the library's constructors, and because
//! a library that aborts on panic loads without complaint and takes its process down at the first panic. The probe is the
//! library's own word: it finds mistakes, not malice.

use std::fmt;

/// How long a probe is, in bytes.
pub const LEN: usize = 64;

const MAGIC: &[u8; 8] = b"JACKFLD\0";
const ABI: usize = 8;
const PANIC: usize = 12;
const ABI_CRATE: usize = 16;
const API_CRATE: usize = 32;
const VERSION_LEN: usize = 16;

/// What a panic does in the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicStrategy {
    /// It unwinds, so the glue around every call can catch it.
    Unwind,
    /// It ends the process. Such a library is refused.
    Abort,
    /// A strategy this version does not know.
    Other(u8),
}

/// A probe, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The interface the library speaks; see [`ABI_VERSION`](crate::ABI_VERSION).
    pub abi: u32,
    /// What a panic does in it.
    pub panic: PanicStrategy,
    /// The version of `connector-abi` it was built with.
    pub abi_crate: String,
    /// The version of `connector-api` it was built with; empty if it was built without.
    pub api_crate: String,
}

/// Writes the probe of a library, for a static in [`PROBE_SECTION`](crate::PROBE_SECTION).
///
/// `unwinds` is `cfg!(panic = "unwind")` of the library's own build. A version longer than 16 bytes is cut.
///
/// ```
/// use connector_abi::probe::{PanicStrategy, Probe, bytes};
/// static PROBE: [u8; 64] = bytes(cfg!(panic = "unwind"), "0.1.0");
/// let probe = Probe::read(&PROBE).unwrap();
/// assert_eq!((probe.abi, probe.panic, probe.api_crate.as_str()), (1, PanicStrategy::Unwind, "0.1.0"));
/// ```
#[must_use]
pub const fn bytes(unwinds: bool, api_crate: &str) -> [u8; LEN] {
    let mut out = [0; LEN];
    copy(&mut out, 0, MAGIC, MAGIC.len());
    copy(&mut out, ABI, &crate::ABI_VERSION.to_le_bytes(), 4);
    out[PANIC] = if unwinds { 0 } else { 1 };
    copy(&mut out, ABI_CRATE, env!("CARGO_PKG_VERSION").as_bytes(), VERSION_LEN);
    copy(&mut out, API_CRATE, api_crate.as_bytes(), VERSION_LEN);
    out
}

const fn copy(out: &mut [u8; LEN], at: usize, from: &[u8], most: usize) {
    let mut i = 0;
    while i < from.len() && i < most {
        out[at + i] = from[i];
        i += 1;
    }
}

impl Probe {
    /// Reads the probe at the start of `section`.
    ///
    /// # Errors
    ///
    /// If the section is too short or does not begin with the probe's magic bytes.
    pub fn read(section: &[u8]) -> Result<Self, NotAProbe> {
        let bytes = section.first_chunk::<LEN>().filter(|bytes| bytes.starts_with(MAGIC)).ok_or(NotAProbe)?;
        let version = |at: usize| {
            let field = &bytes[at..at + VERSION_LEN];
            let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        Ok(Self {
            abi: u32::from_le_bytes([bytes[ABI], bytes[ABI + 1], bytes[ABI + 2], bytes[ABI + 3]]),
            panic: match bytes[PANIC] {
                0 => PanicStrategy::Unwind,
                1 => PanicStrategy::Abort,
                other => PanicStrategy::Other(other),
            },
            abi_crate: version(ABI_CRATE),
            api_crate: version(API_CRATE),
        })
    }
}

/// The section does not hold a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAProbe;

impl fmt::Display for NotAProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connector probe in the section {}", crate::PROBE_SECTION)
    }
}

impl std::error::Error for NotAProbe {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_says_how_its_library_was_built() {
        let probe = Probe::read(&bytes(false, "12.34.56-alpha.1+more")).unwrap();
        assert_eq!(probe.abi, 1);
        assert_eq!(probe.panic, PanicStrategy::Abort);
        assert_eq!(probe.abi_crate, env!("CARGO_PKG_VERSION"));
        assert_eq!(probe.api_crate, "12.34.56-alpha.1");
    }

    #[test]
    fn other_bytes_are_not_a_probe() {
        assert_eq!(Probe::read(b""), Err(NotAProbe));
        assert_eq!(Probe::read(&bytes(true, "1.0.0")[..LEN - 1]), Err(NotAProbe));
        assert_eq!(Probe::read(&[0; LEN]), Err(NotAProbe));
    }
}
