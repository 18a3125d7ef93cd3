-- Documents in which this node does not write for now: 1 until a peer has shown them after a restore,
-- 2 until a person decides about a twin.
CREATE TABLE lock (
    doc BLOB PRIMARY KEY,
    why INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Generations that this node drew itself.
CREATE TABLE generation (
    incarnation BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- Who may commit a takeover of which the accept is here.
ALTER TABLE incident ADD COLUMN takes_over BLOB;
CREATE INDEX incident_takeover ON incident (takes_over) WHERE takes_over IS NOT NULL;
