-- How often each thing happened: what the trail says, counted as it is written, so that no way of writing forgets it and
-- the numbers outlive the rows.
CREATE TABLE tally (
    event   TEXT NOT NULL,
    method  TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n       INTEGER NOT NULL,
    last    INTEGER NOT NULL,       -- the latest time that one of them has
    PRIMARY KEY (event, method, outcome)
) STRICT, WITHOUT ROWID;

INSERT INTO tally (event, method, outcome, n, last)
SELECT event, method, outcome, count(*), max(time) FROM audit GROUP BY event, method, outcome;

CREATE TRIGGER audit_is_counted AFTER INSERT ON audit BEGIN
    INSERT INTO tally (event, method, outcome, n, last) VALUES (new.event, new.method, new.outcome, 1, new.time)
    ON CONFLICT (event, method, outcome) DO UPDATE SET n = n + 1, last = max(last, excluded.last);
END;
