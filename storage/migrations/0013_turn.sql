-- Whose turn a row of the queue is part of: the agent's that sent it, or where there
-- is none, the inbox's; of rows from before, the inbox's.
ALTER TABLE outgoing ADD COLUMN turn BLOB;
UPDATE outgoing SET turn = inbox;
DROP INDEX outgoing_inbox;
CREATE INDEX outgoing_turn ON outgoing (state, local, turn, due);
CREATE INDEX outgoing_inbox ON outgoing (inbox);
