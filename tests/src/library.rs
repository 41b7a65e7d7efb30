//! Libraries that differ from one that was built, without building another.

/// The name of the section that holds the manifest.
const MANIFEST: &[u8] = b".jackfield.manifest";

/// A library whose manifest is another one. Its code still declares what it did.
///
/// # Panics
///
/// If it is no library of 64 bits that has a manifest.
#[must_use]
pub fn with_manifest(library: &[u8], manifest: &[u8]) -> Vec<u8> {
    let number = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&library[at..at + len]);
        usize::try_from(u64::from_le_bytes(bytes)).expect("it lies in the file")
    };
    // The table of sections, how long each entry of it is, how many there are, and which holds the names.
    let (table, len, count, names) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2), number(0x3e, 2));
    let names = number(table + names * len + 0x18, 8);
    let section = (0..count).map(|nth| table + nth * len).find(|section| {
        let name = names + number(*section, 4);
        library[name..].starts_with(MANIFEST) && library[name + MANIFEST.len()] == 0
    });
    let section = section.expect("it has a manifest");
    let mut made = library.to_vec();
    // It goes to the end, where there is room for any.
    made[section + 0x18..section + 0x20].copy_from_slice(&(library.len() as u64).to_le_bytes());
    made[section + 0x20..section + 0x28].copy_from_slice(&(manifest.len() as u64).to_le_bytes());
    made.extend_from_slice(manifest);
    made
}

/// A library in which each of these bytes is the others, which are as many.
///
/// # Panics
///
/// If they are not, or if there are none.
#[must_use]
pub fn replaced(library: &[u8], these: &[u8], others: &[u8]) -> Vec<u8> {
    assert_eq!(these.len(), others.len());
    let mut made = library.to_vec();
    let found: Vec<usize> =
        (0..=made.len() - these.len()).filter(|at| made[*at..].starts_with(these)).collect();
    assert!(!found.is_empty(), "there is nothing to replace");
    for at in found {
        made[at..at + others.len()].copy_from_slice(others);
    }
    made
}
