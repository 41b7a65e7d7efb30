//! What any store has to do with accounts.

use std::collections::BTreeMap;

use connector_protocol::message::Identity;
use jiff::{SignedDuration, Timestamp};

use crate::{
    id::Id,
    store::{
        ApiToken, Audit, Connection, ConnectionState, Integration, Link, Once, Page, Progress, Project,
        Renewed, Scope, SigningKey, Store, Which, WhichEvents, Written,
    },
    vault::Envelope,
};

pub(super) fn audit(action: &str) -> Audit {
    Audit::new("default", "operator", action, "x")
}

pub(super) fn sealed(key: &str, secret: &str) -> Envelope {
    let fields = BTreeMap::from([("access_token".to_owned(), secret.to_owned())]);
    Envelope { key: key.to_owned(), wrapped: "w".to_owned(), fields }
}

pub(super) fn renewed(secret: &str) -> Renewed {
    let expires = Timestamp::now().checked_add(SignedDuration::from_hours(1)).ok();
    Renewed { sealed: sealed("key_1", secret), expires, scopes: None, members: BTreeMap::new(), given: None }
}

pub(super) fn integration(project: &str) -> Integration {
    Integration {
        id: Id::integration().to_string(),
        project: project.to_owned(),
        connector: "acme".to_owned(),
        auth: "user".to_owned(),
        client_id: Some("client".to_owned()),
        scopes: vec!["a".to_owned()],
        fault: None,
        created: Timestamp::now(),
        changed: Timestamp::now(),
        version: 0,
        sealed: Some(sealed("key_1", "client-secret")),
    }
}

pub(super) fn connection(of: &Integration, user: &str, person: &str) -> Connection {
    let id = Id::connection().to_string();
    Connection {
        id: id.clone(),
        project: of.project.clone(),
        user: user.to_owned(),
        connector: of.connector.clone(),
        integration: of.id.clone(),
        auth: "user".to_owned(),
        state: ConnectionState::Valid,
        reason: None,
        since: Timestamp::now(),
        identity: Some(Identity {
            account: Some("org".into()),
            user: Some(person.into()),
            label: person.into(),
        }),
        scopes: None,
        parameters: serde_json::Map::new(),
        members: BTreeMap::new(),
        created: Timestamp::now(),
        holder: id,
    }
}

pub(super) fn of_user(user: &str) -> Scope {
    Scope { project: "default".to_owned(), user: Some(user.to_owned()) }
}

/// The suite: `open` opens the same store again each time.
pub(super) async fn suite(open: &impl Fn() -> Box<dyn Store>) {
    let store = open();
    projects(&*store).await;
    let of = integrations(&*store).await;
    let held = connections(&*store, &of).await;
    nothing_old(&*store, &*open(), &held).await;
    leases(&*store, &*open(), &held).await;
    shared_grants(&*store, &of, &held).await;
    links_and_tokens(&*store).await;
    what_was_done(&*store).await;
    keys(&*store).await;
    erasing(&*store, &held).await;
}

async fn projects(store: &dyn Store) {
    let names = || store.projects().unwrap().into_iter().map(|project| project.id).collect::<Vec<_>>();
    assert_eq!(names(), ["default"], "every store has the first one");
    let other = Project {
        id: "other".to_owned(),
        title: Some("Other".to_owned()),
        return_urls: vec![],
        created: Timestamp::now(),
    };
    store.put_project(other, audit("project.add")).await.unwrap();
    assert_eq!(names(), ["default", "other"]);
    let key = SigningKey {
        id: "key_a".to_owned(),
        project: "other".to_owned(),
        algorithm: "RS256".to_owned(),
        pem: "pem".to_owned(),
        created: Timestamp::now(),
    };
    assert_eq!(store.add_signing_key(key.clone(), audit("key")).await, Ok(true));
    let stolen = SigningKey { project: "default".to_owned(), ..key };
    assert_eq!(store.add_signing_key(stolen, audit("key")).await, Ok(false), "a key vouches for one project");
    assert_eq!(store.signing_keys(Some("default")).unwrap(), []);
    assert_eq!(store.signing_keys(None).unwrap().len(), 1);
    assert_eq!(store.remove_signing_key("default".into(), "key_a".into(), audit("key")).await, Ok(false));
    assert_eq!(store.remove_signing_key("other".into(), "key_a".into(), audit("key")).await, Ok(true));
}

