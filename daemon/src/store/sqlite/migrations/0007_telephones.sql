-- What numbering plans say of a telephone, as it was when the number was set: policy is asked about that at each login.
ALTER TABLE contact ADD COLUMN region TEXT;     -- ISO 3166-1, two letters
ALTER TABLE contact ADD COLUMN line TEXT;       -- mobile, fixed, fixed-or-mobile, voip
-- A digest without a key of something that has ten digits is no secret: from now on it is made with one, when it is needed.
ALTER TABLE contact DROP COLUMN destination;
DELETE FROM sending;

-- Codes are limited by country too; calls, and codes that confirm a contact, have limits of their own.
ALTER TABLE sending ADD COLUMN region TEXT;
ALTER TABLE sending ADD COLUMN call INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sending ADD COLUMN confirm INTEGER NOT NULL DEFAULT 0;
