-- Hard tokens: each is here from its import on, with its key until it is revoked. Who it is assigned to has a factor of its
-- serial number; what that counted comes back when the factor goes, so that no counter runs twice.
CREATE TABLE token (
    serial       TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    algorithm    TEXT NOT NULL,
    digits       INTEGER NOT NULL,
    period       INTEGER NOT NULL,
    last_step    INTEGER,
    drift        INTEGER NOT NULL,
    sealed       BLOB,              -- NULL: revoked
    key_version  INTEGER REFERENCES keyring (version),
    digest       BLOB NOT NULL UNIQUE, -- of the key, kept for ever: under another number it would count from the start
    manufacturer TEXT NOT NULL,
    created      INTEGER NOT NULL
) STRICT;

ALTER TABLE factor ADD COLUMN serial TEXT REFERENCES token (serial);
CREATE UNIQUE INDEX factor_by_serial ON factor (serial) WHERE serial IS NOT NULL;

CREATE TRIGGER token_returns AFTER DELETE ON factor WHEN old.serial IS NOT NULL BEGIN
    UPDATE token SET last_step = max(coalesce(last_step, -1), coalesce(old.last_step, -1)), drift = old.drift
    WHERE serial = old.serial;
END;
