-- MTA-STS policies of destinations (RFC 8461), as an organization's mail met them.
-- dest_hash is keyed: which domains somebody writes to is nobody's to read. used and
-- due say which of them are to be fetched again and when, and are operational.
CREATE TABLE sts_policy (
    id        BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    version   BIGINT NOT NULL,
    event     BLOB NOT NULL,
    dest_hash BLOB NOT NULL,
    used      BIGINT NOT NULL,
    due       BIGINT NOT NULL,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sts_policy_dest ON sts_policy (org, dest_hash);
CREATE INDEX sts_policy_due ON sts_policy (due, id);
