-- Fewer trees for an alert to change.
-- 1 for nodes that see an incident in full: its owner, the involved, the invited and the offered ones.
ALTER TABLE audience ADD COLUMN full INTEGER NOT NULL DEFAULT 0;
UPDATE audience SET full = 1
    WHERE EXISTS (SELECT 1 FROM incident_member AS part WHERE part.doc = audience.doc AND part.member = audience.member);
DROP TABLE incident_member;
-- Counted by peer; this node's own are not counted.
DROP INDEX arrival_paging;
CREATE INDEX arrival_paging ON arrival (peer, received_ms) WHERE peer IS NOT NULL AND NOT late AND NOT bulk;
DROP INDEX blob_use_by_doc;
-- The newest event is never deleted, so that a number is never given twice.
CREATE TABLE event_numbered (
    number INTEGER PRIMARY KEY,
    what   TEXT NOT NULL,
    doc    BLOB
) STRICT;
INSERT INTO event_numbered (number, what, doc) SELECT number, what, doc FROM event;
DROP TABLE event;
ALTER TABLE event_numbered RENAME TO event;
