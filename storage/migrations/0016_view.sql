-- What credentials with the safe view are shown in place of a message: of the message
-- at the same place, in a body of its own. Written once, with the message or when such
-- a credential first asks for it; size is a hint for what sealed says.
CREATE TABLE rendition (
    place  INTEGER PRIMARY KEY,
    body   BIGINT NOT NULL,
    size   BIGINT NOT NULL,
    sealed BLOB NOT NULL
);

-- Inboxes that a credential with the safe view reads, and until when at the latest:
-- what arrives for them is rendered on its way in. A hint that decides nothing.
CREATE TABLE safe_inbox (
    inbox BLOB PRIMARY KEY,
    until BIGINT NOT NULL
) WITHOUT ROWID;
