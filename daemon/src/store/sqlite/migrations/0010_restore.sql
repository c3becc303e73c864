-- A counter that may have been used beyond what is known here: two codes in a row say where it is. See void.rs.
ALTER TABLE factor ADD COLUMN resync_required INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN resync_required INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER token_returns;
CREATE TRIGGER token_returns AFTER DELETE ON factor WHEN old.serial IS NOT NULL BEGIN
    UPDATE token SET last_step = max(coalesce(last_step, -1), coalesce(old.last_step, -1)), drift = old.drift,
                     resync_required = old.resync_required
    WHERE serial = old.serial;
END;

-- Grows with the number in the file beside the store: a store that is behind it was put back. See generation.rs.
CREATE TABLE generation (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
