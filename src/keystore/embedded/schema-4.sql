-- From schema version 3 to 4: secrets lie in the order in which they came, not in that of their key ids.
ALTER TABLE secrets RENAME TO secrets_3;
DROP INDEX secrets_sealing;
DROP INDEX secrets_subject;
DROP INDEX secrets_unit;
CREATE TABLE secrets (
    number     INTEGER PRIMARY KEY,
    key_id     BLOB NOT NULL UNIQUE CHECK (length(key_id) = 16),
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
);
CREATE UNIQUE INDEX secrets_sealing ON secrets (realm, class, id, purpose) WHERE state = 'sealing';
CREATE INDEX secrets_subject ON secrets (realm, class, id) WHERE id IS NOT NULL;
CREATE INDEX secrets_unit ON secrets (unit) WHERE unit IS NOT NULL;
INSERT INTO secrets (key_id, realm, class, id, purpose, state, generation, wrapped, version, unit, made_at, database)
SELECT key_id, realm, class, id, purpose, state, generation, wrapped, version, unit, made_at, database
FROM secrets_3 ORDER BY key_id;
DROP TABLE secrets_3;
