-- What the certificate authority's client keeps: its account, and for each name a
-- certificate and its key, as files that have names. name_hash is the keyed hash
-- of such a name.
CREATE TABLE certificate_file (
    id        BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    version   BIGINT NOT NULL,
    event     BLOB NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;

-- Who works at a certificate, and until when nobody else does.
CREATE TABLE certificate_lock (
    name_hash BLOB PRIMARY KEY,
    owner     BLOB NOT NULL,
    until     BIGINT NOT NULL
) WITHOUT ROWID;

-- Names for which the last attempt failed, how often in a row, and when the next
-- one is due.
CREATE TABLE certificate_attempt (
    name_hash BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    failures  BIGINT NOT NULL,
    due       BIGINT NOT NULL,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;
