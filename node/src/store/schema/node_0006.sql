-- The name under which the key store has the blob's key. Keys are made ahead of need, and so before the
-- blob that they protect has a name.
ALTER TABLE blob ADD COLUMN key BLOB;
UPDATE blob SET key = id;
