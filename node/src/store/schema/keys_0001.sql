-- Keys live apart from the data they protect: deleting one makes that person or blob unreadable,
-- in this file's neighbour and in every copy of it.
CREATE TABLE person_key (
    person INTEGER PRIMARY KEY,
    key    BLOB NOT NULL
) STRICT;
CREATE TABLE blob_key (
    blob BLOB PRIMARY KEY,
    key  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
