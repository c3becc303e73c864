-- What numbering plans say of a telephone, as it was when the number was set: policy is asked about that at each login.
ALTER TABLE contact ADD COLUMN region TEXT;     -- ISO 3166-1, two letters
ALTER TABLE contact ADD COLUMN line TEXT;       -- mobile, fixed, fixed-or-mobile, voip

-- Codes are limited by country too.
ALTER TABLE sending ADD COLUMN region TEXT;
ALTER TABLE sending ADD COLUMN call INTEGER NOT NULL DEFAULT 0;
