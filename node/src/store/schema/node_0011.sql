-- Envelopes under rules that this release does not know: no verdict, and no age at which they go.
CREATE TABLE held (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    doc        BLOB NOT NULL,
    -- Who sent it.
    peer       BLOB NOT NULL,
    rules      INTEGER NOT NULL,
    bytes      BLOB NOT NULL,
    -- On this node's own clock, as in `envelope`.
    written_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX held_by_doc ON held (doc, peer);
CREATE INDEX held_by_peer ON held (peer, number);
CREATE INDEX held_by_rules ON held (rules, number);
-- Incidents that begin so, as far as a genesis can be read under any rules: enough to ring.
CREATE TABLE held_incident (
    doc         BLOB PRIMARY KEY,
    envelope    BLOB NOT NULL UNIQUE,
    author      BLOB NOT NULL,
    urgency     INTEGER NOT NULL,
    code        TEXT NOT NULL,
    cell        INTEGER NOT NULL,
    written_ms  INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    late        INTEGER NOT NULL,
    bulk        INTEGER NOT NULL,
    -- True once somebody at this desk has said that they saw it.
    seen        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What each peer has in `held`.
CREATE TABLE held_share (
    peer      BLOB PRIMARY KEY,
    envelopes INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER held_grows AFTER INSERT ON held BEGIN
    INSERT INTO held_share (peer, envelopes, bytes) VALUES (new.peer, 1, length(new.bytes))
        ON CONFLICT (peer) DO UPDATE SET envelopes = envelopes + 1, bytes = bytes + length(new.bytes);
END;
CREATE TRIGGER held_shrinks AFTER DELETE ON held BEGIN
    UPDATE held_share SET envelopes = envelopes - 1, bytes = bytes - length(old.bytes) WHERE peer = old.peer;
    DELETE FROM held_share WHERE peer = old.peer AND envelopes = 0;
    DELETE FROM held_incident WHERE envelope = old.id;
END;
-- Retired documents, since when this node knows of it, and the retire as signed once the contents were
-- dropped. What is derived of those stays as it was.
CREATE TABLE retired (
    doc      BLOB PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    retire   BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX retired_kept ON retired (since_ms) WHERE retire IS NULL;
-- Retired documents of which a peer has dropped the contents, and what they are in the digest with it.
CREATE TABLE gone (
    peer        BLOB NOT NULL,
    doc         BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    PRIMARY KEY (peer, doc)
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_by_doc ON gone (doc);
