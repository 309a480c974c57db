-- Receipts that are too old are found among the neighbours of each new one: an index by
-- time cost every delivery a page more.
DROP INDEX receipt_at;
