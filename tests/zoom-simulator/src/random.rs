//! Ids, passcodes and tokens in the shapes Zoom gives them. They only have to be distinct: a simulator's tokens guard
//! nothing, so a small generator that can be seeded serves better here than a secure one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
    uuids: u64,
}

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let state = seed.unwrap_or_else(|| RandomState::new().hash_one("zoom-simulator"));
        Self { state, uuids: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to and including `high`.
    fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// 22 characters of base64url: users, registrants, accounts.
    pub(crate) fn id(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<16>())
    }

    /// A meeting number: mostly 11 digits, one in four has 10.
    pub(crate) fn meeting_number(&mut self) -> i64 {
        let number = match self.within(0, 3) {
            0 => self.within(1_000_000_000, 9_999_999_999),
            _ => self.within(80_000_000_000, 99_999_999_999),
        };
        number.cast_signed()
    }

    /// A meeting UUID: 16 bytes of standard base64, `/`, `+` and `=` included.
    ///
    /// By chance one in 64 begins with `/`, which is where clients break; here the third of every four does, and the
    /// fourth contains `//`, so that nobody has to wait for it.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = self.bytes::<16>();
        match self.uuids % 4 {
            2 => bytes[0] |= 0b1111_1100,
            3 => {
                bytes[3] = 0xff;
                bytes[4] |= 0xf0;
            }
            _ => {}
        }
        self.uuids += 1;
        STANDARD.encode(bytes)
    }

    /// Six digits: passcodes, host keys, PINs.
    pub(crate) fn digits(&mut self) -> String {
        self.within(100_000, 999_999).to_string()
    }

    /// Eight letters and digits that need no escaping anywhere.
    pub(crate) fn passcode(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
        (0..8).map(|_| char::from(LETTERS[self.next() as usize % LETTERS.len()])).collect()
    }

    /// An opaque secret. The prefix tells a reader of logs where it came from.
    pub(crate) fn secret(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(self.bytes::<48>()))
    }

    /// A GUID, as Zoom names participants, recordings and requests: not a valid UUID of any version.
    pub(crate) fn guid(&mut self) -> String {
        let hex = self.hex::<16>();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// Random bytes in hexadecimal.
    pub(crate) fn hex<const N: usize>(&mut self) -> String {
        hex(&self.bytes::<N>())
    }

    /// The number that somebody has while they are in a meeting.
    pub(crate) fn visit(&mut self) -> u64 {
        self.within(10_000_000, 99_999_999)
    }

    /// `x-zm-trackingid`, as observed on Zoom's answers.
    pub(crate) fn tracking_id(&mut self) -> String {
        format!("v=2.0;clid=sim;rid=WEB_{:016x}{:016x}", self.next(), self.next())
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn every_third_and_fourth_uuid_is_awkward() {
        let mut random = Random::new(Some(1));
        let uuids: Vec<String> = (0..8).map(|_| random.uuid()).collect();
        for four in uuids.chunks(4) {
            assert!(four[2].starts_with('/'), "{}", four[2]);
            assert!(four[3].contains("//"), "{}", four[3]);
        }
        assert!(uuids.iter().all(|uuid| uuid.len() == 24 && uuid.ends_with("==")));
    }

    #[test]
    fn meeting_numbers_have_ten_or_eleven_digits() {
        let mut random = Random::new(Some(2));
        let lengths: Vec<usize> = (0..200).map(|_| random.meeting_number().to_string().len()).collect();
        assert!(lengths.iter().all(|length| (10..=11).contains(length)));
        assert!(lengths.contains(&10) && lengths.contains(&11));
    }
}
