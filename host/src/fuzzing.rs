//! What the fuzz targets do with bytes: what the host does with those that others have made.
//!
//! It is here, and not with the targets in `tests/fuzz`, because a test replays the corpus by the same functions, and no
//! test may need the compiler that fuzzing needs. The host itself does not use it, and nobody else should. It knows no corpus
//! and no fuzzer: each function takes bytes, and panics if the host would do what it must not.

use std::io::Cursor;

use connector_protocol::{manifest::Schema, validate::Validator};
use object::ReadCache;
use serde_json::{Value, json};

use crate::{
    Manifest, forms,
    plugins::{self, inspect},
    redact,
    worker::decoding::decode,
};

/// How many operations of a manifest are looked at: a host looks at one when it is used, not at all of them at once.
const OPERATIONS: usize = 4;

/// How long a stream of frames is made by sending it over and over, so that few bytes reach the limits for many.
const MOST_FRAMES: usize = 20 * 1024 * 1024;

/// A library's bytes, as they lie in the plugins directory, read at once and piece by piece.
///
/// # Panics
///
/// If the two say different things.
pub fn sections(bytes: &[u8]) {
    let whole = inspect(bytes);
    let cache = ReadCache::new(Cursor::new(bytes));
    let pieces = plugins::declared(&cache);
    match (whole, pieces) {
        (Ok(whole), Ok((pieces, manifest))) => {
            assert_eq!(
                (&whole.id, &whole.digest, &whole.needed),
                (&pieces.id, &pieces.digest, &pieces.needed)
            );
            assert_eq!(whole.id, manifest.id);
        }
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole, pieces);
            assert!(!whole.reason.is_empty(), "refused for no reason");
        }
        (whole, pieces) => {
            panic!("read at once: {whole:?}\npiece by piece: {:?}", pieces.map(|(head, _)| head))
        }
    }
}

/// A manifest, and what is made of one that was accepted: what checks values, the names of secrets, forms.
///
/// # Panics
///
/// If what was accepted is refused when it is written down again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::read(bytes) else { return };
    let _ = manifest.lint();
    let again = Manifest::read(&manifest.to_bytes());
    assert!(again.is_ok(), "refused when it is written down again: {again:?}");
    // As good as any value, and deeper than most.
    let own = serde_json::from_slice(bytes).unwrap_or_default();
    for auth in manifest.auth.iter().take(OPERATIONS) {
        schema(&manifest, &auth.parameters, &own);
    }
    for action in manifest.actions.iter().take(OPERATIONS) {
        let input = schema(&manifest, &action.input, &own);
        schema(&manifest, &action.output, &own);
        let form = forms::build(&action.title, &action.description, &input);
        let _ = forms::describe(&form, None, 100);
        let _ = serde_json::to_vec(&form);
    }
    for trigger in manifest.triggers.iter().take(OPERATIONS) {
        schema(&manifest, &trigger.parameters, &own);
        schema(&manifest, &trigger.event, &own);
    }
}

/// What is made of a schema: it stands alone, and values are checked by it if that is possible.
fn schema(manifest: &Manifest, schema: &Schema, own: &Value) -> Value {
    let alone = manifest.standalone(schema);
    let _ = redact::marked_names(&alone);
    if let Ok(validator) = Validator::new(alone.clone()) {
        for value in [&Value::Null, &json!({}), &json!([[], "x", 1]), own, &alone] {
            let _ = validator.check(value);
            let mut value = value.clone();
            let _ = redact::mask_marked(&alone, &mut value);
        }
    }
    alone
}

/// What a worker sends, cut at some places and uncut. The first byte says how many of the next ones are lengths of pieces; the
/// byte behind those, whether all the rest is sent once or over and over.
///
/// # Panics
///
/// If it depends on the cuts what arrives, or the reader keeps more than it may.
pub fn frames(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else { return };
    let Some((cuts, rest)) = rest.split_at_checked(usize::from(count % 16)) else { return };
    let Some((&times, frames)) = rest.split_first() else { return };
    let times = if times < 0xf0 { 1 } else { 1 << (times & 0x0f).min(11) };
    let frames = frames.repeat(times.min(MOST_FRAMES / frames.len().max(1)).max(1));
    assert_eq!(decode(&frames, &[]), decode(&frames, cuts));
}
