-- Since when the members of a role may enroll at their login: see engine/policy.
CREATE TABLE opening (
    role TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An administrator lets one user enroll at a login until then.
ALTER TABLE account ADD COLUMN enroll_until INTEGER;

-- A failure that is kept until a success forgives it, however old: it counts for the stop of its user.
ALTER TABLE failure ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
UPDATE failure SET kept = 1 WHERE budget LIKE 'user %';
DROP INDEX failure_by_time;
CREATE INDEX failure_to_forget ON failure (at) WHERE cleared = 1 OR kept = 0;
