CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log: every admitted envelope, bytes as signed, in the order of storing.
CREATE TABLE envelope (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    doc         BLOB NOT NULL,
    author      BLOB NOT NULL,
    bytes       BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    -- On this node's own clock: its arrival less the age that came with it.
    written_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX envelope_by_doc ON envelope (doc, number);

-- What only this node knows of a document: when it came, how late, and whether it may page people.
CREATE TABLE arrival (
    doc         BLOB PRIMARY KEY,
    peer        BLOB,
    received_ms INTEGER NOT NULL,
    late        INTEGER NOT NULL,
    bulk        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Only those that may page people are counted, and they are few by rule.
CREATE INDEX arrival_paging ON arrival (peer, received_ms) WHERE NOT late AND NOT bulk;

-- Which person of this node wrote an envelope.
CREATE TABLE actor (
    envelope BLOB PRIMARY KEY,
    person   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Replication: which peer has not confirmed the newest of which document.
CREATE TABLE due (
    peer     BLOB NOT NULL,
    doc      BLOB NOT NULL,
    since_ms INTEGER NOT NULL,
    urgent   INTEGER NOT NULL,
    PRIMARY KEY (peer, doc)
) STRICT, WITHOUT ROWID;
CREATE INDEX due_in_order ON due (peer, urgent DESC, since_ms DESC, doc);

CREATE TABLE refusal (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      BLOB NOT NULL UNIQUE,
    doc     BLOB NOT NULL,
    author  BLOB NOT NULL,
    peer    BLOB NOT NULL,
    reason  TEXT NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX refusal_by_peer ON refusal (peer, number);

-- Blobs: those that fit beside their envelope are kept here, encrypted; larger ones in the folder.
CREATE TABLE blob (
    id     BLOB PRIMARY KEY,
    bytes  INTEGER NOT NULL,
    sealed BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE blob_use (
    blob  BLOB NOT NULL,
    doc   BLOB NOT NULL,
    class INTEGER NOT NULL,
    PRIMARY KEY (blob, doc)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_use_by_doc ON blob_use (doc);
-- Those whose content is not here, so that finding what to fetch does not cost what is held.
CREATE TABLE blob_missing (
    blob  BLOB NOT NULL,
    doc   BLOB NOT NULL,
    class INTEGER NOT NULL,
    PRIMARY KEY (blob, doc)
) STRICT, WITHOUT ROWID;

-- People. Everything personal is in `sealed`, under the person's own key.
CREATE TABLE household (
    id           INTEGER PRIMARY KEY,
    address_mark BLOB NOT NULL UNIQUE,
    code         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX household_by_time ON household (code, created_ms);
CREATE TABLE person (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    role       TEXT NOT NULL CHECK (role IN ('resident', 'operator')),
    household  INTEGER REFERENCES household (id),
    phone_mark BLOB,
    sealed     BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX person_by_household ON person (household);
CREATE INDEX person_by_phone ON person (phone_mark) WHERE phone_mark IS NOT NULL;
CREATE TABLE session (
    token_hash BLOB PRIMARY KEY,
    person     INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_person ON session (person);
CREATE TABLE code (
    code_hash  BLOB PRIMARY KEY,
    person     INTEGER REFERENCES person (id) ON DELETE CASCADE,
    uses_left  INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An alert of a person here and the incident that it opened; who sent it is sealed.
CREATE TABLE alert (
    nonce         BLOB PRIMARY KEY,
    doc           BLOB NOT NULL,
    reporter_mark BLOB,
    sealed        BLOB NOT NULL,
    outside       INTEGER NOT NULL,
    stored_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_by_doc ON alert (doc);
CREATE INDEX alert_by_reporter ON alert (reporter_mark, stored_ms) WHERE reporter_mark IS NOT NULL;

CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    what   TEXT NOT NULL,
    doc    BLOB
) STRICT;

-- The chain is over commitments; who and why lie beside it under the person's key.
CREATE TABLE audit (
    number     INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    commitment BLOB NOT NULL,
    chain      BLOB NOT NULL,
    person     INTEGER,
    sealed     BLOB NOT NULL
) STRICT;

CREATE INDEX audit_by_person ON audit (person, number) WHERE person IS NOT NULL;

-- Derived from the log; `cuadra rebuild` empties these and fills them again.
CREATE TABLE document (
    id          BLOB PRIMARY KEY,
    class       INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    heads       BLOB NOT NULL,
    urgent      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audience (
    doc    BLOB NOT NULL,
    member BLOB NOT NULL,
    PRIMARY KEY (doc, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX audience_by_member ON audience (member, doc);
CREATE TABLE incident (
    doc           BLOB PRIMARY KEY,
    envelope      BLOB NOT NULL,
    kind          INTEGER NOT NULL,
    urgency       INTEGER NOT NULL,
    code          TEXT NOT NULL,
    cell          INTEGER NOT NULL,
    lat           REAL,
    lon           REAL,
    exact         INTEGER NOT NULL,
    source        INTEGER NOT NULL,
    opened_ms     INTEGER NOT NULL,
    period        INTEGER NOT NULL,
    day           INTEGER NOT NULL,
    author        BLOB NOT NULL,
    owner         BLOB NOT NULL,
    answering     BLOB NOT NULL,
    offered_to    BLOB,
    accepted      BLOB,
    step          INTEGER NOT NULL,
    outcome       INTEGER,
    closed_period INTEGER,
    claimed       BLOB,
    touched       INTEGER NOT NULL,
    saw_it_too    INTEGER NOT NULL,
    crews         INTEGER NOT NULL,
    words         BLOB,
    changed_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_open ON incident (urgency, opened_ms) WHERE outcome IS NULL;
CREATE INDEX incident_accepted ON incident (owner) WHERE accepted IS NOT NULL;
CREATE INDEX incident_by_time ON incident (opened_ms);
CREATE INDEX incident_by_place ON incident (lat, opened_ms);
CREATE INDEX incident_by_owner ON incident (owner, code, period, kind);
-- Nodes that see an incident in full: its owner, the involved, the invited and the offered ones.
CREATE TABLE incident_member (
    doc    BLOB NOT NULL,
    member BLOB NOT NULL,
    PRIMARY KEY (doc, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_member_by_member ON incident_member (member, doc);
-- The newest figures of each jurisdiction and month, by (day, place on the author's chain).
CREATE TABLE figure_head (
    code        TEXT NOT NULL,
    period      INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    seq         INTEGER NOT NULL,
    author      BLOB NOT NULL,
    envelope    BLOB NOT NULL,
    as_of_ms    INTEGER NOT NULL,
    PRIMARY KEY (code, period)
) STRICT, WITHOUT ROWID;
-- This node's own summary documents.
CREATE TABLE figure_day (
    code TEXT NOT NULL,
    day  INTEGER NOT NULL,
    doc  BLOB NOT NULL,
    PRIMARY KEY (code, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE figure (
    code    TEXT NOT NULL,
    period  INTEGER NOT NULL,
    measure INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    value   INTEGER NOT NULL,
    PRIMARY KEY (code, period, measure, kind)
) STRICT, WITHOUT ROWID;
