-- Proofs that an author of a document equivocated; kept for as long as the document.
CREATE TABLE proof (
    doc      BLOB NOT NULL,
    author   BLOB NOT NULL,
    bytes    BLOB NOT NULL,
    found_ms INTEGER NOT NULL,
    PRIMARY KEY (doc, author)
) STRICT, WITHOUT ROWID;
CREATE INDEX proof_by_author ON proof (author);
