-- Policies: one sealed record for each organization, domain, agent, credential or
-- inbox that something is set for.
CREATE TABLE policy (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    target  BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX policy_target ON policy (target);

-- What each subject of limits sent in the running minute, hour and day: numbers
-- only. The row's own clock stands still when the wall clock goes back.
CREATE TABLE usage (
    subject BLOB PRIMARY KEY,
    wall    BIGINT NOT NULL,
    clock   BIGINT NOT NULL,
    counts  BLOB NOT NULL
) WITHOUT ROWID;
