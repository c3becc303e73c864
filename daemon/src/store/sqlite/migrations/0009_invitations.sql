-- One link an account: a newer one takes its place. The token is a digest; the binding code is sealed, for a login shows it
-- again within ten minutes.
CREATE TABLE invitation (
    account      INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    id           TEXT NOT NULL UNIQUE,
    token        BLOB NOT NULL UNIQUE,
    sealed       BLOB NOT NULL,
    key_version  INTEGER NOT NULL REFERENCES keyring (version),
    by_login     INTEGER NOT NULL,  -- for somebody who has nothing: a factor ends it
    masked       TEXT NOT NULL,     -- where the link was mailed
    wrong        INTEGER NOT NULL DEFAULT 0,
    expires      INTEGER NOT NULL,
    code_expires INTEGER NOT NULL
) STRICT;

-- Links go only where an administrator says: whose word older contacts have is not known.
ALTER TABLE contact ADD COLUMN by_administrator INTEGER NOT NULL DEFAULT 0;
