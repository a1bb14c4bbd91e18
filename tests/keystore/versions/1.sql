-- The schema that version 1 made, as it was.
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE generations (
    number  INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('active', 'closing', 'empty'))
);

CREATE TABLE domains (
    domain     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    wrapped    BLOB NOT NULL,
    PRIMARY KEY (domain, generation)
) WITHOUT ROWID;

CREATE TABLE secrets (
    key_id     BLOB PRIMARY KEY CHECK (length(key_id) = 16),
    realm      TEXT,
    class      TEXT,
    id         TEXT,
    purpose    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('provisional', 'sealing', 'open-only')),
    generation INTEGER NOT NULL,
    wrapped    BLOB NOT NULL,
    version    INTEGER NOT NULL DEFAULT 1,
    unit       BLOB,
    made_at    INTEGER NOT NULL,
    database   TEXT NOT NULL,
    CHECK ((id IS NULL) = (realm IS NULL) AND (id IS NULL) = (class IS NULL)),
    CHECK ((state = 'provisional') = (unit IS NOT NULL)),
    CHECK (id IS NOT NULL OR state = 'provisional')
) WITHOUT ROWID;
CREATE UNIQUE INDEX secrets_sealing ON secrets (realm, class, id, purpose) WHERE state = 'sealing';
CREATE INDEX secrets_subject ON secrets (realm, class, id) WHERE id IS NOT NULL;
CREATE INDEX secrets_unit ON secrets (unit) WHERE unit IS NOT NULL;

CREATE TABLE tokens (
    domain      TEXT NOT NULL,
    token       TEXT NOT NULL,
    ever_shared INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (domain, token)
) WITHOUT ROWID;

CREATE TABLE lookups (
    domain     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    hmac       BLOB NOT NULL,
    token      TEXT NOT NULL,
    PRIMARY KEY (domain, generation, hmac)
) WITHOUT ROWID;
CREATE INDEX lookups_token ON lookups (domain, token);

CREATE TABLE folded (
    domain     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    hmac       BLOB NOT NULL,
    token      TEXT NOT NULL,
    PRIMARY KEY (domain, generation, hmac, token)
) WITHOUT ROWID;
CREATE INDEX folded_token ON folded (domain, token);

-- A provisional holder names its unit; a settled one has the empty unit. Two units may hold the same
-- token under the same key, and each outcome is its own.
CREATE TABLE holders (
    number   INTEGER PRIMARY KEY,
    domain   TEXT NOT NULL,
    token    TEXT NOT NULL,
    key_id   BLOB NOT NULL,
    unit     BLOB NOT NULL DEFAULT x'',
    realm    TEXT,
    class    TEXT,
    id       TEXT,
    sealed   BLOB NOT NULL,
    made_at  INTEGER NOT NULL,
    database TEXT NOT NULL,
    UNIQUE (domain, token, key_id, unit)
);
CREATE INDEX holders_key ON holders (key_id);
CREATE INDEX holders_unit ON holders (unit) WHERE unit <> x'';

CREATE TABLE fenced_keys (
    key_id  BLOB PRIMARY KEY,
    receipt TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE fenced_tokens (
    domain  TEXT NOT NULL,
    token   TEXT NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (domain, token)
) WITHOUT ROWID;
-- A subject that no longer holds a token which others still hold.
CREATE TABLE fenced_holders (
    domain  TEXT NOT NULL,
    token   TEXT NOT NULL,
    key_id  BLOB NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (domain, token, key_id)
) WITHOUT ROWID;

CREATE TABLE marks (mark BLOB PRIMARY KEY, receipt TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE receipts (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
);
