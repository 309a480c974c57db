-- What the last check of a domain's records in the DNS found; id is the domain's.
-- due is when it is looked at next, checked when it was looked at last.
CREATE TABLE domain_check (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    due     BIGINT NOT NULL,
    checked BIGINT NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX domain_check_due ON domain_check (due);
