-- Messages that were put away where no agent sees them, and what people decided
-- about each. The message itself is in the mailbox that has no name.
CREATE TABLE quarantine (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    inbox   BLOB NOT NULL,
    state   TEXT NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX quarantine_state ON quarantine (org, state, id);
CREATE INDEX quarantine_inbox ON quarantine (inbox);

-- What people said of a message's verdict. A mark outlives its message.
CREATE TABLE mark (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    message BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX mark_message ON mark (org, message);

-- Senders whose mail to an inbox is not put away because of its score.
CREATE TABLE allowance (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    inbox   BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX allowance_inbox ON allowance (inbox);
