//! Bytes that are written as text: secrets and signatures.

use std::fmt::Write;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use connector_protocol::manifest::Encoding;

/// Any padding, but each sequence of bytes in one spelling.
const EXACT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Any padding, and bits to spare at the end: some providers draw the characters of a key, not its bytes.
const LENIENT: GeneralPurposeConfig = EXACT.with_decode_allow_trailing_bits(true);

/// The bytes of a signature; `None` if the text is not written that way.
pub(super) fn signature(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    decode(text, encoding, EXACT)
}

/// The bytes of a key; `None` if the text is not written that way.
pub(super) fn key(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    decode(text, encoding, LENIENT)
}

fn decode(text: &str, encoding: Encoding, config: GeneralPurposeConfig) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Some(text.as_bytes().to_vec()),
        Encoding::Hex => unhex(text),
        Encoding::Base64 => {
            let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
            GeneralPurpose::new(alphabet, config).decode(text).ok()
        }
    }
}

/// Bytes as text: hexadecimal digits in lower case, base64 of the standard alphabet with padding.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Hex => hex(bytes),
        Encoding::Base64 => general_purpose::STANDARD.encode(bytes),
        // No declaration that was checked asks for a hash as text.
        Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Bytes as hexadecimal digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_any_spelling_of_their_encoding_and_in_no_other() {
        use Encoding::{Base64, Hex, Utf8};
        let bytes: &[u8] = &[0xfb, 0xef, 0xff, 0x00];
        for (text, encoding, expected) in [
            ("fbefff00", Hex, Some(bytes)),
            ("FBEFFF00", Hex, Some(bytes)),
            ("fBeFfF00", Hex, Some(bytes)),
            ("", Hex, Some(&[][..])),
            ("fbefff0", Hex, None),
            ("0xfbefff", Hex, None),
            ("fbef ff00", Hex, None),
            ("fbefff0é", Hex, None),
            ("+1", Hex, None),
            ("++//AA==", Base64, Some(bytes)),
            ("++//AA=", Base64, Some(bytes)),
            ("++//AA", Base64, Some(bytes)),
            ("--__AA==", Base64, Some(bytes)),
            ("--__AA", Base64, Some(bytes)),
            ("", Base64, Some(&[][..])),
            ("+-__AA", Base64, None),
            ("++//AA==\n", Base64, None),
            ("été", Utf8, Some("été".as_bytes())),
        ] {
            assert_eq!(signature(text, encoding).as_deref(), expected, "{text}");
            assert_eq!(key(text, encoding).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn spare_bits_are_let_pass_in_a_key_and_not_in_a_signature() {
        assert_eq!(key("AB", Encoding::Base64), Some(vec![0]));
        assert_eq!(signature("AB", Encoding::Base64), None);
        assert_eq!(signature("AA", Encoding::Base64), Some(vec![0]));
    }
}
