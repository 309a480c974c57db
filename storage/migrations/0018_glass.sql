-- What lets a person read one message for a while, why, and how it ended. The index
-- finds those about a message; both columns repeat what sealed says.
CREATE TABLE glass (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    inbox   BLOB NOT NULL,
    message BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX glass_message ON glass (org, message, id);
CREATE INDEX glass_inbox ON glass (inbox);
