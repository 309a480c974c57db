-- What somebody should look at. kind, agent, credential, object and first say
-- whether the same was seen within the hour; count and last go on by themselves.
CREATE TABLE alert (
    id         BLOB PRIMARY KEY,
    org        BLOB NOT NULL,
    version    BIGINT NOT NULL,
    event      BLOB NOT NULL,
    kind       TEXT NOT NULL,
    agent      BLOB NOT NULL,
    credential BLOB NOT NULL,
    object     BLOB NOT NULL,
    state      TEXT NOT NULL,
    first      BIGINT NOT NULL,
    last       BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    sealed     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_recent ON alert (org, kind, agent, credential, object, first);

-- What an agent usually does, sealed: the networks that it comes from are in it.
CREATE TABLE baseline (
    agent  BLOB PRIMARY KEY,
    org    BLOB NOT NULL,
    sealed BLOB NOT NULL
) WITHOUT ROWID;

-- How far those who follow the audit log have come.
CREATE TABLE cursor (
    name TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL
) WITHOUT ROWID;

-- Where alerts are told to, over HTTP. failing is since when every delivery
-- failed, zero when the last one did not.
CREATE TABLE webhook (
    id      BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    version BIGINT NOT NULL,
    event   BLOB NOT NULL,
    state   TEXT NOT NULL,
    failing BIGINT NOT NULL,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;

-- What a webhook is still to be told.
CREATE TABLE webhook_delivery (
    id       BLOB PRIMARY KEY,
    org      BLOB NOT NULL,
    webhook  BLOB NOT NULL,
    created  BIGINT NOT NULL,
    due      BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    sealed   BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX webhook_delivery_due ON webhook_delivery (due, id);
CREATE INDEX webhook_delivery_of ON webhook_delivery (webhook, id);
