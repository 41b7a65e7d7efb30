//! Names: what one may look like, and which one was probably meant.

/// Whether a connector may be called this: it becomes part of addresses, file names and commands.
pub(crate) fn is_connector_id(id: &str) -> bool {
    (1..=40).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !id.ends_with('-')
}

/// Whether an action, a trigger, a hook, an auth variant or the like may be called this.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The candidate that `given` was probably meant to be, if one is close enough.
///
/// ```
/// use connector_protocol::did_you_mean;
/// assert_eq!(did_you_mean("create_meting", ["create_meeting", "delete_meeting"]), Some("create_meeting"));
/// assert_eq!(did_you_mean("frobnicate", ["create_meeting"]), None);
/// ```
pub fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (given.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be changed, added, dropped or swapped with their neighbour to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        for (given, expected) in [
            ("topci", Some("topic")),
            ("tpoic", Some("topic")),
            ("durations", Some("duration")),
            ("Topic", Some("topic")),
            ("x", None),
            ("start", None),
        ] {
            assert_eq!(did_you_mean(given, ["topic", "duration", "start_time"]), expected, "{given}");
        }
    }

    #[test]
    fn names_that_would_break_an_address_or_a_file_are_refused() {
        for id in ["zoom", "a", "acme-crm2"] {
            assert!(is_connector_id(id), "{id}");
        }
        for id in ["", "Zoom", "2fa", "a_b", "a-", "-a", "a.b", "a/b", "..", "zoöm", &"a".repeat(41)] {
            assert!(!is_connector_id(id), "{id}");
        }
        assert!(is_name("create_meeting") && !is_name("create-meeting") && !is_name("_x") && !is_name(""));
    }
}
