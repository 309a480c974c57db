-- How far an installation is set up: its name, what was skipped, who may go on with it
-- and by which link, all in the sealed record. The id is the organization's.
CREATE TABLE setup (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
