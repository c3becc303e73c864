-- Recovery and bypass codes: a selector finds the row, the secret part is kept as an Argon2id hash.
CREATE TABLE spare (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    kind     TEXT NOT NULL,
    selector TEXT NOT NULL,
    salt     BLOB NOT NULL,
    hash     BLOB NOT NULL,
    uses     INTEGER NOT NULL,
    expires  INTEGER,
    created  INTEGER NOT NULL,
    UNIQUE (account, selector)
) STRICT;

-- Where an account succeeded, and when last: what strangers spent of its budget does not count from there.
CREATE TABLE welcome (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    source  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX failure_by_time ON failure (at);

-- The latest time that was believed: see engine/clock_guard.rs.
CREATE TABLE clock_mark (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    wall   INTEGER NOT NULL,
    boot   TEXT NOT NULL,
    uptime INTEGER NOT NULL
) STRICT;
