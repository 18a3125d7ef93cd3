-- Mass messages as they say last; derived from the log.
CREATE TABLE notice (
    doc          BLOB PRIMARY KEY,
    author       BLOB NOT NULL,
    code         TEXT NOT NULL,
    urgency      INTEGER NOT NULL,
    drill        INTEGER NOT NULL,
    opened_ms    INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    cancelled    INTEGER NOT NULL,
    -- False for one of an expelled node that nobody confirmed: no neighbour is shown it.
    confirmed    INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    cells        BLOB NOT NULL,
    -- The envelope that says what it says now, and the blobs with its words, one a language.
    said         BLOB NOT NULL,
    words        BLOB NOT NULL,
    cancel_words BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_by_end ON notice (expires_ms);
-- What one operator has written and a second one has not decided about yet.
CREATE TABLE notice_draft (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    doc        BLOB,
    drafted_by INTEGER NOT NULL,
    drafted_ms INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) STRICT;
-- Who drafted and who approved what this node has sent.
CREATE TABLE notice_hands (
    envelope    BLOB PRIMARY KEY,
    drafted_by  INTEGER NOT NULL,
    approved_by INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
