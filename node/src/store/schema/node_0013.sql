-- Fewer pages for an alert to change. An envelope is looked for by its document and its id: those of one
-- document lie together.
CREATE TABLE envelope_kept (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    doc         BLOB NOT NULL,
    author      BLOB NOT NULL,
    bytes       BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    -- On this node's own clock: its arrival less the age that came with it.
    written_ms  INTEGER NOT NULL,
    UNIQUE (doc, id)
) STRICT;
INSERT INTO envelope_kept (number, id, doc, author, bytes, received_ms, written_ms)
    SELECT number, id, doc, author, bytes, received_ms, written_ms FROM envelope ORDER BY number;
-- By the envelope's number, which grows.
CREATE TABLE actor_kept (
    envelope INTEGER PRIMARY KEY,
    person   INTEGER NOT NULL
) STRICT;
INSERT INTO actor_kept (envelope, person)
    SELECT envelope.number, actor.person FROM actor JOIN envelope ON envelope.id = actor.envelope ORDER BY number;
DROP TABLE actor;
DROP TABLE envelope;
ALTER TABLE envelope_kept RENAME TO envelope;
ALTER TABLE actor_kept RENAME TO actor;
-- The peers of one document lie together; in their order they are found by the index.
CREATE TABLE due_kept (
    doc      BLOB NOT NULL,
    peer     BLOB NOT NULL,
    since_ms INTEGER NOT NULL,
    urgent   INTEGER NOT NULL,
    PRIMARY KEY (doc, peer)
) STRICT, WITHOUT ROWID;
INSERT INTO due_kept (doc, peer, since_ms, urgent) SELECT doc, peer, since_ms, urgent FROM due ORDER BY doc, peer;
DROP TABLE due;
ALTER TABLE due_kept RENAME TO due;
CREATE INDEX due_in_order ON due (peer, urgent DESC, since_ms DESC, doc);
