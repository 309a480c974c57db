-- Passkeys of people (WebAuthn). Names, public keys and counters are in the sealed
-- records; a credential's id is found by its keyed hash.
CREATE TABLE passkey (
    id              BLOB PRIMARY KEY,
    org             BLOB NOT NULL,
    person          BLOB NOT NULL,
    version         BIGINT NOT NULL,
    event           BLOB NOT NULL,
    credential_hash BLOB NOT NULL UNIQUE,
    sealed          BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX passkey_person ON passkey (person);

-- Links by which a person begins an account that somebody made for them. One
-- person has at most one; it is gone when it is used.
CREATE TABLE invitation (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL,
    person     BLOB NOT NULL UNIQUE,
    version    BIGINT NOT NULL,
    event      BLOB NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;
