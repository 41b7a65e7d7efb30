//! What a set of scopes allows, and what the lack of one disables.

use std::collections::BTreeSet;

use connector_protocol::manifest::{Manifest, Scopes};
use serde::{Deserialize, Serialize};

/// Something that cannot be done with the scopes there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gap {
    /// The scopes that are missing.
    pub scopes: Vec<String>,
    /// The actions that need them.
    pub actions: Vec<String>,
    /// The triggers that need them.
    pub triggers: Vec<String>,
    /// Whether nobody can be identified without them.
    pub identify: bool,
}

/// What the vendor's own page calls scopes that do not exist by that name, beside what they mean; any connector's page may
/// say `things:read` where its provider says `thing:read`.
fn meant<'a>(scope: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    if known.contains(scope) {
        return known.get(scope).copied();
    }
    let (noun, rest) = scope.split_once(':')?;
    let singular = format!("{}:{rest}", noun.strip_suffix('s')?);
    let exact = known.get(singular.as_str()).copied();
    exact.or_else(|| {
        known
            .iter()
            .find(|known| known.strip_prefix(&*singular).is_some_and(|rest| rest.starts_with(':')))
            .copied()
    })
}

/// All scopes that a connector knows.
#[must_use]
pub fn known(manifest: &Manifest) -> BTreeSet<&str> {
    let lists = manifest.actions.iter().map(|action| &action.scopes);
    let lists = lists.chain(manifest.triggers.iter().map(|trigger| &trigger.scopes));
    lists
        .chain([&manifest.identify_scopes])
        .flatten()
        .flat_map(|scopes| scopes.all.iter().map(String::as_str))
        .collect()
}

/// Scopes as the provider calls them, with a note for each that was called otherwise; and those that the connector does not
/// know at all.
#[must_use]
pub fn read(manifest: &Manifest, scopes: &[String]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let known = known(manifest);
    let (mut read, mut notes, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes {
        match meant(scope, &known) {
            Some(meant) if meant != scope => {
                notes.push(format!("{} has no scope `{scope}`; it is `{meant}` there", manifest.title));
                read.push(meant.to_owned());
            }
            Some(_) => read.push(scope.clone()),
            None => {
                unknown.push(scope.clone());
                read.push(scope.clone());
            }
        }
    }
    let mut seen = BTreeSet::new();
    read.retain(|scope| seen.insert(scope.clone()));
    (read, notes, unknown)
}

/// Whether any of the sufficient sets is there.
#[must_use]
pub fn suffices(needed: &[Scopes], granted: &[String]) -> bool {
    needed.is_empty() || needed.iter().any(|set| set.all.iter().all(|scope| granted.contains(scope)))
}

/// The family that most of the granted scopes belong to, or the connector's first one.
#[must_use]
pub fn family<'a>(manifest: &'a Manifest, granted: &[String]) -> Option<&'a str> {
    let count = |family: &str| {
        let lists = [&manifest.identify_scopes].into_iter();
        let lists = lists.chain(manifest.actions.iter().map(|action| &action.scopes));
        let lists = lists.chain(manifest.triggers.iter().map(|trigger| &trigger.scopes));
        let of_family = lists.flatten().filter(|set| set.family.as_deref() == Some(family));
        let names: BTreeSet<&String> = of_family.flat_map(|set| &set.all).collect();
        granted.iter().filter(|scope| names.contains(scope)).count()
    };
    let families = manifest.scope_families.iter().map(|family| family.name.as_str());
    // The first of those that have the most.
    families.rev().max_by_key(|family| count(family))
}

/// What cannot be done with these scopes, by what is missing.
#[must_use]
pub fn gaps(manifest: &Manifest, granted: &[String]) -> Vec<Gap> {
    let family = family(manifest, granted);
    let mut gaps: Vec<Gap> = Vec::new();
    let mut lacks = |needed: &[Scopes], note: &dyn Fn(&mut Gap)| {
        if suffices(needed, granted) {
            return;
        }
        let Some(set) = of_family(needed, family) else { return };
        let missing: Vec<String> = set.all.iter().filter(|scope| !granted.contains(scope)).cloned().collect();
        let index = gaps.iter().position(|gap| gap.scopes == missing).unwrap_or_else(|| {
            gaps.push(Gap { scopes: missing, actions: Vec::new(), triggers: Vec::new(), identify: false });
            gaps.len() - 1
        });
        note(&mut gaps[index]);
    };
    lacks(&manifest.identify_scopes, &|gap| gap.identify = true);
    for action in &manifest.actions {
        lacks(&action.scopes, &|gap| gap.actions.push(action.name.clone()));
    }
    for trigger in &manifest.triggers {
        lacks(&trigger.scopes, &|gap| gap.triggers.push(trigger.name.clone()));
    }
    gaps
}

