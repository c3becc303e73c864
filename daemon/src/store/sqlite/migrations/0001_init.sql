CREATE TABLE keyring (
    version INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    uid     INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE factor (
    id          TEXT PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    label       TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    digits      INTEGER NOT NULL,
    period      INTEGER NOT NULL,
    sealed      BLOB NOT NULL,
    key_version INTEGER NOT NULL REFERENCES keyring (version),
    active      INTEGER NOT NULL,
    last_step   INTEGER,            -- highest step accepted: only a greater one is accepted again
    drift       INTEGER NOT NULL DEFAULT 0,
    last_offset INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    last_used   INTEGER,
    UNIQUE (account, label)
) STRICT;

CREATE TABLE failure (
    id      INTEGER PRIMARY KEY,
    budget  TEXT NOT NULL,          -- what it is charged to: see throttle::Account
    source  TEXT NOT NULL,          -- where it came from: a success forgives only these
    at      INTEGER NOT NULL,
    cleared INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX failure_by_budget ON failure (budget, at);

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    time       INTEGER NOT NULL,
    event      TEXT NOT NULL,
    user       TEXT NOT NULL,
    service    TEXT NOT NULL,
    rhost      TEXT NOT NULL,
    method     TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    claimed_by TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_user ON audit (user, id);
