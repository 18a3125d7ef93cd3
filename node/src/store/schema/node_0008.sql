-- 1 where whoever told it asked to be erased: their own node says so to its operators.
ALTER TABLE blob_gone ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
