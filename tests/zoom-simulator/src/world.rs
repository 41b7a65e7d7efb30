//! Everything the simulated Zoom knows, and the only place where meetings and registrants change. Each verb here
//! changes the state and records the [`Change`] in one step. It does not know who asks, nor how answers look.

mod instances;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::change::{Change, Changes};
use crate::clock::Clock;
use crate::config::{AppKind, Config};
use crate::directory::{Directory, User, WEBINAR};
use crate::errors::ZoomResult;
use crate::instance::Instance;
use crate::limits::Limits;
use crate::meeting::{Issued, Meeting, Passcode};
use crate::oauth::authority::{self, Authority, NewGrant};
use crate::oauth::scopes;
use crate::paging::Pages;
use crate::random::Random;
use crate::registrant::{Registrant, Standing};

pub(crate) use instances::{Fitting, Newcomer};

/// A change of which nobody outside has been told yet.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) change: Change,
    pub(crate) at: Timestamp,
    /// Whether the app may hear of it: it is about a user who has connected it.
    pub(crate) heard: bool,
}

/// The state of the simulated Zoom.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Arc<Config>,
    /// The simulator's own address, such as `http://127.0.0.1:4510`.
    pub(crate) origin: String,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) directory: Directory,
    pub(crate) authority: Authority,
    pub(crate) limits: Limits,
    pub(crate) pages: Pages,
    meetings: BTreeMap<i64, Meeting>,
    registrants: HashMap<i64, Vec<Registrant>>,
    instances: HashMap<i64, Vec<Instance>>,
    changes: Changes,
    news: Vec<News>,
    /// The tokens of the consent that was given when this world began.
    first_grant: authority::Issued,
}

