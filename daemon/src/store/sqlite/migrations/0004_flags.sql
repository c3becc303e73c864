-- What an administrator said of one user: see engine/policy.
ALTER TABLE account ADD COLUMN required INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN exempt_until INTEGER;
ALTER TABLE account ADD COLUMN exempt_reason TEXT NOT NULL DEFAULT '';
