-- From schema version 1 to 2, before what is added.
ALTER TABLE generations RENAME TO generations_1;
CREATE TABLE generations (
    number  INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('active', 'closing', 'empty', 'destroyed'))
);
CREATE UNIQUE INDEX generations_active ON generations (state) WHERE state = 'active';
INSERT INTO generations SELECT number, wrapped, state FROM generations_1;
DROP TABLE generations_1;
