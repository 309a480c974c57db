-- What of a body has no room in its row: a row fills no more than half a page, so that
-- pages fill whatever the size of mail is. A body is sealed in its row, and then in
-- these by place, which is body * 256 + 1, 2 and so on; one that was stored before this
-- table was, is in its row as a whole.
CREATE TABLE body_rest (
    place  INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
);