async fn integrations(store: &dyn Store) -> Integration {
    let mut of = integration("default");
    assert_eq!(store.put_integration(of.clone(), audit("add")).await, Ok(Written::Yes));
    let again = integration("default");
    assert_eq!(
        store.put_integration(again, audit("add")).await,
        Ok(Written::Stale),
        "one for each connector"
    );
    assert_eq!(store.put_integration(integration("other"), audit("add")).await, Ok(Written::Yes));
    of.version = 1;
    of.scopes.push("b".to_owned());
    assert_eq!(store.put_integration(of.clone(), audit("set")).await, Ok(Written::Yes));
    assert_eq!(
        store.put_integration(of.clone(), audit("set")).await,
        Ok(Written::Stale),
        "it is at 2 by now"
    );
    let found = store.integration("default".into(), "acme".into()).await.unwrap().unwrap();
    assert_eq!((found.version, found.scopes.len(), &found.sealed), (2, 2, &of.sealed));
    assert_eq!(store.integration("other".into(), of.id.clone()).await.unwrap(), None, "it is another's");
    let mut old = found.clone();
    old.sealed = Some(sealed("key_0", "x"));
    assert_eq!(store.put_integration(old, audit("set")).await, Ok(Written::OldKey));
    store.set_integration_fault(of.id.clone(), Some("no".into())).await.unwrap();
    let found = store.integration("default".into(), "acme".into()).await.unwrap().unwrap();
    assert_eq!(found.fault.as_deref(), Some("no"));
    found
}

async fn connections(store: &dyn Store, of: &Integration) -> Connection {
    let mine = connection(of, "u_1", "ann");
    assert_eq!(store.connect(mine.clone(), Some(renewed("one")), audit("connect")).await, Ok(Written::Yes));
    let gone = Integration { id: "int_gone".into(), ..of.clone() };
    let nowhere = connection(&gone, "u_1", "ann");
    assert_eq!(store.connect(nowhere, None, audit("connect")).await, Ok(Written::Stale));
    // Whose it is is asked each time.
    let held = store.held(&of_user("u_1"), &mine.id).unwrap().unwrap();
    assert_eq!((held.connection.id.as_str(), held.grant.version), (mine.id.as_str(), 1));
    for scope in [of_user("u_2"), Scope::project("other")] {
        assert_eq!(store.held(&scope, &mine.id).unwrap(), None, "{scope:?}");
        let list = store.connections(scope, Which::default(), Page::default()).await.unwrap();
        assert_eq!(list, []);
    }
    assert_eq!(store.user("default".into(), "u_1".into()).await.unwrap().unwrap().connections, 1);
    let which = Which { connector: Some("acme".into()), state: Some(ConnectionState::Revoked) };
    assert_eq!(store.connections(Scope::project("default"), which, Page::default()).await.unwrap(), []);
    assert_eq!(store.remove_integration(of.clone(), audit("remove")).await, Ok(false), "it is in use");
    mine
}

/// Until another process has to have seen what was written.
async fn a_moment() {
    tokio::time::sleep(2 * crate::moment::MOMENT).await;
}

/// What was looked up before is looked up again when somebody has changed it: at once if that was this process.
async fn nothing_old(store: &dyn Store, other: &dyn Store, of: &Connection) {
    let seen = |by: &dyn Store, user: &str| {
        by.held(&of_user(user), &of.id).unwrap().map(|held| (held.connection.state, held.grant.version))
    };
    for by in [store, other] {
        assert_eq!(seen(by, "u_1"), Some((ConnectionState::Valid, 1)));
        assert_eq!(seen(by, "u_2"), None, "what is known of one user is nobody else's");
    }
    for state in [ConnectionState::Revoked, ConnectionState::Valid] {
        assert_eq!(store.set_state(of.id.clone(), None, state, None, None).await, Ok(Written::Yes));
        assert_eq!(seen(store, "u_1"), Some((state, 1)));
        a_moment().await;
        assert_eq!(seen(other, "u_1"), Some((state, 1)));
    }
    let token = ApiToken {
        id: Id::token().to_string(),
        name: None,
        project: None,
        user: None,
        created: Timestamp::now(),
        expires: None,
    };
    assert_eq!(other.token(b"later").unwrap(), None);
    store.add_token(token.clone(), b"later".to_vec(), audit("token")).await.unwrap();
    assert_eq!(store.token(b"later").unwrap().as_ref(), Some(&token));
    a_moment().await;
    assert_eq!(other.token(b"later").unwrap().as_ref(), Some(&token));
    assert_eq!(store.remove_token(token.id, audit("token")).await, Ok(true));
    assert_eq!(store.token(b"later").unwrap(), None);
    a_moment().await;
    assert_eq!(other.token(b"later").unwrap(), None, "whose token was taken away is let in no more");
    let third =
        Project { id: "third".to_owned(), title: None, return_urls: vec![], created: Timestamp::now() };
    let projects = || other.projects().unwrap().len();
    let before = projects();
    store.put_project(third, audit("project.add")).await.unwrap();
    a_moment().await;
    assert_eq!(projects(), before + 1);
}

