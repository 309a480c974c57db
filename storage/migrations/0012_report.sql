-- What others report about mail and TLS of our domains: one row for each report.
-- hash is by which the same report is known again; ended is the end of its period.
CREATE TABLE report (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    domain  BLOB NOT NULL,
    hash    BLOB NOT NULL UNIQUE,
    ended   BIGINT NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX report_of ON report (domain, ended, id);

-- What we shall report to others: a row for each domain, kind and day, until the
-- day's report is sent. rows counts those of feedback_row, more what found no room
-- there.
CREATE TABLE feedback (
    org    BLOB NOT NULL,
    hash   BLOB NOT NULL,
    day    BIGINT NOT NULL,
    rows   BIGINT NOT NULL,
    more   BIGINT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (org, hash)
) WITHOUT ROWID;
CREATE INDEX feedback_day ON feedback (day, org, hash);

CREATE TABLE feedback_row (
    org      BLOB NOT NULL,
    feedback BLOB NOT NULL,
    hash     BLOB NOT NULL,
    count    BIGINT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (org, feedback, hash)
) WITHOUT ROWID;
