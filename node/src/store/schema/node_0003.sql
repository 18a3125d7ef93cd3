-- Hashes of what is shared with each peer, by the first digits of the documents' ids; true or absent.
CREATE TABLE digest (
    peer      BLOB NOT NULL,
    digits    BLOB NOT NULL,
    hash      BLOB NOT NULL,
    documents INTEGER NOT NULL,
    PRIMARY KEY (peer, digits)
) STRICT, WITHOUT ROWID;