async fn leases(store: &dyn Store, other: &dyn Store, of: &Connection) {
    let me = crate::store::this_process();
    let lease = store.lease(of.id.clone(), me.clone(), 60_000).await.unwrap().unwrap();
    assert_eq!((lease.grant.version, lease.grant.sent), (1, 1));
    assert_eq!(other.lease(of.id.clone(), me.clone(), 60_000).await, Ok(None), "one at a time");
    a_moment().await;
    let seen = other.held(&of_user("u_1"), &of.id).unwrap().unwrap();
    assert_eq!(seen.connection.state, ConnectionState::Refreshing);
    assert_eq!(other.has_lease(&of.id, lease.fence), Ok(true));
    assert_eq!(store.keep_lease(of.id.clone(), lease.fence, 60_000).await, Ok(true));
    assert_eq!(store.keep_lease(of.id.clone(), lease.fence - 1, 60_000).await, Ok(false));
    // Nobody hands a grant on while it is renewed.
    store.release(of.id.clone(), lease.fence, true, None).await.unwrap();
    assert_eq!(store.has_lease(&of.id, lease.fence), Ok(false));

    // A lease that ends by itself ends for whoever has just seen it, though nobody writes anything.
    let short = store.lease(of.id.clone(), me.clone(), 50).await.unwrap().unwrap();
    let seen = || other.held(&of_user("u_1"), &of.id).unwrap().unwrap().connection.state;
    a_moment().await;
    assert_eq!(seen(), ConnectionState::Refreshing);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(seen(), ConnectionState::Valid);
    // A refresh rests until the time that it was told, but not until one that another clock has set.
    let rests = async |hours: i64| {
        let at = Timestamp::now() + SignedDuration::from_mins(hours * 60 + 10);
        store.release(of.id.clone(), short.fence, true, Some(at)).await.unwrap();
        store.held(&of_user("u_1"), &of.id).unwrap().unwrap().grant.retry_at.is_some()
    };
    assert_eq!((rests(0).await, rests(24).await), (true, false));
    store.release(of.id.clone(), short.fence, true, None).await.unwrap();

    // Of one whose process is gone, nothing comes any more.
    let gone = "1:0".to_owned();
    let first = store.lease(of.id.clone(), gone, 60_000).await.unwrap().unwrap();
    let second = store.lease(of.id.clone(), me, 60_000).await.unwrap().unwrap();
    assert_eq!((second.fence, second.grant.sent), (first.fence + 1, 2), "what was sent is counted");
    let late = store.renew(of.id.clone(), first.fence, 1, renewed("late")).await;
    assert_eq!(late, Ok(Written::Stale), "it is fenced off");
    assert_eq!(store.renew(of.id.clone(), second.fence, 0, renewed("odd")).await, Ok(Written::Stale));
    assert_eq!(store.renew(of.id.clone(), second.fence, 1, renewed("two")).await, Ok(Written::Yes));
    a_moment().await;
    let held = other.held(&of_user("u_1"), &of.id).unwrap().unwrap();
    assert_eq!((held.grant.version, held.grant.sent), (2, 0));
    assert_eq!(held.grant.sealed, Some(sealed("key_1", "two")));
    // What was seen before is not condemned.
    let state = ConnectionState::NeedsReauth;
    assert_eq!(store.set_state(of.id.clone(), Some(1), state, None, None).await, Ok(Written::Stale));
}

