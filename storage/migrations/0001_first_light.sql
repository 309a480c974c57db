-- Column rules: ids are 16-byte UUIDv7; times are microseconds UTC; columns
-- named sealed hold everything that a person wrote or that decides something;
-- *_hash columns are keyed hashes for equality; what is left is ids, counters,
-- sizes, times, states and flags, and is an index hint where it repeats a
-- sealed field.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Records: one table per noun, decisive fields sealed under the
-- organization's key and bound to table, id, version and writing event.
CREATE TABLE organization (
    id          BLOB PRIMARY KEY,
    org         BLOB NOT NULL,
    version     BIGINT NOT NULL,
    event       BLOB NOT NULL,
    wrapped_key BLOB NOT NULL,
    sealed      BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE domain (
    id        BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    version   BIGINT NOT NULL,
    event     BLOB NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE dkim_key (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    domain  BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX dkim_key_domain ON dkim_key (domain);

CREATE TABLE agent (
    id        BLOB PRIMARY KEY,
    org       BLOB NOT NULL,
    version   BIGINT NOT NULL,
    event     BLOB NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE credential (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL,
    agent      BLOB NOT NULL,
    version    BIGINT NOT NULL,
    event      BLOB NOT NULL,
    public_id  TEXT NOT NULL UNIQUE,
    token_hash BLOB NOT NULL UNIQUE,
    last_used  BIGINT NOT NULL DEFAULT 0,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX credential_agent ON credential (agent);

-- What may neither log in nor send until a person lifts it. target is the id of
-- a credential, agent, domain or organization, or zero for all.
CREATE TABLE freeze (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    target  BLOB NOT NULL UNIQUE,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE inbox (
    id           BLOB PRIMARY KEY,
    org          BLOB NOT NULL,
    domain       BLOB NOT NULL,
    version      BIGINT NOT NULL,
    event        BLOB NOT NULL,
    address_hash BLOB NOT NULL UNIQUE,
    sealed       BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX inbox_domain ON inbox (domain);

-- The counter row: UIDs and modseqs are taken here, in the transaction that
-- stores the message. sealed holds name, subscription and keyword names.
CREATE TABLE mailbox (
    id          BLOB PRIMARY KEY,
    no          BIGINT NOT NULL,
    inbox       BLOB NOT NULL,
    org         BLOB NOT NULL,
    version     BIGINT NOT NULL,
    event       BLOB NOT NULL,
    name_hash   BLOB NOT NULL,
    role        BIGINT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    uidnext     BIGINT NOT NULL,
    modseq      BIGINT NOT NULL,
    messages    BIGINT NOT NULL,
    unseen      BIGINT NOT NULL,
    deleted     BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    sealed      BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX mailbox_name ON mailbox (inbox, name_hash);
CREATE UNIQUE INDEX mailbox_no ON mailbox (no);

-- The newest UIDVALIDITY of an inbox, which outlives its mailboxes.
CREATE TABLE uid_validity (
    inbox BLOB PRIMARY KEY,
    last  BIGINT NOT NULL
) WITHOUT ROWID;

-- The narrow row of a message, which is scanned and whose flags change. place is
-- the mailbox's number and the UID in one (number * 2^32 + UID): an integer key
-- is half the size of an id and a UID, and found without comparing records.
-- INTEGER PRIMARY KEY is how SQLite spells BIGINT PRIMARY KEY without an index
-- beside the table. born is the modseq at which the message came.
CREATE TABLE message (
    place    INTEGER PRIMARY KEY,
    box      BIGINT NOT NULL,
    id       BLOB NOT NULL,
    body     BIGINT NOT NULL,
    born     BIGINT NOT NULL,
    modseq   BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    received BIGINT NOT NULL,
    flags    BIGINT NOT NULL
);
CREATE INDEX message_modseq ON message (box, modseq);

-- Envelope, structure, verdict and the body's wrapped key; written once.
CREATE TABLE content (
    place  INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
);

-- What left a mailbox with one change, as ranges of UIDs, for sessions that look
-- at it.
CREATE TABLE vanished (
    mailbox BLOB NOT NULL,
    modseq  BIGINT NOT NULL,
    uids    BLOB NOT NULL,
    PRIMARY KEY (mailbox, modseq)
) WITHOUT ROWID;

-- Bodies by order of arrival; exactly one of sealed and file is set.
CREATE TABLE body (
    no     INTEGER PRIMARY KEY,
    id     BLOB NOT NULL,
    size   BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    file   TEXT,
    sealed BLOB
);
CREATE INDEX body_file ON body (file) WHERE file IS NOT NULL;

-- How many rows refer to a body. A body without a row here has one.
CREATE TABLE body_ref (
    no   INTEGER PRIMARY KEY,
    refs BIGINT NOT NULL
);

-- Equal return path, recipient, Message-ID and content within three days.
CREATE TABLE receipt (
    hash BLOB PRIMARY KEY,
    at   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX receipt_at ON receipt (at);

-- One row for each recipient of a submitted message, until it is settled. due
-- of a leased row is the end of the lease.
CREATE TABLE outgoing (
    id          BLOB PRIMARY KEY,
    org         BLOB NOT NULL,
    inbox       BLOB NOT NULL,
    message     BLOB NOT NULL,
    version     BIGINT NOT NULL,
    event       BLOB NOT NULL,
    state       BIGINT NOT NULL,
    local       BIGINT NOT NULL,
    body        BIGINT NOT NULL,
    dest_hash   BLOB NOT NULL,
    created     BIGINT NOT NULL,
    due         BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    code        BIGINT NOT NULL,
    lease_owner BLOB,
    sealed      BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX outgoing_due ON outgoing (state, local, due);
CREATE INDEX outgoing_inbox ON outgoing (state, local, inbox, due);
CREATE INDEX outgoing_message ON outgoing (message, dest_hash);

-- Which message an agent's idempotency key stands for, for a day.
CREATE TABLE idempotency (
    hash    BLOB PRIMARY KEY,
    message BLOB NOT NULL,
    at      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);

-- What each credential has read of each mailbox, as merged UID ranges, a row for
-- each 4096 UIDs.
CREATE TABLE read_range (
    mailbox    BLOB NOT NULL,
    credential BLOB NOT NULL,
    block      BIGINT NOT NULL,
    ranges     BLOB NOT NULL,
    PRIMARY KEY (mailbox, credential, block)
) WITHOUT ROWID;

-- The log: seq is the leaf's index in the tree.
CREATE TABLE event (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    at         BIGINT NOT NULL,
    verb       BIGINT NOT NULL,
    org        BLOB,
    agent      BLOB,
    credential BLOB,
    inbox      BLOB,
    object     BLOB,
    mid        BLOB,
    canonical  BLOB NOT NULL,
    sealed     BLOB
);
CREATE INDEX event_agent ON event (agent, seq) WHERE agent IS NOT NULL;
CREATE INDEX event_credential ON event (credential, seq) WHERE credential IS NOT NULL;
CREATE INDEX event_inbox ON event (inbox, seq) WHERE inbox IS NOT NULL;
CREATE INDEX event_object ON event (object, seq) WHERE object IS NOT NULL;
CREATE INDEX event_mid ON event (mid, seq) WHERE mid IS NOT NULL;

CREATE TABLE tile (
    level  BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, n)
) WITHOUT ROWID;

CREATE TABLE tree (
    id       INTEGER PRIMARY KEY,
    size     BIGINT NOT NULL,
    frontier BLOB NOT NULL
);

CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    at   BIGINT NOT NULL,
    note TEXT NOT NULL
);
