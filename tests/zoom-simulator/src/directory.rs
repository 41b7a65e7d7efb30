//! The sample account and its users. They are fixed: whoever writes a test or a page against the simulator can name
//! them. What users do is elsewhere.

use std::sync::Arc;

use serde::Serialize;

use crate::config::Plan;

/// The sample account.
pub(crate) const ACCOUNT_ID: &str = "SampleAccount000000001";

/// A webinar: every meeting call on its number answers code 3000.
pub(crate) const WEBINAR: i64 = 95_000_000_001;

/// An e-mail domain that the account has blocked: inviting from it answers code 3000.
pub(crate) const BLOCKED_DOMAIN: &str = "blocked.example";

const COLLEAGUE_ID: &str = "SampleColleague0000002";

/// What a user has been assigned, as `type` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Licence {
    Basic,
    Licensed,
    /// "Unassigned without Meetings Basic": may not host at all.
    Unassigned,
}

impl Licence {
    /// The number `GET /users/{userId}` shows.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Basic => 1,
            Self::Licensed => 2,
            Self::Unassigned => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Owner,
    Member,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: &'static str,
    pub(crate) email: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) licence: Licence,
    pub(crate) role: Role,
    /// The number of the user's Personal Meeting Room. Users who may not host have none.
    pub(crate) pmi: Option<i64>,
    pub(crate) timezone: &'static str,
    /// Whose assistant this user is: the ids that `schedule_for` accepts.
    pub(crate) schedules_for: &'static [&'static str],
}

impl User {
    pub(crate) const FIRST_NAME: &'static str = "Sample";

    pub(crate) fn display_name(&self) -> String {
        format!("{} {}", Self::FIRST_NAME, self.last_name)
    }

    /// Whether `name` is this user's id or e-mail address.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.id == name || self.email.eq_ignore_ascii_case(name)
    }
}

/// The users of the sample account.
#[derive(Debug)]
pub(crate) struct Directory {
    users: Vec<Arc<User>>,
    /// The one who consents when the simulator starts, and who owns the account.
    host: Arc<User>,
}

impl Directory {
    /// On the free plan nobody has a licence.
    pub(crate) fn new(plan: Plan) -> Self {
        let licensed = if plan == Plan::Free { Licence::Basic } else { Licence::Licensed };
        let host = Arc::new(User {
            id: "SampleHost000000000001",
            email: "host@example.com",
            last_name: "Host",
            licence: licensed,
            role: Role::Owner,
            pmi: Some(4_000_000_001),
            timezone: "Europe/Berlin",
            schedules_for: &[COLLEAGUE_ID],
        });
        let others = [
            User {
                id: COLLEAGUE_ID,
                email: "colleague@example.com",
                last_name: "Colleague",
                licence: licensed,
                role: Role::Member,
                pmi: Some(4_000_000_002),
                timezone: "America/New_York",
                schedules_for: &[],
            },
            User {
                id: "SampleBasic00000000003",
                email: "basic@example.com",
                last_name: "Basic",
                licence: Licence::Basic,
                role: Role::Member,
                pmi: Some(4_000_000_003),
                timezone: "Asia/Kolkata",
                schedules_for: &[],
            },
            User {
                id: "SampleUnlicensed000004",
                email: "unlicensed@example.com",
                last_name: "Unlicensed",
                licence: Licence::Unassigned,
                role: Role::Member,
                pmi: None,
                timezone: "UTC",
                schedules_for: &[],
            },
        ];
        let users = [host.clone()].into_iter().chain(others.map(Arc::new)).collect();
        Self { users, host }
    }

    pub(crate) fn users(&self) -> &[Arc<User>] {
        &self.users
    }

    pub(crate) fn host(&self) -> &Arc<User> {
        &self.host
    }

    /// The user with this id or e-mail address.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.users.iter().find(|user| user.is_called(name))
    }
}
