-- Fewer pages for an alert to change. Who may hold what is looked for by the member first; the members of one
-- document are few to try.
CREATE TABLE audience_kept (
    member BLOB NOT NULL,
    doc    BLOB NOT NULL,
    -- 1 for nodes that see an incident in full: its owner, the involved, the invited and the offered ones.
    full   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (member, doc)
) STRICT, WITHOUT ROWID;
INSERT INTO audience_kept (member, doc, full) SELECT member, doc, full FROM audience ORDER BY member, doc;
DROP TABLE audience;
ALTER TABLE audience_kept RENAME TO audience;
-- What this node raised itself and in time has no row: there is nothing to say of it.
DELETE FROM arrival WHERE peer IS NULL AND NOT late AND NOT bulk;
-- By time within a month, so that the newest lie together.
DROP INDEX incident_by_owner;
CREATE INDEX incident_by_owner ON incident (owner, code, period, kind, opened_ms);
