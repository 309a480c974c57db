-- By what the log is searched: for each full block of 4096 events what each of them
-- says of one kind, as a dictionary and a code for each event. Made from the events,
-- and to be made anew from them: hints alone, what they find is held against the
-- event. What is personal is there as a hash under the key that seals the event.
-- place is kind * 2^40 + block.
CREATE TABLE event_column (
    place INTEGER PRIMARY KEY,
    data  BLOB NOT NULL
);

-- The blocks that have columns, and when the first and the last of their events were.
CREATE TABLE event_block (
    block INTEGER PRIMARY KEY,
    first BIGINT NOT NULL,
    last  BIGINT NOT NULL
);
