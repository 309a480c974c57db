-- A message is found by its id, in whichever mailbox it is: what it was scored as is
-- asked for by that.
CREATE INDEX message_id ON message (id);
