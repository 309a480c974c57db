-- Inboxes that were removed and are not yet erased: what a start takes up again
-- where a crash left it.
CREATE TABLE erasure (
    inbox BLOB PRIMARY KEY,
    org   BLOB NOT NULL
) WITHOUT ROWID;
