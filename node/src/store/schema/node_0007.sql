-- Which incidents their owners call duplicates of which, and which of them were taken in below another.
CREATE TABLE incident_link (
    doc    BLOB NOT NULL,
    target BLOB NOT NULL,
    PRIMARY KEY (doc, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_link_by_target ON incident_link (target);
CREATE TABLE incident_absorbed (
    doc       BLOB NOT NULL,
    duplicate BLOB NOT NULL,
    PRIMARY KEY (doc, duplicate)
) STRICT, WITHOUT ROWID;
-- The one incident below which a duplicate is shown: linked, taken in, and held here.
CREATE TABLE incident_under (
    doc    BLOB PRIMARY KEY,
    target BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_under_by_target ON incident_under (target);
-- The blob with the exact place.
ALTER TABLE incident ADD COLUMN place_words BLOB;
-- Equal for the same alert that reached two nodes.
ALTER TABLE incident ADD COLUMN nonce BLOB;
CREATE INDEX incident_by_nonce ON incident (nonce);
-- A referral to this node waits for its answer: 1, or 2 if it came in time to ring.
ALTER TABLE incident ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN closed_ms INTEGER;
ALTER TABLE incident ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
CREATE INDEX incident_to_retire ON incident (owner, closed_ms, doc) WHERE closed_ms IS NOT NULL AND NOT retired;
-- What is held already is read anew.
DELETE FROM meta WHERE name = 'derived_under';
