-- The document that a blob's content came for. Whoever knows a commitment can name it in a document of
-- their own: what came for another one is neither given out nor erased for theirs.
ALTER TABLE blob ADD COLUMN doc BLOB;
UPDATE blob SET doc = (
    SELECT envelope.doc FROM envelope JOIN blob_use ON blob_use.doc = envelope.doc
    WHERE blob_use.blob = blob.id ORDER BY envelope.number LIMIT 1
);
-- Blobs that a document says are to be erased: never kept again for it.
CREATE TABLE blob_gone (
    blob BLOB NOT NULL,
    doc  BLOB NOT NULL,
    -- True once the file and the old log are gone too, and this node's receipt is in the document.
    done INTEGER NOT NULL,
    PRIMARY KEY (blob, doc)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_gone_waiting ON blob_gone (doc, blob) WHERE NOT done;
-- What erased people told: erased everywhere once the incident that needs it is closed.
CREATE TABLE erase_wanted (
    blob BLOB NOT NULL,
    doc  BLOB NOT NULL,
    PRIMARY KEY (blob, doc)
) STRICT, WITHOUT ROWID;