/// The sufficient set of a family, or the first one.
#[must_use]
pub fn of_family<'a>(needed: &'a [Scopes], family: Option<&str>) -> Option<&'a Scopes> {
    needed.iter().find(|set| set.family.as_deref() == family).or_else(|| needed.first())
}

/// Everything that a connector needs in one family, in reading order: what identifies an account first.
#[must_use]
pub fn needed(manifest: &Manifest, family: Option<&str>) -> Vec<String> {
    let lists = [&manifest.identify_scopes].into_iter();
    let lists = lists.chain(manifest.actions.iter().map(|action| &action.scopes));
    let lists = lists.chain(manifest.triggers.iter().map(|trigger| &trigger.scopes));
    let mut seen = BTreeSet::new();
    lists
        .filter_map(|needed| of_family(needed, family))
        .flat_map(|set| &set.all)
        .filter(|scope| seen.insert((*scope).clone()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest() -> Manifest {
        let either =
            |new: &str, old: &str| json!([{"family": "new", "all": [new]}, {"family": "old", "all": [old]}]);
        let action = |name: &str, scopes: Value| {
            json!({
                "name": name, "title": name, "description": name, "effect": "reads", "scopes": scopes,
                "input": {"type": "object"}, "output": {},
            })
        };
        serde_json::from_value(json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
            "hosts": [], "auth": [],
            "scope_families": [{"name": "new", "title": "New"}, {"name": "old", "title": "Old"}],
            "identify_scopes": either("user:read:user", "user:read"),
            "actions": [
                action("get", either("thing:read:one", "thing:read")),
                action("list", either("thing:read:list", "thing:read")),
            ],
        }))
        .unwrap()
    }

    fn owned(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn scopes_are_read_as_the_provider_calls_them_and_as_its_page_does() {
        let manifest = manifest();
        for (given, expected, noted, unknown) in [
            ("thing:read", "thing:read", false, false),
            ("thing:read:one", "thing:read:one", false, false),
            ("users:read", "user:read", true, false),
            ("things:read:list", "thing:read:list", true, false),
            ("users:write", "users:write", false, true),
            ("s", "s", false, true),
            (":", ":", false, true),
        ] {
            let (found, notes, strange) = read(&manifest, &owned(&[given]));
            assert_eq!(
                (found, notes.len(), strange.len()),
                (owned(&[expected]), usize::from(noted), usize::from(unknown)),
                "{given}"
            );
        }
        let (found, notes, _) = read(&manifest, &owned(&["user:read", "users:read"]));
        assert_eq!(
            (found, notes),
            (owned(&["user:read"]), owned(&["Acme has no scope `users:read`; it is `user:read` there"]))
        );
    }

    #[test]
    fn a_gap_names_the_scope_of_the_family_that_is_there_and_what_it_disables() {
        let manifest = manifest();
        let gap = |scope: &str, actions: &[&str], identify| Gap {
            scopes: owned(&[scope]),
            actions: owned(actions),
            triggers: Vec::new(),
            identify,
        };
        for (granted, expected) in [
            (&["user:read", "thing:read"][..], vec![]),
            (&["user:read:user", "thing:read:one", "thing:read:list"], vec![]),
            // What identifies an account says of which family an app is, like everything else.
            (&["user:read"], vec![gap("thing:read", &["get", "list"], false)]),
            (&["thing:read"], vec![gap("user:read", &[], true)]),
            (&["user:read:user", "thing:read:one"], vec![gap("thing:read:list", &["list"], false)]),
        ] {
            assert_eq!(gaps(&manifest, &owned(granted)), expected, "{granted:?}");
        }
    }
}