async fn shared_grants(store: &dyn Store, of: &Integration, holder: &Connection) {
    let mut shares = connection(of, "u_2", "ann");
    shares.holder.clone_from(&holder.id);
    assert_eq!(
        store.connect(shares.clone(), Some(renewed("three")), audit("connect")).await,
        Ok(Written::Yes)
    );
    let twins = store.twins(of.id.clone(), shares.identity.clone().unwrap()).await.unwrap();
    assert_eq!(twins.len(), 2);
    assert_eq!(store.sharers(holder.id.clone()).await.unwrap().len(), 1);
    for (user, id) in [("u_1", &holder.id), ("u_2", &shares.id)] {
        let held = store.held(&of_user(user), id).unwrap().unwrap();
        assert_eq!(held.grant.sealed, Some(sealed("key_1", "three")), "both have it");
    }
    assert_eq!(store.remove_connection(holder.id.clone(), audit("remove")).await, Ok(false), "it is shared");
    let version = store.held(&of_user("u_1"), &holder.id).unwrap().unwrap().grant.version;
    let moved = sealed("key_1", "three again");
    let stale = store.move_grant(holder.id.clone(), version - 1, shares.id.clone(), moved.clone()).await;
    assert_eq!(stale, Ok(Written::Stale));
    let done = store.move_grant(holder.id.clone(), version, shares.id.clone(), moved.clone()).await;
    assert_eq!(done, Ok(Written::Yes));
    assert_eq!(store.held(&of_user("u_2"), &shares.id).unwrap().unwrap().grant.sealed, Some(moved));
    assert_eq!(store.held(&of_user("u_1"), &holder.id).unwrap().unwrap().grant.sealed, None);
    // What is wiped is gone, and stands in the log.
    let wipe = Some(audit("connection.revoke"));
    let wiped = store.set_state(shares.id.clone(), None, ConnectionState::Revoked, Some("gone".into()), wipe);
    assert_eq!(wiped.await, Ok(Written::Yes));
    let held = store.held(&of_user("u_2"), &shares.id).unwrap().unwrap();
    assert_eq!((held.grant.sealed, held.connection.state), (None, ConnectionState::Revoked));
    let mut revived = connection(of, "u_3", "ann");
    revived.holder.clone_from(&shares.id);
    let with_it = store.connect(revived, Some(renewed("four")), audit("connect")).await;
    assert_eq!(with_it, Ok(Written::Stale), "nobody shares what was given up");
    assert_eq!(store.remove_connection(shares.id, audit("remove")).await, Ok(true));
}

async fn links_and_tokens(store: &dyn Store) {
    let link = Link {
        id: Id::link().to_string(),
        project: "default".into(),
        user: "u_1".into(),
        connector: "acme".into(),
        auth: "user".into(),
        connection: None,
        return_url: None,
        origin: None,
        expires: Timestamp::now().checked_add(SignedDuration::from_mins(15)).unwrap(),
        progress: Progress::Open,
        connected: None,
        error: None,
        session: None,
        parameters: serde_json::Map::new(),
        sealed: None,
    };
    store.add_link(link.clone(), b"token".to_vec(), audit("link")).await.unwrap();
    assert_eq!(store.link_by(b"token".to_vec()).await.unwrap().as_ref(), Some(&link));
    assert_eq!(store.link(of_user("u_2"), link.id.clone()).await.unwrap(), None);
    let away = Link { progress: Progress::Away, sealed: Some(sealed("key_1", "verifier")), ..link.clone() };
    let stepped = store.step_link(away.clone(), Progress::Open, Some(b"state".to_vec())).await;
    assert_eq!(stepped, Ok(Written::Yes));
    let again = store.step_link(away.clone(), Progress::Open, Some(b"other".to_vec())).await;
    assert_eq!(again, Ok(Written::Stale), "it is not there any more");
    assert_eq!(store.link_by(b"state".to_vec()).await.unwrap(), Some(away));
    let back = Link { progress: Progress::Back, ..link };
    assert_eq!(store.step_link(back, Progress::Away, None).await, Ok(Written::Yes));
    assert_eq!(store.link_by(b"state".to_vec()).await.unwrap(), None, "a state is used once");

    let token = ApiToken {
        id: Id::token().to_string(),
        name: None,
        project: Some("default".into()),
        user: None,
        created: Timestamp::now(),
        expires: None,
    };
    store.add_token(token.clone(), b"digest".to_vec(), audit("token")).await.unwrap();
    assert_eq!(store.token(b"digest").unwrap().as_ref(), Some(&token));
    assert_eq!(store.tokens(Some("other".into())).await.unwrap(), []);
    assert_eq!(store.remove_token(token.id.clone(), audit("token")).await, Ok(true));
    assert_eq!(store.token(b"digest").unwrap(), None);
    assert_eq!(store.remove_token(token.id, audit("token")).await, Ok(false));
}