impl World {
    /// A world in which the sample host has connected the app, and nothing else has happened. After a reset the tokens
    /// of that consent are those of the world before.
    pub(crate) fn new(config: Arc<Config>, origin: String, earlier: Option<authority::Issued>) -> Self {
        let clock = Clock::default();
        let mut random = Random::new(config.seed);
        let directory = Directory::new(config.plan);
        let mut authority = Authority::default();
        let consent = NewGrant {
            user: directory.host().clone(),
            scopes: scopes::of_app(config.app, config.scopes),
            with_refresh: scopes::has_users(config.app),
            exclusive: true,
            life: config.token_life,
        };
        let first_grant = match earlier {
            None => authority.grant(consent, &mut random, clock.now()),
            Some(issued) => authority.grant_again(consent, issued, clock.now()),
        };
        let mut world = Self {
            limits: Limits::new(config.rate_limits, config.plan),
            config,
            origin,
            clock,
            random,
            directory,
            authority,
            pages: Pages::default(),
            meetings: BTreeMap::new(),
            registrants: HashMap::new(),
            instances: HashMap::new(),
            changes: Changes::default(),
            news: Vec::new(),
            first_grant,
        };
        for user in world.directory.users().to_vec() {
            if let Some(pmi) = user.pmi {
                let issued = world.issue(user, None, None);
                world.meetings.insert(pmi, Meeting::personal_room(pmi, issued));
            }
        }
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn first_grant(&self) -> &authority::Issued {
        &self.first_grant
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Forgets meetings whose numbers have expired. Nobody is told: Zoom does not tell either.
    pub(crate) fn sweep(&mut self) {
        let now = self.now();
        let (registrants, instances) = (&mut self.registrants, &mut self.instances);
        self.meetings.retain(|id, meeting| {
            let expired = meeting.expires().is_some_and(|expires| expires <= now);
            if expired {
                registrants.remove(id);
                instances.remove(id);
            }
            !expired
        });
    }

    /// What a new meeting gets that nobody can ask for.
    pub(crate) fn issue(
        &mut self,
        host: Arc<User>,
        assistant: Option<Arc<User>>,
        passcode: Option<Passcode>,
    ) -> Issued {
        let id = loop {
            let id = self.random.meeting_number();
            let taken = self.meetings.contains_key(&id)
                || id == WEBINAR
                || self.directory.users().iter().any(|user| user.pmi == Some(id));
            if !taken {
                break id;
            }
        };
        let (uuid, host_key) = (self.random.uuid(), self.random.digits());
        Issued { id, uuid, host, assistant, passcode, host_key, now: self.clock.now() }
    }

    /// A passcode in all its forms.
    pub(crate) fn passcode(&mut self, text: String) -> Passcode {
        let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        Passcode {
            digits: if all_digits { text.clone() } else { self.random.digits() },
            encrypted: format!("{}.1", self.random.id()),
            text,
        }
    }

    pub(crate) fn meetings(&self) -> impl Iterator<Item = &Meeting> {
        self.meetings.values()
    }

    pub(crate) fn meeting(&self, id: i64) -> Option<&Meeting> {
        self.meetings.get(&id)
    }

    pub(crate) fn meeting_by_uuid(&self, uuid: &str) -> Option<&Meeting> {
        self.meetings.values().find(|meeting| meeting.uuid == uuid)
    }

    pub(crate) fn registrants(&self, meeting: i64) -> &[Registrant] {
        self.registrants.get(&meeting).map_or(&[], Vec::as_slice)
    }

    /// How many registrants all meetings have together.
    pub(crate) fn count_registrants(&self) -> usize {
        self.registrants.values().map(Vec::len).sum()
    }

    fn record(&mut self, change: Change) {
        let at = self.now();
        let heard = change.is_about().is_none_or(|user| self.is_connected(user));
        self.news.push(News { change: change.clone(), at, heard });
        self.changes.record(change, at);
    }

    /// Whether the app learns what happens to this user: who has not connected it is none of its business, unless an
    /// administrator has connected everybody.
    fn is_connected(&self, user: &User) -> bool {
        match self.config.app {
            AppKind::UserManaged => self.authority.has_grant(user.id),
            AppKind::AdminManaged | AppKind::ServerToServer => self.authority.count_grants().0 > 0,
        }
    }

    /// What has changed since this was asked last, oldest first.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn add_meeting(&mut self, meeting: Meeting, operator: Arc<User>) {
        self.meetings.insert(meeting.id, meeting.clone());
        self.record(Change::MeetingCreated { meeting: Box::new(meeting), operator });
    }

    /// Edits a copy and keeps it unless the edit is refused. Answers what the edit answers; nothing if there is no
    /// such meeting.
    pub(crate) fn edit_meeting<T>(
        &mut self,
        id: i64,
        operator: Arc<User>,
        edit: impl FnOnce(&mut Meeting) -> ZoomResult<T>,
    ) -> ZoomResult<Option<T>> {
        let Some(stored) = self.meetings.get_mut(&id) else {
            return Ok(None);
        };
        let mut after = stored.clone();
        let result = edit(&mut after)?;
        let before = std::mem::replace(stored, after.clone());
        self.record(Change::MeetingUpdated { before: Box::new(before), after: Box::new(after), operator });
        Ok(Some(result))
    }

    pub(crate) fn remove_meeting(&mut self, id: i64, operator: Arc<User>) {
        self.registrants.remove(&id);
        self.instances.remove(&id);
        if let Some(meeting) = self.meetings.remove(&id) {
            self.record(Change::MeetingDeleted { meeting: Box::new(meeting), occurrence: None, operator });
        }
    }

    /// Marks an occurrence as deleted. Answers whether there was such a one.
    pub(crate) fn remove_occurrence(&mut self, id: i64, occurrence: &str, operator: Arc<User>) -> bool {
        let Some(meeting) = self.meetings.get_mut(&id) else {
            return false;
        };
        let Some(found) = meeting.occurrence_mut(occurrence) else {
            return false;
        };
        found.deleted = true;
        let meeting = Box::new(meeting.clone());
        let occurrence = Some(occurrence.to_owned());
        self.record(Change::MeetingDeleted { meeting, occurrence, operator });
        true
    }

    /// The host enters the meeting, or everybody has left it. A meeting that has ended gets a new UUID. Answers
    /// whether that was a change.
    pub(crate) fn set_in_progress(&mut self, id: i64, in_progress: bool) -> bool {
        let uuid = self.random.uuid();
        let Some(meeting) = self.meetings.get(&id).filter(|meeting| meeting.in_progress != in_progress)
        else {
            return false;
        };
        let current = meeting.uuid.clone();
        let instance = if in_progress { None } else { self.close_instance(id) };
        let Some(meeting) = self.meetings.get_mut(&id) else {
            return false;
        };
        meeting.in_progress = in_progress;
        let snapshot = Box::new(meeting.clone());
        if in_progress {
            self.open_instance(id, current);
            self.record(Change::MeetingStarted { meeting: snapshot });
        } else {
            meeting.uuid = uuid;
            self.record(Change::MeetingEnded { meeting: snapshot, instance });
        }
        true
    }

    /// Adds a registrant, or replaces the one with the same id.
    pub(crate) fn put_registrant(&mut self, meeting: i64, registrant: Registrant) {
        let all = self.registrants.entry(meeting).or_default();
        match all.iter_mut().find(|other| other.id == registrant.id) {
            Some(other) => *other = registrant.clone(),
            None => all.push(registrant.clone()),
        }
        if let Some(meeting) = self.meetings.get(&meeting).cloned().map(Box::new) {
            self.record(Change::RegistrantAdded { meeting, registrant: Box::new(registrant) });
        }
    }

    /// Approves or denies. Answers whether there is such a registrant.
    pub(crate) fn decide_registrant(&mut self, meeting: i64, id: &str, standing: Standing) -> bool {
        let all = self.registrants.get_mut(&meeting);
        let Some(registrant) = all.and_then(|all| all.iter_mut().find(|other| other.id == id)) else {
            return false;
        };
        registrant.standing = standing;
        let registrant = Box::new(registrant.clone());
        if let Some(meeting) = self.meetings.get(&meeting).cloned().map(Box::new) {
            self.record(Change::RegistrantDecided { meeting, registrant });
        }
        true
    }

    /// Takes a registrant out of one occurrence, or out of the meeting when there is none left or none is named.
    /// Answers whether there was such a registration.
    pub(crate) fn remove_registrant(&mut self, id: i64, registrant: &str, occurrence: Option<&str>) -> bool {
        let Some(meeting) = self.meetings.get(&id).cloned() else {
            return false;
        };
        let Some(all) = self.registrants.get_mut(&id) else {
            return false;
        };
        let Some(index) = all.iter().position(|other| other.id == registrant) else {
            return false;
        };
        let found = &mut all[index];
        let left = match occurrence {
            None => Vec::new(),
            Some(occurrence) if !found.attends(occurrence) => return false,
            Some(occurrence) => {
                let attended = found.occurrences.clone().unwrap_or_else(|| {
                    meeting.occurrences.iter().map(|occurrence| occurrence.id.clone()).collect()
                });
                attended.into_iter().filter(|id| id != occurrence).collect::<Vec<_>>()
            }
        };
        let registrant = if left.is_empty() {
            all.remove(index)
        } else {
            found.occurrences = Some(left);
            found.clone()
        };
        self.record(Change::RegistrantRemoved {
            meeting: Box::new(meeting),
            registrant: Box::new(registrant),
            occurrence: occurrence.map(str::to_owned),
        });
        true
    }
}
