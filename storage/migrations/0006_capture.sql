-- What test credentials sent to anybody but test inboxes: one row for each
-- recipient. The queue and the relay never look here.
CREATE TABLE captured (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    inbox   BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    body    BIGINT NOT NULL,
    created BIGINT NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX captured_inbox ON captured (inbox);
CREATE INDEX captured_created ON captured (created);
