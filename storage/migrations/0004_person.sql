-- People: who may do what is reserved for them. Addresses, roles, password
-- hashes and second factors are in the sealed records.
CREATE TABLE person (
    id           BLOB PRIMARY KEY,
    org          BLOB NOT NULL,
    version      BIGINT NOT NULL,
    event        BLOB NOT NULL,
    address_hash BLOB NOT NULL UNIQUE,
    sealed       BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_org ON person (org);

-- A row for each session that has not ended; last_used is operational.
CREATE TABLE person_session (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL,
    person     BLOB NOT NULL,
    version    BIGINT NOT NULL,
    event      BLOB NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    last_used  BIGINT NOT NULL,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_session_person ON person_session (person);

-- Who agreed so far to an act that needs several people; at is when the last
-- of them did.
CREATE TABLE consent (
    id       BLOB PRIMARY KEY,
    org      BLOB NOT NULL,
    version  BIGINT NOT NULL,
    event    BLOB NOT NULL,
    act_hash BLOB NOT NULL UNIQUE,
    at       BIGINT NOT NULL,
    sealed   BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX consent_at ON consent (org, at);
