-- MTA-STS policies of destinations (RFC 8461), as an organization's mail met them.
-- dest_hash is keyed: which domains somebody writes to is nobody's to read. used and
-- checked say which of them are worth asking for again, and are operational.
CREATE TABLE sts_policy (
    id        BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    version   BIGINT NOT NULL,
    event     BLOB NOT NULL,
    dest_hash BLOB NOT NULL,
    used      BIGINT NOT NULL,
    checked   BIGINT NOT NULL,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sts_policy_dest ON sts_policy (org, dest_hash);
CREATE INDEX sts_policy_checked ON sts_policy (checked);
