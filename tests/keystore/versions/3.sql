-- What version 3 added to that of version 2, as it was.

-- Subjects that are being re-keyed, and the secrets that they leave.
CREATE TABLE rekeys (
    number INTEGER PRIMARY KEY,
    job    TEXT NOT NULL UNIQUE,
    realm  TEXT NOT NULL,
    class  TEXT NOT NULL,
    id     TEXT NOT NULL,
    UNIQUE (realm, class, id)
);
CREATE TABLE rekeyed (key_id BLOB PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID;

-- A key that was destroyed because another took its place: what it sealed is not erased.
ALTER TABLE fenced_keys ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;

-- Some places refused the sweep: it is tried again.
ALTER TABLE sweeps ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