async fn what_was_done(store: &dyn Store) {
    let log = store.audit_log(None, None, false, 1000).await.unwrap();
    assert!(log.len() > 10 && log.is_sorted_by(|a, b| a.seq < b.seq));
    let newest = store.audit_log(None, Some(log[3].seq), true, 2).await.unwrap();
    assert_eq!(newest, [log[2].clone(), log[1].clone()]);
    let rest = store.audit_log(None, Some(log[3].seq), false, 2).await.unwrap();
    assert_eq!(rest, log[4..6]);
    assert_eq!(store.audit_log(Some("other".into()), None, false, 1000).await.unwrap(), []);

    // Events go on where somebody has stopped, and are nobody else's.
    let all = Page { after: None, most: 100 };
    let events =
        store.happened(Scope::project("default"), WhichEvents::default(), all.clone()).await.unwrap();
    assert!(events.len() >= 3, "{events:?}");
    let after = Page { after: Some(events[0].id.clone()), most: 1 };
    assert_eq!(
        store.happened(Scope::project("default"), WhichEvents::default(), after).await.unwrap(),
        events[1..2]
    );
    assert_eq!(
        store.happened(Scope::project("other"), WhichEvents::default(), all.clone()).await.unwrap(),
        []
    );
    let theirs = store.happened(of_user("u_2"), WhichEvents::default(), all).await.unwrap();
    assert!(theirs.iter().all(|event| event.user.as_deref() == Some("u_2")) && !theirs.is_empty());

    let once = |user: &str, what: &str| store.once(of_user(user), "k".into(), what.as_bytes().to_vec());
    assert_eq!(once("u_1", "a").await, Ok(Once::New));
    assert_eq!(once("u_1", "a").await, Ok(Once::UnderWay));
    assert_eq!(once("u_1", "b").await, Ok(Once::Another));
    assert_eq!(once("u_2", "b").await, Ok(Once::New), "a key is somebody's");
    store.answered(of_user("u_1"), "k".into(), Some((200, "{}".into()))).await.unwrap();
    assert_eq!(once("u_1", "a").await, Ok(Once::Answered { status: 200, body: "{}".into() }));
    store.answered(of_user("u_2"), "k".into(), None).await.unwrap();
    assert_eq!(once("u_2", "c").await, Ok(Once::New), "what was not done may be asked for again");
}

async fn keys(store: &dyn Store) {
    let (used, current) = store.keys_in_use().await.unwrap();
    assert_eq!((used, current.as_deref()), (vec!["key_1".to_owned()], Some("key_1")));
    store.set_key("key_2".into(), audit("rotate")).await.unwrap();
    let old = store.sealed_otherwise("key_2".into(), 100).await.unwrap();
    assert_eq!(old.len(), 2, "two integrations: {old:?}");
    for seen in old {
        let now = Envelope { key: "key_2".into(), ..seen.envelope.clone() };
        let not = store.reseal(seen.clone(), seen.envelope.clone()).await;
        assert_eq!(not, Ok(Written::OldKey), "nothing is sealed with the old one any more");
        assert_eq!(store.reseal(seen.clone(), now.clone()).await, Ok(Written::Yes));
        assert_eq!(store.reseal(seen, now).await, Ok(Written::Stale));
    }
    assert_eq!(store.keys_in_use().await.unwrap().0, ["key_2"]);
}

async fn erasing(store: &dyn Store, left: &Connection) {
    let erase = || store.erase_user("default".into(), "u_1".into(), vec![], audit("erase"));
    assert_eq!(erase().await, Ok(false), "there is a connection yet");
    let revoked = ConnectionState::Revoked;
    store.set_state(left.id.clone(), None, revoked, None, Some(audit("revoke"))).await.unwrap();
    assert_eq!(store.remove_connection(left.id.clone(), audit("remove")).await, Ok(true));
    assert_eq!(erase().await, Ok(true));
    assert_eq!(store.user("default".into(), "u_1".into()).await.unwrap(), None);
    assert_eq!(store.happened(of_user("u_1"), WhichEvents::default(), Page::default()).await.unwrap(), []);
}
