-- When somebody should look at a signing key again: at once, for those that were
-- there before keys had states.
ALTER TABLE dkim_key ADD COLUMN due BIGINT NOT NULL DEFAULT 0;
CREATE INDEX dkim_key_due ON dkim_key (due, domain);
