-- Where codes can be sent to. The address is sealed like a key; the masked form is what may be shown.
CREATE TABLE contact (
    id          TEXT PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    masked      TEXT NOT NULL,
    destination BLOB NOT NULL,      -- a digest of the address: limits count by it
    sealed      BLOB NOT NULL,
    key_version INTEGER NOT NULL REFERENCES keyring (version),
    verified    INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    UNIQUE (account, kind)
) STRICT;

-- What an account's delivered codes are computed from: RFC 4226 with a counter that never repeats.
CREATE TABLE courier (
    account     INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    sealed      BLOB NOT NULL,
    key_version INTEGER NOT NULL REFERENCES keyring (version),
    counter     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Codes that were sent and can still be used, each by the conversation that had it sent.
CREATE TABLE code (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    counter INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (account, counter)
) STRICT, WITHOUT ROWID;

-- What was sent in the last day, for the limits.
CREATE TABLE sending (
    id          INTEGER PRIMARY KEY,
    account     INTEGER NOT NULL,
    destination BLOB NOT NULL,
    source      TEXT NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX sending_by_time ON sending (at);
