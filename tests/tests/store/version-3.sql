-- The tables as Jackfield 0.1.0 had them at version 3, with the first project that every home has.
CREATE TABLE invocations (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    connector TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    begun TEXT NOT NULL,
    -- The process that runs it, so that one that is gone is known to be.
    owner TEXT NOT NULL,
    ms INTEGER,
    attempts INTEGER NOT NULL,
    -- What a list shows, as JSON.
    head TEXT NOT NULL,
    -- Input, output, error and exchange, as JSON.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX invocations_by_time ON invocations (begun);
CREATE INDEX invocations_by_action ON invocations (project, connector, action, id);
CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE integrations (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    connector TEXT NOT NULL,
    version INTEGER NOT NULL,
    head TEXT NOT NULL,
    -- The master key that its secrets are sealed with.
    key TEXT,
    sealed TEXT, declared TEXT,
    UNIQUE (project, connector)
) STRICT;
CREATE TABLE users (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    created TEXT NOT NULL,
    meta TEXT NOT NULL,
    PRIMARY KEY (project, id)
) STRICT;
CREATE TABLE connections (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    connector TEXT NOT NULL,
    integration TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Who is behind it, at the provider: the organisation and the person.
    account TEXT,
    person TEXT,
    -- The connection whose grant it uses: its own id, unless it shares one.
    holder TEXT NOT NULL,
    head TEXT NOT NULL,
    -- The grant. Times are milliseconds since 1970.
    version INTEGER NOT NULL,
    key TEXT,
    sealed TEXT,
    expires INTEGER,
    refreshed INTEGER,
    sent INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    -- Who refreshes it, until when, and how many have.
    fence INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER
) STRICT;
CREATE INDEX connections_by_user ON connections (project, user, connector, id);
CREATE INDEX connections_by_account ON connections (integration, person, account);
CREATE INDEX connections_by_holder ON connections (holder);
CREATE INDEX connections_by_age ON connections (refreshed) WHERE sealed IS NOT NULL;
CREATE TABLE links (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE,
    state BLOB UNIQUE,
    progress TEXT NOT NULL,
    expires INTEGER NOT NULL,
    head TEXT NOT NULL,
    key TEXT,
    sealed TEXT
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    project TEXT,
    user TEXT,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TABLE events (
    -- In the order in which they were written, whatever any clock says.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    user TEXT,
    head TEXT NOT NULL
, kind TEXT, integration TEXT, connection TEXT, key TEXT, lane TEXT, delivery TEXT, route TEXT) STRICT;
CREATE INDEX events_by_project ON events (project, seq);
CREATE TABLE answers (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    at INTEGER NOT NULL,
    owner TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX answers_by_time ON answers (at);
CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1), current TEXT NOT NULL) STRICT;
CREATE TABLE deliveries (
    -- In the order in which they were written, whatever any clock says.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    integration TEXT NOT NULL,
    connector TEXT NOT NULL,
    hook TEXT NOT NULL,
    -- The one that the address is of, if it is one's.
    subscription TEXT NOT NULL DEFAULT '',
    digest BLOB NOT NULL,
    event TEXT,
    received INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    repeats INTEGER NOT NULL DEFAULT 0,
    -- Not before then.
    due INTEGER,
    head TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_apart ON deliveries (integration, hook, subscription, digest);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'waiting';
CREATE INDEX deliveries_shelf ON deliveries (received) WHERE state IN ('unrouted', 'failed');
CREATE INDEX deliveries_over ON deliveries (received) WHERE state = 'done';
CREATE UNIQUE INDEX events_apart ON events (integration, kind, key, connection) WHERE key IS NOT NULL;
CREATE INDEX events_unrouted ON events (seq) WHERE route IS NOT NULL;
CREATE INDEX events_by_delivery ON events (delivery) WHERE delivery IS NOT NULL;
CREATE TABLE owners (
    integration TEXT NOT NULL,
    resource TEXT NOT NULL,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (integration, resource)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT,
    kind TEXT NOT NULL,
    paused INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- Only what is registered for it at the provider is left.
    removed INTEGER NOT NULL DEFAULT 0,
    head TEXT NOT NULL,
    key TEXT,
    sealed TEXT
) STRICT;
CREATE INDEX subscriptions_by_trigger ON subscriptions (project, kind, user);
CREATE TABLE dispatches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    user TEXT,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    subscription TEXT NOT NULL,
    -- Those of one lane are sent one after the other.
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL,
    due INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    status INTEGER,
    reason TEXT,
    ended INTEGER,
    UNIQUE (event, subscription)
) STRICT;
CREATE INDEX dispatches_open ON dispatches (subscription, lane, seq) WHERE state IN ('waiting', 'sending');
CREATE INDEX dispatches_due ON dispatches (due) WHERE state = 'waiting';
CREATE INDEX dispatches_sending ON dispatches (lease_until) WHERE state = 'sending';
CREATE INDEX dispatches_dead ON dispatches (seq) WHERE state = 'dead';
CREATE INDEX dispatches_done ON dispatches (ended) WHERE state = 'done';
CREATE TABLE feeds (
    subscription TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    -- What the connector has left for the next time.
    state TEXT,
    address TEXT,
    expires INTEGER,
    last INTEGER,
    -- Not before then, and how long before then that was decided.
    due INTEGER,
    wait INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER
) STRICT;
CREATE INDEX feeds_due ON feeds (due) WHERE due IS NOT NULL;
CREATE TABLE seen (
    subscription TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subscription, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (at);
INSERT INTO projects (id, head) VALUES ('default', '{"id":"default","return_urls":[],"created":"2026-11-29T00:00:00Z"}');
INSERT INTO deliveries (id, project, integration, connector, hook, digest, received, state, due, head, body)
    VALUES ('dlv_1', 'default', 'int_1', 'zoom', 'default', x'01', 1, 'waiting', 4102444800000, '{}', x'7b7d');
INSERT INTO dispatches (project, event, kind, subscription, lane, state, since, due)
    VALUES ('default', 'evt_1', 'zoom.new_meeting', 'sub_1', 'lane', 'waiting', 1, 4102444800000);
INSERT INTO subscriptions (id, project, kind, paused, version, head)
    VALUES ('sub_1', 'default', 'zoom.new_meeting', 0, 1, '{"id":"sub_1","project":"default","trigger":"zoom.new_meeting","destination":{"kind":"url","url":"https://app.example.com/hook"},"paused":false,"created":"2026-11-29T00:00:00Z"}');
