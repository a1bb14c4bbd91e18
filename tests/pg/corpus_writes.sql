-- people
INSERT INTO people (id, email, first_name, last_name, birth_date, title) VALUES (1, 'canari-un@x.example', 'Canari-Un', 'Nom-Un', '1987-03-29', 'Chef'), (2, 'canari-deux@x.example', 'Canari-Deux', NULL, NULL, 'Aide'), (3, 'canari-trois@x.example', NULL, 'Nom-Trois', '2000-02-29', NULL)
-- ids that the database makes
SELECT setval('people_id_seq', 100)
-- insert select of constants where nothing is there
INSERT INTO people (id, email, first_name) SELECT 10, 'canari-dix@x.example', 'Canari-Dix' WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = 'canari-dix@x.example')
-- the same again
INSERT INTO people (id, email, first_name) SELECT 10, 'canari-dix@x.example', 'Canari-Dix' WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = 'canari-dix@x.example')
-- insert select of parameters
INSERT INTO people (id, email, first_name, birth_date) SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $2) RETURNING id, email, first_name, birth_date
--$ int4:11 | text:canari-onze@x.example | text:Canari-Onze | date:1999-12-31
-- the same again
INSERT INTO people (id, email, first_name, birth_date) SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $2) RETURNING id, email, first_name, birth_date
--$ int4:11 | text:canari-onze@x.example | text:Canari-Onze | date:1999-12-31
-- insert select with an id that the database makes
INSERT INTO comments (body, author_id) SELECT $1, id FROM people WHERE email = $2 RETURNING id, body
--$ text:Canari-Mot | text:canari-un@x.example
-- its author
SELECT author_id, body FROM comments
-- insert select of no row
INSERT INTO comments (body, author_id) SELECT 'Canari-Rien', id FROM people WHERE email = 'nobody@x.example' RETURNING id
-- insert select with do nothing
INSERT INTO people (id, email, first_name) SELECT 10, 'canari-dix@x.example', 'Canari-Autre' ON CONFLICT DO NOTHING RETURNING id
-- insert select with do update
INSERT INTO people (id, email, first_name) SELECT 10, 'canari-dix@x.example', 'Canari-Mieux' ON CONFLICT (id) DO UPDATE SET first_name = EXCLUDED.first_name RETURNING first_name
-- insert select of a union
INSERT INTO people (id, email, first_name, age) SELECT 20, 'canari-vingt@x.example', 'Canari-Vingt', 20 UNION ALL SELECT 21, 'canari-vu@x.example', NULL, 21
-- and what is there
SELECT id, email, first_name, age FROM people WHERE id >= 20 ORDER BY id
-- insert select of a duplicate ! detail
INSERT INTO people (id, email) SELECT 30, 'canari-un@x.example'
-- insert select of a bad value ! value
INSERT INTO people (id, email, birth_date) SELECT 31, 'canari-tu@x.example', 'no date'
-- too many columns ! position
INSERT INTO archive (id, email) SELECT id, email, email FROM people
-- rows are copied
INSERT INTO archive (id, email, first_name, last_name, birth_date, title) SELECT id, email, first_name, last_name, birth_date, title FROM people WHERE id < 4
-- the copies
SELECT * FROM archive ORDER BY id
-- rows are copied again
INSERT INTO archive SELECT id, email, first_name FROM people WHERE id < 4 ON CONFLICT (id) DO NOTHING
-- rows are copied over others
INSERT INTO archive (id, first_name) SELECT id, first_name FROM people WHERE id IN (2, 11) ON CONFLICT (id) DO UPDATE SET first_name = EXCLUDED.first_name RETURNING id, first_name
-- rows are copied and returned
INSERT INTO archive (title, id, email, birth_date) SELECT 'copie', p.id, p.email, p.birth_date FROM people p WHERE p.email = 'canari-dix@x.example' RETURNING *
-- joined with their archive
SELECT p.first_name, a.first_name, p.email = a.email AS same FROM people p JOIN archive a ON a.email = p.email ORDER BY p.id
-- rows are moved
WITH gone AS (DELETE FROM archive WHERE id = 10 RETURNING *) INSERT INTO archive (id, email, birth_date, title) SELECT id, email, birth_date, 'encore' FROM gone WHERE false
-- rows are moved out and shown
WITH gone AS (DELETE FROM archive WHERE id IN (11, 3) RETURNING id, first_name, last_name) SELECT last_name, first_name FROM gone ORDER BY id
-- rows are moved in
WITH gone AS (DELETE FROM people WHERE id IN (20, 21) RETURNING id, email, first_name) INSERT INTO archive (id, email, first_name) SELECT * FROM gone RETURNING id, email, first_name
-- an update in with
WITH u AS (UPDATE people SET first_name = 'Canari-Changé', title = 'x' WHERE id = 1 RETURNING *) SELECT first_name, last_name, title, email FROM u
-- an update in with by parameter
WITH u AS (UPDATE people SET first_name = $1 WHERE id = $2 RETURNING id, first_name) SELECT u.first_name, c.body FROM u JOIN comments c ON c.author_id = u.id
--$ text:Canari-Encore | int4:1
-- an update of what is looked up in with
WITH u AS (UPDATE people SET last_name = 'Nom-Cherché' WHERE title = 'x' RETURNING id, last_name) SELECT * FROM u
-- an insert in with that nobody reads
WITH i AS (INSERT INTO people (email, first_name) VALUES ('canari-vs@x.example', 'Canari-Seul')) SELECT 1 AS one
-- it is there
SELECT first_name FROM people WHERE email = 'canari-vs@x.example'
-- get or create: create
WITH i AS (INSERT INTO people (id, email, first_name) VALUES (DEFAULT, $1, $2) ON CONFLICT (email) DO NOTHING RETURNING email, first_name) SELECT * FROM i UNION ALL SELECT email, first_name FROM people WHERE email = $1
--$ text:canari-goc@x.example | text:Canari-Goc
-- get or create: get
WITH i AS (INSERT INTO people (id, email, first_name) VALUES (DEFAULT, $1, $2) ON CONFLICT (email) DO NOTHING RETURNING email, first_name) SELECT * FROM i UNION ALL SELECT email, first_name FROM people WHERE email = $1
--$ text:canari-goc@x.example | text:Canari-Perdu
-- an insert in with, and another by its id
WITH p AS (INSERT INTO people (email, first_name) VALUES ('canari-chaine@x.example', 'Canari-Chaîne') RETURNING id) INSERT INTO comments (author_id, body) SELECT id, 'Canari-Suite' FROM p RETURNING body, likes
-- both are there
SELECT p.first_name, c.body FROM people p JOIN comments c ON c.author_id = p.id WHERE p.email = 'canari-chaine@x.example'
-- an insert in with, returned with all
WITH p AS (INSERT INTO people (email, first_name, birth_date) VALUES ('canari-tout@x.example', 'Canari-Tout', '1990-01-01') RETURNING *) SELECT p.first_name, p.birth_date, p.email, p.version FROM p
-- columns named in with
WITH p (a, b) AS MATERIALIZED (INSERT INTO people (email, first_name) VALUES ('canari-ab@x.example', 'Canari-Ab') RETURNING email, first_name) SELECT b, a FROM p
-- two inserts in with
WITH a AS (INSERT INTO comments (author_id, body) VALUES (1, 'Canari-A')), b AS (INSERT INTO comments (author_id, body) VALUES (2, 'Canari-B'), (3, NULL) RETURNING author_id, body) UPDATE people SET last_name = 'Nom-C' WHERE id = 3 RETURNING last_name
-- what they left
SELECT author_id, body FROM comments ORDER BY id
-- an upsert in with
WITH u AS (INSERT INTO people (email, first_name) VALUES ('canari-ab@x.example', 'Canari-Ab2') ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name RETURNING first_name) SELECT * FROM u
-- an insert that fails in with ! detail
WITH p AS (INSERT INTO people (email, first_name) VALUES ('canari-ab@x.example', 'Canari-Échec') RETURNING id) DELETE FROM archive WHERE id IN (SELECT id FROM p)
-- a name in with that returns nothing ! position
WITH p AS (DELETE FROM people WHERE id = 999) SELECT * FROM p
-- explain of an insert in with
EXPLAIN (COSTS OFF) WITH p AS (DELETE FROM archive WHERE id = 999 RETURNING id) SELECT * FROM p
-- in a block
BEGIN
-- an insert in with, in a block
WITH p AS (INSERT INTO people (email, first_name) VALUES ('canari-bloc@x.example', 'Canari-Bloc') RETURNING email) SELECT * FROM p
-- another
WITH p AS (INSERT INTO people (email, first_name) VALUES ('canari-bloc2@x.example', 'Canari-Bloc2') RETURNING email) SELECT * FROM p
-- copied in the block
INSERT INTO archive (id, email, first_name) SELECT id, email, first_name FROM people WHERE email = 'canari-bloc@x.example' RETURNING first_name
-- and back
ROLLBACK
-- nothing of it
SELECT count(*) FROM people WHERE email IN ('canari-bloc@x.example', 'canari-bloc2@x.example')
-- all in all
SELECT id, email, first_name, last_name, birth_date FROM people WHERE id < 12 ORDER BY id
-- all in all, archived
SELECT * FROM archive ORDER BY id
-- into a partitioned table
INSERT INTO visits (person_id, day, mail, note) VALUES (1, '2024-02-01', 'canari-un@x.example', 'Canari-Visite'), (2, '2024-03-01', NULL, 'Canari-Autre'), (3, '1999-01-01', 'canari-trois@x.example', NULL) RETURNING id, day, mail, note
-- into a partition of it
INSERT INTO visits_2024_high (id, person_id, day, floor, note) VALUES (50, 1, '2024-05-05', 9, 'Canari-Haut') RETURNING *
-- into a partition where it does not belong ! detail
INSERT INTO visits_2024_low (id, person_id, day, floor, note) VALUES (51, 1, '2024-05-05', 9, 'Canari-Faux')
-- into a partition of partitions, by parameters
INSERT INTO visits_2024 (id, person_id, day, floor, note) VALUES ($1, $2, $3, $4, $5) RETURNING note, floor
--$ int4:52 | int4:2 | date:2024-06-06 | int4:1 | text:Canari-Milieu
-- read from the whole
SELECT id, person_id, mail, note, floor FROM visits ORDER BY id
-- read from a part
SELECT note, person_id FROM visits_2024_high
-- only the parent
SELECT note FROM ONLY visits
-- by a token
SELECT v.note FROM visits v WHERE mail = 'canari-un@x.example'
-- joined by a token
SELECT p.first_name, v.note FROM people p JOIN visits_2024 v ON v.mail = p.email ORDER BY v.id
-- update of the whole by subject
UPDATE visits SET note = 'Canari-Revu' WHERE person_id = 1 AND day = '2024-02-01' RETURNING note, mail
-- update of the whole by something else
UPDATE visits SET note = 'Canari-Tous' WHERE floor < 5 RETURNING person_id
-- update of a partition
UPDATE visits_2024_low SET note = $1, mail = $2 WHERE person_id = $3 RETURNING note, mail
--$ text:Canari-Bas | text:canari-deux@x.example | int4:2
-- a row that moves to another partition
UPDATE visits SET floor = 7 WHERE id = 52 RETURNING note, tableoid::regclass::text
-- an upsert
INSERT INTO visits (id, person_id, day, floor, note) VALUES (52, 2, '2024-06-06', 7, 'Canari-Encore') ON CONFLICT DO NOTHING RETURNING id
-- delete from a partition
DELETE FROM visits_2024_high WHERE id = 50 RETURNING note
-- moved from one partition to another
WITH gone AS (DELETE FROM visits_old RETURNING person_id, mail, note) INSERT INTO visits (person_id, day, mail, note) SELECT person_id, '2024-09-09', mail, note FROM gone RETURNING day, mail
-- a partition that comes later
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
-- written to
INSERT INTO visits_2025 (id, person_id, day, note) VALUES (60, 3, '2025-01-01', 'Canari-Neuf') RETURNING note
-- and read
SELECT note FROM visits WHERE day >= '2025-01-01'
-- it is renamed
ALTER TABLE visits_2025 RENAME TO visits_new
-- and is what it was
UPDATE visits_new SET note = 'Canari-Renommé' RETURNING note
-- a partition goes
DROP TABLE visits_2024_high
-- what is left
SELECT id, person_id, mail, note FROM visits ORDER BY id
-- merge of constants: update ! merge
MERGE INTO people p USING (SELECT 1) s ON p.id = 1 WHEN MATCHED THEN UPDATE SET first_name = 'Canari-Fondu', title = 'm' WHEN NOT MATCHED THEN INSERT (id, email) VALUES (1, 'canari-jamais@x.example')
-- merge of constants: insert ! merge
MERGE INTO people p USING (SELECT 1) s ON p.id = 70 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, email, first_name, age) VALUES (70, 'canari-fonte@x.example', 'Canari-Fonte', 7)
-- merge of rows ! merge
MERGE INTO people p USING (VALUES (70, 'canari-fonte@x.example', 'Canari-Refonte', 71), (71, 'canari-fonte2@x.example', 'Canari-Fonte2', NULL)) AS s(id, mail, name, age) ON p.id = s.id WHEN MATCHED THEN UPDATE SET first_name = s.name, age = s.age WHEN NOT MATCHED THEN INSERT (id, email, first_name, age) VALUES (s.id, s.mail, s.name, s.age)
-- what it left
SELECT id, email, first_name, age FROM people WHERE id IN (1, 70, 71) ORDER BY id
-- merge as hibernate writes it ! merge
MERGE INTO people AS t USING (SELECT CAST($1 AS integer) id, CAST($2 AS text) email, CAST($3 AS text) first_name, CAST($4 AS date) birth_date) AS s ON (t.id=s.id) WHEN NOT MATCHED THEN INSERT (id, email, first_name, birth_date) VALUES (s.id, s.email, s.first_name, s.birth_date) WHEN MATCHED THEN UPDATE SET first_name=s.first_name, birth_date=s.birth_date
--$ int4:72 | text:canari-hib@x.example | text:Canari-Hib | date:1980-02-03
-- the same again ! merge
MERGE INTO people AS t USING (SELECT CAST($1 AS integer) id, CAST($2 AS text) email, CAST($3 AS text) first_name, CAST($4 AS date) birth_date) AS s ON (t.id=s.id) WHEN NOT MATCHED THEN INSERT (id, email, first_name, birth_date) VALUES (s.id, s.email, s.first_name, s.birth_date) WHEN MATCHED THEN UPDATE SET first_name=s.first_name, birth_date=s.birth_date
--$ int4:72 | text:canari-hib@x.example | text:Canari-Hib2 | date:NULL
-- what it left
SELECT id, email, first_name, birth_date FROM people WHERE id = 72
-- merge from one table into another ! merge
MERGE INTO archive a USING people p ON a.id = p.id WHEN MATCHED AND p.id < 3 THEN UPDATE SET first_name = p.first_name, title = 'fondu' WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND p.id >= 70 THEN INSERT (id, email, first_name, birth_date) VALUES (p.id, p.email, p.first_name, p.birth_date) WHEN NOT MATCHED THEN DO NOTHING
-- what it left
SELECT * FROM archive ORDER BY id
-- merge into an unprotected table ! merge
MERGE INTO depts d USING people p ON d.id = p.id AND p.email = 'canari-un@x.example' WHEN MATCHED THEN UPDATE SET name = 'Fondu'
-- merge into a partitioned table ! merge
MERGE INTO visits v USING (VALUES (900, '2024-07-07'::date, 'Canari-Fusion')) AS s(person, day, note) ON v.person_id = s.person WHEN NOT MATCHED THEN INSERT (person_id, day, note) VALUES (s.person, s.day, s.note)
-- what it left
SELECT note FROM visits WHERE person_id = 900
-- merge that fails ! detail merge
MERGE INTO people p USING (SELECT 1) s ON p.id = 73 WHEN NOT MATCHED THEN INSERT (id, email) VALUES (73, 'canari-fonte@x.example')
-- a table made of what is not protected
CREATE TABLE titles AS SELECT id, title FROM people WHERE email = 'canari-un@x.example' OR id = 2
-- the table
SELECT * FROM titles ORDER BY id
-- a table of the policy, made of another
CREATE TABLE newcomers AS SELECT id, email, first_name FROM people WHERE id IN (1, 70)
-- it is protected
SELECT first_name, email FROM newcomers ORDER BY id
-- and written to
UPDATE newcomers SET first_name = 'Canari-Nouveau' WHERE email = 'canari-un@x.example' RETURNING first_name
-- another, into which is selected
SELECT id, first_name, email INTO latecomers FROM people WHERE email = 'canari-fonte@x.example'
-- it is protected
SELECT * FROM latecomers
-- a foreign key of tokens
ALTER TABLE visits ADD CONSTRAINT visits_mail FOREIGN KEY (mail) REFERENCES people (email)
-- it holds ! detail
INSERT INTO visits (person_id, day, mail) VALUES (1, '2024-01-01', 'canari-personne@x.example')
-- it is met
INSERT INTO visits (person_id, day, mail) VALUES (1, '2024-01-01', 'canari-un@x.example') RETURNING mail
