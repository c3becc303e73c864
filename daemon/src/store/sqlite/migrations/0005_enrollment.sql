-- Since when the members of a role may enroll at their login: see engine/policy.
CREATE TABLE opening (
    role TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An administrator lets one user enroll at a login until then.
ALTER TABLE account ADD COLUMN enroll_until INTEGER;
