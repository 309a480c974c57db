-- How the checks of an organization's health stood, as long as somebody may ask what
-- changed since yesterday. Written when a check changes, and not when somebody looks.
CREATE TABLE health (
    org    BLOB PRIMARY KEY,
    sealed BLOB NOT NULL
) WITHOUT ROWID;
