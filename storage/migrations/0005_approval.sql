-- Messages that wait for a person, by the id of the submission. When the
-- decision has fallen there is an event and no row.
CREATE TABLE approval (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    inbox   BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX approval_inbox ON approval (inbox);

-- What an agent read that may have been written to steer it, by the agent's id.
CREATE TABLE taint (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;

-- With whom an inbox exchanged mail, and since when. hash is of an address or a
-- domain under a key of the inbox, and bound to what is sealed.
CREATE TABLE correspondent (
    inbox  BLOB NOT NULL,
    hash   BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (inbox, hash)
) WITHOUT ROWID;

-- Messages whose reading taints: bit 17 of the flags (storage.Tainting).
CREATE INDEX message_tainting ON message (box, place) WHERE (flags & 131072) <> 0;
