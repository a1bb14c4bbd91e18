-- constant
SELECT 1 AS one, 'é' AS e, NULL::int AS nothing
-- insert one with an id made by the database
INSERT INTO people (email, first_name, last_name, birth_date, age) VALUES ('ana@x.example', 'Ana', 'Arc', '1987-03-29', 37)
-- insert one with every type
INSERT INTO people (email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, profile, photo, dept_id, title) VALUES ('bea@x.example', 'Béatrice', 'D''Or', 'bébé', '2000-02-29', '2024-07-01 12:00:00.5+02', -5, 9007199254740993, 12.5, true, '6FA459EA-EE8A-4CA4-894E-DB77E160355E', '{"b": 1,   "a": [1.50, null, "\u00e9"]}', '\xdeadbeef', 1, 'Chef')
-- insert one with nulls
INSERT INTO people (email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, profile, photo) VALUES ('nul@x.example', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
-- insert many
INSERT INTO people (email, first_name, dept_id) VALUES ('c1@x.example', 'Cé', 1), ('c2@x.example', NULL, 2), ('c3@x.example', '', 2)
-- insert with an id
INSERT INTO people (id, email, first_name) VALUES (100, 'cent@x.example', 'Cent')
-- insert returning id
INSERT INTO people (email, first_name) VALUES ('ret@x.example', 'Ret') RETURNING id
-- insert returning protected values
INSERT INTO people (email, first_name, age) VALUES ('ret2@x.example', 'Ret2', 5) RETURNING first_name, age, email, title AS t
-- insert returning all
INSERT INTO people (email) VALUES ('all@x.example') RETURNING *
-- insert all columns without naming them
INSERT INTO people VALUES (200, 'pos@x.example', 'Pos', 'Itional', 'p', '2001-01-01')
-- insert default values where they can't be ! detail
INSERT INTO people DEFAULT VALUES
-- insert with default for a column
INSERT INTO people (id, email, first_name, version) VALUES (DEFAULT, 'def@x.example', 'Def', DEFAULT)
-- insert into another table
INSERT INTO comments (author_id, body) VALUES (1, 'Bonjour à tous'), (1, ''), (2, NULL)
-- insert nobody's row without a protected value
INSERT INTO comments (author_id, likes) VALUES (NULL, 4)
-- insert with a cast
INSERT INTO people (email, birth_date, age) VALUES ('cast@x.example', '1999-12-31'::date, '7'::integer)
-- insert into an unprotected table
INSERT INTO depts VALUES (50, 'Cinquante') RETURNING id, name
-- insert parameters
INSERT INTO people (email, first_name, last_name, birth_date, seen_at, age, points, salary, active, badge, profile, photo) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id, email
--$ text:par@x.example | text:Par | varchar:Amètre | date:1970-01-01 | timestamptz:2020-01-02 03:04:05+00 | int4:11 | int8:12 | numeric:13.10 | bool:true | uuid:6fa459ea-ee8a-4ca4-894e-db77e160355f | jsonb:{"k": [1, 2]} | bytea:\x00ff
-- insert parameters without types
INSERT INTO people (email, first_name, birth_date, age, active) VALUES ($1, $2, $3, $4, $5)
--$ ?:par2@x.example | ?:Par2 | ?:1970-01-02 | ?:21 | ?:true
-- insert null parameters
INSERT INTO people (email, first_name, birth_date, age) VALUES ($1, $2, $3, $4) RETURNING first_name, birth_date, age
--$ text:par3@x.example | text:NULL | date:NULL | int4:NULL
-- insert with parameter casts
INSERT INTO people (email, birth_date, points) VALUES ($1::text, $2::date, $3::bigint) RETURNING birth_date, points
--$ ?:par4@x.example | ?:1980-05-06 | ?:77
-- insert with the subject as a parameter
INSERT INTO comments (author_id, body, likes) VALUES ($1, $2, $3)
--$ int4:2 | text:un commentaire | int4:9
-- insert unnest of literals ! unordered
INSERT INTO people (email, first_name, dept_id) SELECT * FROM UNNEST(('{un1@x.example,un2@x.example}')::text[], ('{"Un, 1",NULL}')::text[], ('{1,2}')::integer[]) RETURNING id, first_name
-- insert unnest of parameters
INSERT INTO comments (author_id, body) SELECT * FROM UNNEST($1::integer[], $2::text[])
--$ int4[]:{1,2} | text[]:{premier,"deux \"cités\""}
-- duplicate e-mail
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'Autre')
-- duplicate id
INSERT INTO people (id, email) VALUES (100, 'other@x.example')
-- duplicate e-mail by parameter
INSERT INTO people (email, first_name) VALUES ($1, $2)
--$ text:bea@x.example | text:Autre
-- missing e-mail ! detail
INSERT INTO people (first_name) VALUES ('Sans')
-- foreign key
INSERT INTO people (email, dept_id) VALUES ('fk@x.example', 999)
-- foreign key to people ! detail
INSERT INTO comments (author_id, body) VALUES (9999, 'orphelin')
-- conflict do nothing
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'Personne') ON CONFLICT DO NOTHING
-- conflict do nothing by target
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'Personne'), ('new@x.example', 'Neuf') ON CONFLICT (email) DO NOTHING RETURNING first_name
-- conflict do update
INSERT INTO people (email, first_name, title) VALUES ('ana@x.example', 'Anaïs', 'Dr') ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name, title = EXCLUDED.title RETURNING first_name, title
-- conflict do update of an unprotected column
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'Perdu') ON CONFLICT (email) DO UPDATE SET version = people.version + 1 RETURNING id, first_name, version
-- conflict do update by id
INSERT INTO people (id, email, last_name) VALUES (100, 'cent@x.example', 'Centième') ON CONFLICT (id) DO UPDATE SET last_name = EXCLUDED.last_name
-- conflict do update with literal
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'x') ON CONFLICT (email) DO UPDATE SET first_name = 'Littérale' RETURNING first_name
-- conflict do update with where
INSERT INTO people (email, first_name) VALUES ('ana@x.example', 'Où') ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name WHERE people.version > 1000 RETURNING id
-- conflict by parameters
INSERT INTO people (email, first_name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name RETURNING first_name
--$ text:ana@x.example | text:Paramétrée
-- select all columns
SELECT * FROM people WHERE id < 5 ORDER BY id
-- coalesce of one column
SELECT COALESCE(first_name, NULL), COALESCE(last_name, last_name) AS l, COALESCE(salary, salary), COALESCE(birth_date, NULL) AS b, COALESCE(email, NULL) FROM people WHERE id < 5 ORDER BY id
-- case among one column
SELECT id, CASE WHEN id > 1 THEN last_name END, CASE id WHEN 2 THEN birth_date ELSE NULL END AS b, CASE WHEN id = 2 THEN salary ELSE salary END AS s, CASE WHEN first_name IS NULL THEN NULL ELSE nick END FROM people WHERE id < 5 ORDER BY id
-- nullif null
SELECT id, NULLIF(first_name, NULL), NULLIF(last_name, NULL) AS l, NULLIF(nick, NULL), NULLIF(birth_date, NULL), NULLIF(salary, NULL), NULLIF(email, NULL) FROM people WHERE id < 5 ORDER BY id
-- chosen within one another
SELECT COALESCE(CASE WHEN p.id = 2 THEN p.first_name END, NULLIF(p.first_name, NULL)) AS f FROM people p WHERE p.id < 5 ORDER BY p.id
-- chosen in a subquery and a join
SELECT s.f, c.body FROM (SELECT id, COALESCE(first_name, NULL) AS f FROM people) s LEFT JOIN comments c ON c.author_id = s.id AND COALESCE(c.body, NULL) IS NOT NULL WHERE s.id < 3 ORDER BY s.id, c.id
-- assigned from what is chosen elsewhere
UPDATE people SET title = CASE WHEN COALESCE(first_name, NULL) IS NULL THEN 'sans' ELSE title END WHERE id = 3 RETURNING title
-- select every type
SELECT first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, profile, photo FROM people WHERE id = 2
-- select with aliases
SELECT p.first_name AS prénom, p."last_name" "Nom de Famille", p.email FROM people AS p WHERE p.id IN (1, 2) ORDER BY p.id
-- select table star
SELECT p.* FROM people p WHERE p.id = 2
-- select the same column twice
SELECT first_name, first_name, first_name AS again FROM people WHERE id = 1
-- select by e-mail
SELECT id, first_name FROM people WHERE email = 'ana@x.example'
-- select by e-mail, the other way round
SELECT id FROM people WHERE 'ana@x.example' = email
-- select by e-mail parameter
SELECT id, first_name, age FROM people WHERE email = $1
--$ text:bea@x.example
-- select by varchar parameter
SELECT id FROM people WHERE email = $1
--$ varchar:bea@x.example
-- select by untyped parameter
SELECT id FROM people WHERE email = $1
--$ ?:bea@x.example
-- select by cast parameter
SELECT id FROM people WHERE email = $1::text
--$ ?:bea@x.example
-- select by null e-mail
SELECT id FROM people WHERE email = $1
--$ text:NULL
-- select unknown e-mail
SELECT id FROM people WHERE email = 'unknown@x.example'
-- select other than an e-mail
SELECT id FROM people WHERE email <> 'ana@x.example' AND id < 4 ORDER BY id
-- select other than an unknown e-mail
SELECT count(*) FROM people WHERE email <> 'unknown@x.example'
-- select e-mail in
SELECT id FROM people WHERE email IN ('ana@x.example', 'nul@x.example', 'unknown@x.example') ORDER BY id
-- select e-mail not in
SELECT count(*) FROM people WHERE email NOT IN ('ana@x.example', 'unknown@x.example')
-- select e-mail any
SELECT id FROM people WHERE email = ANY($1) ORDER BY id
--$ text[]:{ana@x.example,bea@x.example,unknown@x.example}
-- select e-mail any cast literal
SELECT id FROM people WHERE email = ANY('{ana@x.example,bea@x.example}'::text[]) ORDER BY id
-- select e-mail any array
SELECT id FROM people WHERE email = ANY(ARRAY['ana@x.example', 'bea@x.example']) ORDER BY id
-- select e-mail all
SELECT count(*) FROM people WHERE email <> ALL(ARRAY['ana@x.example', 'unknown@x.example'])
-- select e-mail is distinct
SELECT count(*) FROM people WHERE email IS DISTINCT FROM 'ana@x.example'
-- select e-mail folded
SELECT id FROM people WHERE lower(email) = lower('ANA@X.Example')
-- select e-mail upper, as Django asks
SELECT 1 AS "a" FROM "people" WHERE UPPER("people"."email"::text) = UPPER('Ana@x.EXAMPLE') LIMIT 1
-- select e-mail folded parameter
SELECT id FROM people WHERE lower(email) = lower($1)
--$ text:BEA@x.example
-- select null tests
SELECT id FROM people WHERE first_name IS NULL AND email IS NOT NULL ORDER BY id
-- select counts
SELECT count(*), count(first_name), count(birth_date), count(DISTINCT email) FROM people
-- select null test as value
SELECT id, first_name IS NULL AS without FROM people WHERE id < 5 ORDER BY id
-- select casts to text
SELECT first_name::text, birth_date::text, age::text, salary::text, active::text, badge::text, profile::text FROM people WHERE id = 2
-- select casts to the declared type
SELECT birth_date::date, age::integer, last_name::varchar FROM people WHERE id = 2
-- select limit and offset
SELECT id, first_name FROM people ORDER BY id LIMIT 2 OFFSET 1
-- select with limit parameter
SELECT id, first_name FROM people WHERE id >= $1 ORDER BY id LIMIT $2
--$ int4:1 | int8:2
-- select for update
SELECT id, first_name FROM people WHERE id = 1 FOR UPDATE
-- select nothing
SELECT first_name FROM people WHERE false
-- select no columns
SELECT FROM people WHERE id = 1
-- join with comments
SELECT p.first_name, c.body, c.likes FROM people p JOIN comments c ON c.author_id = p.id ORDER BY c.id
-- left join
SELECT d.name, p.first_name FROM depts d LEFT JOIN people p ON p.dept_id = d.id AND p.id < 5 WHERE d.id <= 3 ORDER BY d.id, p.id
-- right and full join
SELECT d.id, p.id, p.first_name FROM people p FULL JOIN depts d ON p.dept_id = d.id WHERE p.id = 2 OR d.id = 3 ORDER BY d.id
-- join using
SELECT c.body FROM people p JOIN comments c ON (c.author_id = p.id) WHERE p.email = 'ana@x.example' ORDER BY c.id
-- comma join
SELECT p.first_name, d.name FROM people p, depts d WHERE p.dept_id = d.id AND p.id = 2
-- self join on tokens
SELECT a.id, b.first_name FROM people a JOIN people b ON a.email = b.email WHERE a.id < 4 ORDER BY a.id
-- join of three
SELECT p.first_name, d.name, count(c.id) FROM people p JOIN depts d ON d.id = p.dept_id LEFT JOIN comments c ON c.author_id = p.id WHERE p.id = 2 GROUP BY p.id, d.name
-- count by department
SELECT dept_id, count(*) FROM people GROUP BY dept_id ORDER BY dept_id NULLS LAST
-- group by token ! unordered
SELECT email, count(*) FROM people WHERE id < 4 GROUP BY email
-- distinct token ! unordered
SELECT DISTINCT email FROM people WHERE id < 4
-- subquery in from
SELECT x.first_name, x.email FROM (SELECT id, first_name, email FROM people WHERE id < 3) x ORDER BY x.id
-- subquery star
SELECT * FROM (SELECT id, first_name, age FROM people WHERE id < 3) AS x ORDER BY id
-- nested subqueries
SELECT y.n FROM (SELECT x.first_name AS n, x.id FROM (SELECT id, first_name FROM people) x WHERE x.id = 2) y
-- exists
SELECT p.id, p.first_name FROM people p WHERE EXISTS (SELECT 1 FROM comments c WHERE c.author_id = p.id) ORDER BY p.id
-- in a subquery of ids
SELECT body FROM comments WHERE author_id IN (SELECT id FROM people WHERE email = 'ana@x.example') ORDER BY id
-- in a subquery of tokens
SELECT id FROM people WHERE email IN (SELECT email FROM people WHERE id < 3) ORDER BY id
-- scalar subquery of ids
SELECT first_name FROM people WHERE id = (SELECT min(id) FROM people)
-- with
WITH w AS (SELECT id, first_name FROM people WHERE id < 3) SELECT first_name FROM w ORDER BY id
-- with, joined
WITH w AS (SELECT author_id, count(*) AS n FROM comments GROUP BY author_id) SELECT p.first_name, w.n FROM people p JOIN w ON w.author_id = p.id ORDER BY p.id
-- with column names
WITH w (a, b) AS (SELECT id, first_name FROM people WHERE id = 2) SELECT b, a FROM w
-- update by id
UPDATE people SET first_name = 'Nouveau' WHERE id = 100
-- update by id returning
UPDATE people SET last_name = 'Nom', age = 41, version = version + 1 WHERE id = 100 RETURNING id, last_name, age, version
-- update by e-mail
UPDATE people SET last_name = 'ParMail' WHERE email = 'ana@x.example'
-- update by e-mail parameters
UPDATE people SET last_name = $1 WHERE email = $2 RETURNING last_name
--$ text:Paramètre | text:bea@x.example
-- update parameters by id
UPDATE people SET first_name = $1, birth_date = $2, age = $3 WHERE id = $4
--$ text:Pi | date:1969-07-20 | int4:55 | int4:100
-- update many
UPDATE people SET nick = 'tous' WHERE id IN (1, 2, 3)
-- update many by another column
UPDATE people SET last_name = 'Ensemble' WHERE dept_id = 2
-- update nobody
UPDATE people SET last_name = 'x' WHERE email = 'unknown@x.example'
-- update to null
UPDATE people SET nick = NULL, age = NULL WHERE id = 100 RETURNING nick, age
-- update only unprotected
UPDATE people SET title = 'Vu', version = version + 1 WHERE email = 'bea@x.example' RETURNING title, version
-- update token
UPDATE people SET email = 'ana.nouvelle@x.example' WHERE email = 'ana@x.example' RETURNING email
-- update token to one in use ! detail
UPDATE people SET email = 'bea@x.example' WHERE id = 1
-- update token back
UPDATE people SET email = 'ana@x.example' WHERE id = 1
-- update with alias
UPDATE people AS p SET first_name = 'Alias' WHERE p.id = 100 RETURNING p.first_name
-- update from
UPDATE people p SET title = d.name FROM depts d WHERE d.id = p.dept_id AND p.id = 2 RETURNING p.first_name, p.title
-- update column to itself
UPDATE people SET first_name = first_name WHERE id = 1
-- update case ! position
UPDATE comments SET likes = CASE WHEN id = 1 THEN 5 ELSE likes END WHERE author_id = 1
-- update comments by author
UPDATE comments SET body = 'édité' WHERE author_id = 2 AND likes = 9 RETURNING body, likes
-- update comments by id
UPDATE comments SET body = 'encore' WHERE id = 1 RETURNING id, body
-- update not null to null ! detail
UPDATE people SET email = NULL WHERE id = 1
-- too long for its type ! value
UPDATE people SET nick = 'une chaîne de plus de vingt lettres' WHERE id = 1
-- trailing spaces beyond its type
UPDATE people SET nick = 'vingt lettres tout à      ' WHERE id = 1
-- bad date ! value
UPDATE people SET birth_date = '2021-02-30' WHERE id = 1
-- bad integer ! value
UPDATE people SET age = 'douze' WHERE id = 1
-- integer out of range ! value
UPDATE people SET age = 3000000000 WHERE id = 1
-- numeric overflow ! value
UPDATE people SET salary = 123456789012.5 WHERE id = 1
-- numeric rounding
UPDATE people SET salary = 1.005 WHERE id = 1 RETURNING salary
-- bad uuid ! value
UPDATE people SET badge = 'not a uuid' WHERE id = 1
-- bad boolean ! value
UPDATE people SET active = 'peut-être' WHERE id = 1
-- boolean words
UPDATE people SET active = 'off' WHERE id = 1 RETURNING active
-- dates at the edges
UPDATE people SET birth_date = 'infinity', seen_at = '-infinity' WHERE id = 1 RETURNING birth_date, seen_at
-- date bc
UPDATE people SET birth_date = '0044-03-15 BC' WHERE id = 1 RETURNING birth_date
-- numeric nan
UPDATE people SET salary = 'NaN' WHERE id = 1 RETURNING salary
-- integers at the edges
UPDATE people SET age = -2147483648, points = 9223372036854775807 WHERE id = 1 RETURNING age, points
-- a negative number
UPDATE people SET salary = -0.10 WHERE id = 1 RETURNING salary
-- jsonb in its own order
UPDATE people SET profile = '{"bb": 1, "a": {"z": 1.10, "y": "é\n"}, "a": 2}' WHERE id = 1 RETURNING profile
-- bytea in escape form
UPDATE people SET photo = 'abc\\000\377' WHERE id = 1 RETURNING photo
-- an escaped letter in a comparison
SELECT first_name FROM people WHERE email = E'a\u0041'
-- escape string
UPDATE people SET first_name = E'tab\there\\ \'quoted\'' WHERE id = 1 RETURNING first_name
-- dollar quotes
UPDATE people SET first_name = $q$d'ollar$q$ WHERE id = 1 RETURNING first_name
-- unicode escapes
UPDATE people SET first_name = U&'\00e9t\00e9' WHERE id = 1 RETURNING first_name
-- emoji and combining letters
UPDATE people SET first_name = '👩‍👩‍👧 é' WHERE id = 1 RETURNING first_name
-- comments in the text
SELECT /* the 'name' */ first_name -- of
FROM people /* nested /* twice */ */ WHERE id = 100
-- quoted identifiers
SELECT "people"."first_name" FROM "public"."people" WHERE "people"."id" = 100
-- upper-case identifiers
SELECT FIRST_NAME FROM PEOPLE WHERE ID = 100
-- delete by e-mail
DELETE FROM people WHERE email = 'cent@x.example'
-- delete returning
DELETE FROM people WHERE id = 200 RETURNING first_name, email
-- delete by parameter
DELETE FROM people WHERE email = $1
--$ text:par2@x.example
-- delete nobody
DELETE FROM people WHERE email = 'unknown@x.example'
-- delete referenced ! detail
DELETE FROM people WHERE id = 1
-- delete using
DELETE FROM comments c USING people p WHERE p.id = c.author_id AND p.email = 'bea@x.example' RETURNING c.body
-- division by zero
SELECT 1/0
-- division by zero over rows
SELECT first_name, 1 / (id - 1) FROM people WHERE id = 1
-- unknown table
SELECT * FROM nowhere
-- unknown column ! position
SELECT nothing FROM people
-- unknown column in where ! position
SELECT first_name FROM people WHERE nothing = 1
-- unknown column of an alias ! position
SELECT p.nothing FROM people p
-- unknown function
SELECT no_such_function(1)
-- ambiguous column
SELECT id FROM people p JOIN comments c ON c.author_id = p.id
-- missing from clause ! position
SELECT q.id FROM people p
-- unknown column in insert ! position
INSERT INTO people (email, nothing) VALUES ('n@x.example', 'x')
-- more expressions than columns ! position
INSERT INTO people (email) VALUES ('n@x.example', 'x')
-- fewer expressions than columns
INSERT INTO people (email, first_name) VALUES ('n@x.example')
-- unknown column in update ! position
UPDATE people SET nothing = 1 WHERE id = 1
-- set a column twice
UPDATE people SET first_name = 'a', first_name = 'b' WHERE id = 1
-- syntax error away from protected tables
SELEC 1
-- empty query
;
-- wrong type in where
SELECT id FROM people WHERE id = 'abc'
-- permission denied
SELECT * FROM pg_authid
-- begin
BEGIN
-- in transaction: insert
INSERT INTO people (email, first_name) VALUES ('tx@x.example', 'Tx') RETURNING first_name
-- in transaction: select
SELECT first_name FROM people WHERE email = 'tx@x.example'
-- savepoint
SAVEPOINT one
-- in savepoint: update
UPDATE people SET first_name = 'Tx2' WHERE email = 'tx@x.example'
-- in savepoint: duplicate ! detail
INSERT INTO people (email) VALUES ('tx@x.example')
-- aborted: select
SELECT first_name FROM people
-- aborted: insert
INSERT INTO people (email, first_name) VALUES ('y@x.example', 'Y')
-- rollback to
ROLLBACK TO SAVEPOINT one
-- after rollback to: select
SELECT first_name FROM people WHERE email = 'tx@x.example'
-- release
RELEASE SAVEPOINT one
-- release twice
RELEASE SAVEPOINT one
-- aborted: commit
COMMIT
-- after: nothing is left
SELECT id FROM people WHERE email = 'tx@x.example'
-- begin read only
BEGIN READ ONLY
-- read only: update
UPDATE people SET first_name = 'x' WHERE id = 1
-- read only: rollback
ROLLBACK
-- begin and commit
BEGIN ISOLATION LEVEL REPEATABLE READ
-- serialised: update by e-mail
UPDATE people SET last_name = 'RR' WHERE email = 'bea@x.example' RETURNING last_name
-- serialised: commit
COMMIT
-- commit outside
COMMIT
-- begin twice ! simple
BEGIN; BEGIN; COMMIT
-- many statements ! simple
SELECT 1; INSERT INTO people (email, first_name) VALUES ('m1@x.example', 'M1'); SELECT first_name FROM people WHERE email = 'm1@x.example'
-- many statements, the last fails ! simple
UPDATE people SET first_name = 'lost' WHERE email = 'm1@x.example'; SELECT 1/0
-- many statements: the first was taken back
SELECT first_name FROM people WHERE email = 'm1@x.example'
-- many statements with a transaction ! simple
BEGIN; INSERT INTO people (email, first_name) VALUES ('m2@x.example', 'M2'); COMMIT; SELECT first_name FROM people WHERE email = 'm2@x.example'
-- many statements, syntax error in one away from protected tables ! simple
SELECT 1; SELEC 2
-- many by extended
SELECT 1; SELECT 2
-- set and show
SET application_name = 'corpus'
-- show
SHOW application_name
-- set datestyle
SET DateStyle = 'SQL, DMY'
-- dates in that style
SELECT birth_date, seen_at, birth_date::text FROM people WHERE id = 2
-- set time zone
SET TIME ZONE 'Europe/Paris'
-- timestamps in that zone
SELECT seen_at, seen_at::text FROM people WHERE id = 2
-- a timestamp without zone reads in that one
UPDATE people SET seen_at = '2020-01-02T03:04:05.678'::timestamp WHERE id = 2 RETURNING seen_at
-- the same in summer
UPDATE people SET seen_at = '2020-07-02 03:04:05'::timestamp without time zone WHERE id = 2 RETURNING seen_at
-- in the hour that is left out
UPDATE people SET seen_at = CAST('2020-03-29 02:30:00' AS timestamp) WHERE id = 2 RETURNING seen_at
-- in the hour that comes twice
UPDATE people SET seen_at = TIMESTAMP '2020-10-25 02:30:00' WHERE id = 2 RETURNING seen_at
-- a date is its midnight
UPDATE people SET seen_at = '2020-07-02'::date WHERE id = 2 RETURNING seen_at
-- a timestamp is its date
UPDATE people SET birth_date = '2020-01-02T23:04:05'::timestamp WHERE id = 2 RETURNING birth_date
-- a timestamp with zone is its date in that zone
UPDATE people SET birth_date = '2020-01-02 23:30:00+00'::timestamptz WHERE id = 2 RETURNING birth_date
-- infinity without zone
UPDATE people SET seen_at = 'infinity'::timestamp WHERE id = 2 RETURNING seen_at
-- a timestamp by parameter
UPDATE people SET seen_at = $1::timestamp, birth_date = $2::timestamp WHERE id = 2 RETURNING seen_at, birth_date
--$ ?:2021-02-03 04:05:06 | ?:2021-02-03 04:05:06
-- a bad timestamp ! value
UPDATE people SET seen_at = '2020-02-30 00:00'::timestamp WHERE id = 2
-- rows with and without zone
INSERT INTO people (email, seen_at) VALUES ('z1@x.example', '2020-07-02 03:04:05'::timestamp), ('z2@x.example', '2020-07-02 03:04:05+00'::timestamptz), ('z3@x.example', '2020-07-02'::date) RETURNING seen_at
-- numbers of other types
UPDATE people SET salary = '12.345'::float8, age = '7'::int8, points = '2.5'::numeric WHERE id = 2 RETURNING salary, age, points
-- a number too large for its column ! value
UPDATE people SET age = '3000000000'::bigint WHERE id = 2
-- no number ! value
UPDATE people SET salary = 'NaN'::float8, age = 'douze'::int8 WHERE id = 2
-- a date in that style
UPDATE people SET birth_date = '03/04/2005' WHERE id = 2 RETURNING birth_date
-- reset datestyle
RESET DateStyle
-- reset time zone
RESET TIME ZONE
-- the same date in iso
SELECT birth_date FROM people WHERE id = 2
-- update from another table ! unordered
UPDATE people p SET last_name = 'Depuis', title = d.name FROM depts d WHERE d.id = p.dept_id AND d.name = 'Ventes' RETURNING p.id, p.last_name, d.name
-- update from a join and a subquery
UPDATE people SET nick = 'joint' FROM depts d JOIN (SELECT author_id, count(*) AS n FROM comments GROUP BY author_id) c ON c.n > 0 WHERE people.id = c.author_id AND d.id = 1
-- update from with and parameters ! unordered
WITH w AS (SELECT id FROM depts WHERE name = $1) UPDATE people SET first_name = $2 FROM w WHERE w.id = people.dept_id AND email <> $3 RETURNING first_name
--$ text:Ventes | text:Avec | text:nobody@x.example
-- update from by token ! unordered
UPDATE comments SET body = 'par adresse' FROM people p WHERE p.id = comments.author_id AND p.email = 'bea@x.example' RETURNING comments.body, p.email
-- update from without a condition
UPDATE people SET last_name = 'Tous' FROM depts
-- update from nothing
UPDATE people SET last_name = 'Rien' FROM depts d WHERE d.id = people.dept_id AND d.name = 'absent' RETURNING last_name
-- update where the value is null
UPDATE people SET first_name = COALESCE($1, first_name), age = COALESCE($2, age), title = COALESCE($3, title) WHERE id = 2 RETURNING first_name, age, title
--$ text:NULL | int4:44 | text:NULL
-- update where the value is null, of several ! unordered
UPDATE people SET nick = COALESCE(NULL, nick), last_name = COALESCE('Choisie', last_name) WHERE id IN (1, 2) RETURNING id, nick, last_name
-- delete using ! unordered
DELETE FROM comments USING people p WHERE p.id = comments.author_id AND p.email = 'bea@x.example' RETURNING comments.body, p.first_name
-- delete using a subquery ! unordered
DELETE FROM comments c USING (SELECT id, first_name FROM people WHERE id < 2) s WHERE s.id = c.author_id RETURNING c.body, s.first_name
-- rows picked in windows
SELECT id, first_value(first_name) OVER (ORDER BY id), lag(last_name) OVER (ORDER BY id), lead(birth_date, 2) OVER (ORDER BY id) AS l, nth_value(salary, 2) OVER (ORDER BY id), last_value(email) OVER (PARTITION BY dept_id ORDER BY id) FROM people WHERE id < 6 ORDER BY id
-- rows picked in named windows
SELECT lag(nick, 1, NULL) OVER w, lead(age, 1, age) OVER w, first_value(active) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), row_number() OVER w FROM people WHERE id < 6 WINDOW w AS (PARTITION BY title IS NULL ORDER BY id) ORDER BY id
-- distinct on
SELECT DISTINCT ON (dept_id) dept_id, first_name, birth_date FROM people WHERE dept_id IS NOT NULL ORDER BY dept_id, id
-- distinct on, of a subject
SELECT DISTINCT ON (c.author_id) c.author_id, c.body, p.last_name FROM comments c JOIN people p ON p.id = c.author_id ORDER BY c.author_id, c.id DESC
-- lateral
SELECT p.id, l.body, l.first_name FROM people p CROSS JOIN LATERAL (SELECT c.body, p.first_name FROM comments c WHERE c.author_id = p.id ORDER BY c.id LIMIT 1) l ORDER BY p.id
-- left join lateral
SELECT p.first_name, l.body FROM people p LEFT JOIN LATERAL (SELECT body FROM comments WHERE author_id = p.id ORDER BY id DESC LIMIT 1) AS l ON true WHERE p.id < 5 ORDER BY p.id
-- casts around columns
SELECT birth_date::text, age::text, salary::text, first_name::varchar, last_name::text, CAST(seen_at AS text), active::text, badge::text, profile::text, email::varchar FROM people WHERE id = 2
-- casts of casts
SELECT CAST(first_name AS character varying) AS x, (last_name)::varchar(150), age::integer::text, birth_date::date, salary::numeric(10,2), nick::varchar(20)::text FROM people WHERE id = 2
-- casts around parameters
SELECT id, $1::date AS d, CAST($2 AS numeric(4,1)) FROM people WHERE email = CAST($3 AS varchar) AND id = $4::text::integer
--$ ?:2031-07-23 | ?:1.25 | ?:bea@x.example | ?:2
-- rows compared
SELECT id FROM people WHERE (email, id) = ('bea@x.example', 2) OR ROW(id, email) IN (ROW(1, 'ana@x.example'), ROW(3, 'bea@x.example')) ORDER BY id
-- parentheses
SELECT ((first_name)), (p).last_name, (((p.id))) FROM people p WHERE (((id = 2)))
-- unicode names
SELECT U&"first\005fname", p.U&"last!005fname" UESCAPE '!' AS "É" FROM U&"p\0065ople" AS p WHERE U&"id" = 2
-- a schema before the table
SELECT public.people.first_name, people.last_name FROM public.people WHERE public.people.id = 2
-- quoted names
SELECT "people"."first_name" FROM "public"."people" WHERE "people"."email" = 'bea@x.example'
-- names in capitals
SELECT FIRST_NAME, Public.PEOPLE.Last_Name FROM PUBLIC.People WHERE EMAIL = 'bea@x.example'
-- a name in quoted capitals
SELECT 1 FROM "People"
-- the table alone ! unordered
SELECT count(*) FROM (TABLE people) t
-- nullif of a choice
SELECT NULLIF(COALESCE(birth_date, NULL), NULL), COALESCE(NULLIF(age, NULL), age) FROM people WHERE id = 2
-- choice of a scalar subquery
SELECT CASE WHEN id = 2 THEN (SELECT b.first_name FROM people b WHERE b.id = 2) END FROM people WHERE id < 3 ORDER BY id
-- current user and settings
SELECT current_setting('server_version_num')::int > 1, current_schema() FROM people WHERE id = 2
-- explain needs nothing protected
EXPLAIN (COSTS OFF) SELECT 1
-- vacuum in a transaction ! simple
BEGIN; VACUUM; COMMIT
-- and its end
ROLLBACK
-- listen
LISTEN somewhere
-- unlisten
UNLISTEN *
-- temporary table
CREATE TEMPORARY TABLE scratch (id integer, t text)
-- temporary insert
INSERT INTO scratch SELECT n, 'x' || n FROM generate_series(1, 3) n
-- temporary select
SELECT * FROM scratch ORDER BY id
-- joined with protected
SELECT s.t, p.first_name FROM scratch s JOIN people p ON p.id = s.id ORDER BY s.id
-- drop
DROP TABLE scratch
-- truncate
TRUNCATE comments
-- the end
SELECT count(*) FROM people
