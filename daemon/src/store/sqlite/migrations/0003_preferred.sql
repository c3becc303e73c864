-- The method that a user wants offered first; NULL: the order of the policy.
ALTER TABLE account ADD COLUMN preferred TEXT;
