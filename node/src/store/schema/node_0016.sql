-- Fewer rows of random keys for a document to write. How it came stands with the envelope that begins it, and in the
-- incident's row; what this node may see of it is one number there and in the document's own row.
-- `came` is 0 for a document of another node that may ring, 1 for one that came late, 2 for one past its author's share.
ALTER TABLE envelope ADD COLUMN came INTEGER;
UPDATE envelope SET came = CASE WHEN arrival.late THEN 1 WHEN arrival.bulk THEN 2 ELSE 0 END FROM arrival
    WHERE envelope.number = (SELECT min(number) FROM envelope AS first WHERE first.doc = arrival.doc);
-- Only those that may page people are counted, and they are few by rule.
CREATE INDEX envelope_paging ON envelope (author, received_ms) WHERE came = 0;
ALTER TABLE incident ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0;
UPDATE incident SET late = arrival.late, bulk = arrival.bulk FROM arrival WHERE arrival.doc = incident.doc;
DROP TABLE arrival;
-- 0: it is not for this node, 1: in part, 2: in full, 3: this node owns it. The rows of this node itself in `audience`
-- become these numbers when the store is opened, which knows who it is.
ALTER TABLE document ADD COLUMN ours INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN ours INTEGER NOT NULL DEFAULT 0;
-- Counted and ended by this node are only its own.
DROP INDEX incident_by_owner;
DROP INDEX incident_closed;
DROP INDEX incident_to_retire;
CREATE INDEX incident_own ON incident (code, period, kind, opened_ms) WHERE ours = 3;
CREATE INDEX incident_closed ON incident (code, closed_period, kind) WHERE ours = 3 AND closed_period IS NOT NULL;
CREATE INDEX incident_to_retire ON incident (closed_ms, doc) WHERE ours = 3 AND closed_ms IS NOT NULL AND NOT retired;
-- A blob that lies here says itself how the document that it came for names it; `blob_use` has the others.
ALTER TABLE blob ADD COLUMN class INTEGER;
UPDATE blob SET class = blob_use.class FROM blob_use WHERE blob_use.blob = blob.id AND blob_use.doc = blob.doc;
DELETE FROM blob_use WHERE EXISTS (SELECT 1 FROM blob WHERE blob.id = blob_use.blob AND blob.doc = blob_use.doc);
