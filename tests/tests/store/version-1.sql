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
