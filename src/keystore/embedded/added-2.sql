-- What schema version 2 adds, to a new file and to an older one alike.

-- What is left to do after an erasure. The subject is sealed, and forgotten once its places are swept.
CREATE TABLE sweeps (
    number     INTEGER PRIMARY KEY,
    receipt    TEXT NOT NULL UNIQUE,
    highest    INTEGER NOT NULL,
    generation INTEGER,
    subject    BLOB,
    swept      INTEGER NOT NULL DEFAULT 0,
    databases  TEXT NOT NULL DEFAULT '[]',
    CHECK ((generation IS NULL) = (subject IS NULL))
);
CREATE INDEX fenced_keys_receipt ON fenced_keys (receipt) WHERE receipt <> '';
CREATE INDEX fenced_tokens_receipt ON fenced_tokens (receipt) WHERE receipt <> '';
CREATE INDEX fenced_holders_receipt ON fenced_holders (receipt);

CREATE TABLE jobs (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
);

-- A token that lost a holder to an erasure, and the one that its other holders have instead.
CREATE TABLE replacements (
    domain TEXT NOT NULL,
    old    TEXT NOT NULL,
    new    TEXT NOT NULL,
    PRIMARY KEY (domain, old)
) WITHOUT ROWID;

-- Subjects whose values are kept, and not read until they are released.
CREATE TABLE restricted (
    realm TEXT NOT NULL,
    class TEXT NOT NULL,
    id    TEXT NOT NULL,
    PRIMARY KEY (realm, class, id)
) WITHOUT ROWID;
