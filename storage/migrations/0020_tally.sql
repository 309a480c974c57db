-- How often things happened in each hour, by organization and by agent: counted from
-- the log, for pages that are asked for often. No evidence: it can be counted anew.
-- The agent of sixteen zero bytes is the whole organization; hours are since 1970.
CREATE TABLE hourly (
    org   BLOB NOT NULL,
    agent BLOB NOT NULL,
    hour  BIGINT NOT NULL,
    what  INTEGER NOT NULL,
    n     BIGINT NOT NULL,
    PRIMARY KEY (org, agent, hour, what)
) WITHOUT ROWID;
CREATE INDEX hourly_most ON hourly (org, hour, what, n);

-- Where messages that came lately are on their way: who read them first and what came
-- of them is added to the hour in which they came.
CREATE TABLE journey (
    inbox   BLOB NOT NULL,
    message BLOB NOT NULL,
    org     BLOB NOT NULL,
    hour    BIGINT NOT NULL,
    mailbox BLOB NOT NULL,
    uid     BIGINT NOT NULL,
    agent   BLOB NOT NULL,
    path    INTEGER NOT NULL,
    answer  BLOB,
    PRIMARY KEY (inbox, message)
) WITHOUT ROWID;
CREATE INDEX journey_place ON journey (mailbox, uid);
CREATE INDEX journey_answer ON journey (answer);
CREATE INDEX journey_hour ON journey (hour);
