//! The names of what an app may do. Zoom has two families of them, and both have a variant for account-wide access
//! that ends in `:admin` (Zoom's documentation, "OAuth scopes", and the scope lists of its API reference).

use crate::config::{AppKind, ScopeStyle};

/// One permission, under its two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) classic: &'static str,
    pub(crate) granular: &'static str,
}

const fn scope(classic: &'static str, granular: &'static str) -> Scope {
    Scope { classic, granular }
}

pub(crate) const READ_USER: Scope = scope("user:read", "user:read:user");
pub(crate) const CREATE_MEETING: Scope = scope("meeting:write", "meeting:write:meeting");
pub(crate) const UPDATE_MEETING: Scope = scope("meeting:write", "meeting:update:meeting");
pub(crate) const LIST_MEETINGS: Scope = scope("meeting:read", "meeting:read:list_meetings");
pub(crate) const READ_MEETING: Scope = scope("meeting:read", "meeting:read:meeting");
pub(crate) const DELETE_MEETING: Scope = scope("meeting:write", "meeting:delete:meeting");
pub(crate) const ADD_REGISTRANT: Scope = scope("meeting:write", "meeting:write:registrant");
pub(crate) const LIST_REGISTRANTS: Scope = scope("meeting:read", "meeting:read:list_registrants");
pub(crate) const DELETE_REGISTRANT: Scope = scope("meeting:write", "meeting:delete:registrant");

/// Scopes that no simulated endpoint asks for, but that apps with triggers have.
const EVENTS: [Scope; 3] = [
    scope("meeting:read", "meeting:read:registrant"),
    scope("meeting:read", "meeting:read:participant"),
    scope("recording:read", "cloud_recording:read:recording"),
];

const ALL: [Scope; 9] = [
    READ_USER,
    CREATE_MEETING,
    UPDATE_MEETING,
    LIST_MEETINGS,
    READ_MEETING,
    DELETE_MEETING,
    ADD_REGISTRANT,
    LIST_REGISTRANTS,
    DELETE_REGISTRANT,
];

/// Whose data a token reaches with a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The user's own: `me`.
    Own,
    /// Everybody's in the account.
    Account,
}

impl Scope {
    /// What a list of granted names gives for this scope. A name of either family will do.
    pub(crate) fn reach(self, granted: &[String]) -> Option<Reach> {
        let has = |name: &str, suffix: &str| {
            granted.iter().any(|granted| granted.strip_suffix(suffix).is_some_and(|base| base == name))
        };
        if has(self.classic, ":admin") || has(self.granular, ":admin") {
            return Some(Reach::Account);
        }
        (has(self.classic, "") || has(self.granular, "")).then_some(Reach::Own)
    }

    fn name(self, style: ScopeStyle) -> &'static str {
        match style {
            ScopeStyle::Granular => self.granular,
            ScopeStyle::Classic => self.classic,
        }
    }

    /// The names that a refusal lists: both variants, or only the account-wide one.
    pub(crate) fn names(self, style: ScopeStyle, reach: Reach) -> Vec<String> {
        let name = self.name(style);
        let admin = format!("{name}:admin");
        match reach {
            Reach::Own => vec![name.to_owned(), admin],
            Reach::Account => vec![admin],
        }
    }
}

/// The scopes an app was built with: everything the simulator has.
pub(crate) fn of_app(app: AppKind, style: ScopeStyle) -> Vec<String> {
    let mut names = Vec::new();
    for scope in ALL.iter().chain(&EVENTS) {
        let name = match app {
            AppKind::UserManaged => scope.name(style).to_owned(),
            AppKind::AdminManaged | AppKind::ServerToServer => format!("{}:admin", scope.name(style)),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether users consent to apps of this kind, and so whether its tokens can be refreshed.
pub(crate) fn has_users(app: AppKind) -> bool {
    app != AppKind::ServerToServer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(granted: &[&str]) -> Option<Reach> {
        let granted: Vec<String> = granted.iter().map(|&name| name.to_owned()).collect();
        READ_MEETING.reach(&granted)
    }

    #[test]
    fn either_family_will_do_and_the_admin_variant_reaches_further() {
        assert_eq!(reach(&["meeting:read"]), Some(Reach::Own));
        assert_eq!(reach(&["meeting:read:meeting"]), Some(Reach::Own));
        assert_eq!(reach(&["meeting:read:admin"]), Some(Reach::Account));
        assert_eq!(reach(&["meeting:read:meeting", "meeting:read:meeting:admin"]), Some(Reach::Account));
        assert_eq!(reach(&["meeting:write", "meeting:read:list_meetings"]), None);
        assert_eq!(reach(&[]), None);
    }

    #[test]
    fn no_name_is_listed_twice() {
        assert_eq!(
            of_app(AppKind::UserManaged, ScopeStyle::Classic),
            ["user:read", "meeting:write", "meeting:read", "recording:read"]
        );
        assert_eq!(of_app(AppKind::AdminManaged, ScopeStyle::Granular).len(), 12);
    }
}
