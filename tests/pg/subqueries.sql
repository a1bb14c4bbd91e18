-- people
INSERT INTO people (id, email, first_name, last_name, nick, birth_date, age, dept_id, title) VALUES (1, 'ana@x.example', 'Ana', 'Arc', 'a', '1987-03-29', 37, 1, 'Cheffe'), (2, 'bea@x.example', 'Béa', 'Bec', NULL, NULL, NULL, 2, 'it''s'), (3, 'cyd@x.example', NULL, NULL, '', '2000-02-29', 5, NULL, NULL)
-- comments
INSERT INTO comments (author_id, body, likes) VALUES (1, 'Un', 1), (1, 'Deux', 2), (2, 'Trois', 3)
-- a comment of nobody
INSERT INTO comments (author_id, likes) VALUES (NULL, 4)
-- a column
SELECT x.last_name FROM (SELECT last_name FROM people ORDER BY id) x
-- a column by another name, with a cast
SELECT v AS w, d::text FROM (SELECT last_name AS v, birth_date AS d FROM people ORDER BY id) x
-- a list of names
SELECT a, b FROM (SELECT first_name, title FROM people ORDER BY id) x(a, b)
-- a shorter list of names
SELECT * FROM (SELECT first_name, title, age FROM people ORDER BY id) x(a)
-- a longer list of names
SELECT * FROM (SELECT first_name FROM people) x(a, b)
-- a longer list of names of a query in WITH
WITH w AS (SELECT first_name FROM people) SELECT a FROM w x(a, b)
-- a longer list of names in WITH
WITH w(a, b) AS (SELECT first_name FROM people) SELECT a FROM w
-- all
SELECT * FROM (SELECT last_name, title, age FROM people ORDER BY id) x
-- all of one
SELECT x.*, d.name FROM (SELECT last_name, dept_id FROM people ORDER BY id) x JOIN depts d ON d.id = x.dept_id
-- all of two
SELECT * FROM (SELECT last_name FROM people WHERE id = 1) x, (SELECT body, likes FROM comments ORDER BY id) y
-- all beside a table
SELECT * FROM depts d, (SELECT email FROM people ORDER BY id) x WHERE d.id = 1
-- all of an alias, beside a table in its schema
SELECT * FROM (SELECT email FROM people WHERE id = 1) depts, public.people p WHERE p.id = 2
-- all of names made by Postgres
SELECT * FROM (SELECT age, upper(title), title::varchar(3), 'x'::text, CASE WHEN true THEN 2::int8 END, CASE dept_id WHEN 1 THEN 'a' ELSE version::text END, NULLIF(title, 'x'), COALESCE(title, ''), GREATEST(1, 2), LEAST(1, 2), ARRAY[1], ROW(1, 2), EXISTS (SELECT 1), (SELECT name FROM depts WHERE id = 1), current_date IS NULL, true, extract(year FROM date '2020-01-01'), now() IS NULL AS n FROM people ORDER BY id) x
-- all of casts of casts
SELECT * FROM (SELECT age, 'x'::varchar::text, (CASE WHEN true THEN 1 END)::int8, CASE WHEN false THEN 1 ELSE 2::numeric END, ARRAY(SELECT 1), (title || 'x') COLLATE "C" FROM people ORDER BY id) x
-- all of subqueries and subscripts
SELECT * FROM (SELECT age, (ARRAY[4])[1], (SELECT 1 AS one UNION ALL SELECT 2 LIMIT 1), (VALUES (1)), (SELECT max(likes) FROM comments), 1 IN (SELECT 1) FROM people ORDER BY id) x
-- all of values of the moment
SELECT * FROM (SELECT age, current_date, current_time(0), localtimestamp, current_timestamp, current_user, session_user, current_role, current_schema, current_catalog, user, date '2020-01-01', interval '1 day', xmlelement(name a), xmlforest(1 AS b), trim(title), substring(title FROM 1), position('a' IN title), overlay('abc' PLACING 'x' FROM 1), timestamp '2020-01-01' AT TIME ZONE 'UTC', title IS NOT NULL FROM people) x WHERE false
-- all of a name made by a subquery's star
SELECT * FROM (SELECT last_name, (SELECT * FROM (SELECT 1 AS one) o) FROM people ORDER BY id) x
-- all of names that occur twice
SELECT * FROM (SELECT last_name, title, title FROM people ORDER BY id) x
-- all of a nameless column
SELECT * FROM (SELECT last_name, 1 + 1 FROM people ORDER BY id) x
-- all of two nameless columns
SELECT * FROM (SELECT last_name, 1 + 1, 2 FROM people ORDER BY id) x
-- all of a star
SELECT * FROM (SELECT * FROM (SELECT first_name, age FROM people ORDER BY id) y) x
-- all of a star beside more
SELECT x.* FROM (SELECT y.*, 7 AS seven FROM (SELECT first_name, age FROM people ORDER BY id) y) x WHERE seven > 1
-- a subject among two of a name
SELECT x.last_name FROM (SELECT p.id, d.id, p.last_name FROM people p JOIN depts d ON d.id = p.dept_id ORDER BY 1) x
-- USING
SELECT * FROM depts JOIN (SELECT dept_id AS id, last_name FROM people) x USING (id) ORDER BY 1
-- USING, on the left
SELECT * FROM depts d LEFT JOIN (SELECT dept_id AS id, last_name FROM people) x USING (id) ORDER BY id
-- USING, on the right
SELECT x.*, d.* FROM depts d RIGHT JOIN (SELECT dept_id AS id, last_name FROM people) x USING (id) ORDER BY id
-- USING, in full
SELECT * FROM depts d FULL JOIN (SELECT dept_id AS id, last_name FROM people) x USING (id) ORDER BY id
-- NATURAL
SELECT * FROM (SELECT dept_id AS id, last_name FROM people) x NATURAL JOIN depts ORDER BY id
-- NATURAL of a query twice
WITH w AS (SELECT last_name, title FROM people WHERE id = 1) SELECT a.last_name FROM (SELECT title FROM w) x NATURAL JOIN (SELECT title, last_name FROM w) a
-- a join by a name
SELECT j.* FROM (depts d JOIN (SELECT dept_id, last_name FROM people) x ON x.dept_id = d.id) j ORDER BY 1
-- LATERAL
SELECT p.id, l.body FROM people p, LATERAL (SELECT body FROM comments c WHERE c.author_id = p.id ORDER BY c.id LIMIT 1) l ORDER BY p.id
-- LATERAL, on the left
SELECT p.id, l.* FROM people p LEFT JOIN LATERAL (SELECT body, likes FROM comments c WHERE c.author_id = p.id ORDER BY c.id LIMIT 1) l ON true ORDER BY p.id
-- LATERAL of an outer value
SELECT l.v FROM people p, LATERAL (SELECT p.last_name AS v) l ORDER BY p.id
-- LATERAL of an outer value under a name that is taken
SELECT l.last_name FROM people t, LATERAL (SELECT last_name FROM depts t WHERE t.id = 1) l ORDER BY t.id
-- LATERAL of an outer query
SELECT l.* FROM (SELECT last_name AS v FROM people ORDER BY id) t, LATERAL (SELECT t.v, t.* FROM depts WHERE id = 1) l
-- ORDER BY number
SELECT * FROM (SELECT last_name, id AS n FROM people) x ORDER BY 2 DESC
-- ORDER BY number within
SELECT * FROM (SELECT last_name, title FROM people ORDER BY 2 LIMIT 2) x
-- ORDER BY name
SELECT x.last_name AS id FROM (SELECT last_name, title FROM people) x ORDER BY title
-- LIMIT and OFFSET
SELECT last_name FROM (SELECT last_name FROM people ORDER BY id LIMIT 1 OFFSET 1) x
-- DISTINCT ON
SELECT v FROM (SELECT DISTINCT ON (author_id) body AS v FROM comments ORDER BY author_id, id DESC) x
-- a window
SELECT * FROM (SELECT last_name, row_number() OVER (ORDER BY id DESC) AS n FROM people) x WHERE n = 1
-- groups
SELECT x.last_name, n FROM (SELECT last_name, count(*) AS n FROM people GROUP BY id, last_name ORDER BY id) x
-- an aggregate over it
SELECT count(*), count(last_name) FROM (SELECT last_name FROM people) x
-- groups over it
SELECT title, count(last_name) FROM (SELECT last_name, title FROM people) x GROUP BY title ORDER BY 1
-- UNION ALL over it
SELECT last_name FROM (SELECT last_name FROM people WHERE id = 1) x UNION ALL SELECT v FROM (SELECT last_name AS v FROM people WHERE id = 2) y
-- UNION ALL within
SELECT v FROM (SELECT last_name AS v FROM people WHERE id = 1 UNION ALL SELECT last_name FROM people WHERE id = 2) x
-- stars of UNION ALL
WITH w AS (SELECT last_name FROM people ORDER BY id) SELECT w.last_name FROM w WHERE EXISTS (SELECT * FROM w UNION ALL SELECT * FROM w)
-- TABLE
WITH w AS (SELECT last_name FROM people ORDER BY id) SELECT last_name FROM w WHERE EXISTS (TABLE w)
-- TABLE of it
WITH w AS (SELECT last_name, age FROM people ORDER BY id) TABLE w
-- a subquery of TABLE
SELECT last_name FROM (TABLE people ORDER BY id) x
-- COALESCE and CASE
SELECT COALESCE(x.a, x.a), CASE WHEN n = 1 THEN a END FROM (SELECT last_name AS a, id AS n FROM people ORDER BY id) x
-- COALESCE of two rows
SELECT COALESCE(x.a, x.b) FROM (SELECT p.last_name AS a, q.last_name AS b FROM people p, people q WHERE p.id = 3 AND q.id = 1) x
-- a whole row of nothing protected
SELECT x FROM (SELECT title, dept_id FROM people ORDER BY id) x
-- WITH
WITH w AS (SELECT email, birth_date FROM people ORDER BY id) SELECT birth_date, email FROM w
-- WITH, with names
WITH w(a, b) AS (SELECT email, birth_date FROM people ORDER BY id) SELECT * FROM w
-- WITH, with fewer names
WITH w(a) AS (SELECT email, birth_date FROM people ORDER BY id) SELECT * FROM w v(x)
-- WITH, twice
WITH w AS (SELECT last_name, title FROM people) SELECT a.last_name, b.* FROM w a JOIN w b ON a.title = b.title ORDER BY a.title
-- WITH, materialized
WITH w AS MATERIALIZED (SELECT last_name FROM people WHERE id = 1), z AS NOT MATERIALIZED (SELECT * FROM w) SELECT * FROM z
-- WITH, on top of another
WITH w AS (SELECT last_name AS v FROM people ORDER BY id), z AS (SELECT v, 1 AS one FROM w) SELECT z.v FROM z
-- WITH, within
SELECT x.v FROM (WITH w AS (SELECT last_name AS v FROM people ORDER BY id) SELECT v FROM w) x
-- WITH, hidden by another
WITH w AS (SELECT last_name FROM people ORDER BY id) SELECT x.last_name, y.* FROM w x, (WITH w AS (SELECT 1 AS n) SELECT * FROM w) y
-- WITH RECURSIVE ! unordered
WITH RECURSIVE w AS (SELECT last_name FROM people ORDER BY id), n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2) SELECT * FROM w, n ORDER BY i
-- a scalar subquery of it
SELECT (SELECT x.last_name FROM (SELECT last_name FROM people WHERE id = 1) x)
-- IN of it
SELECT id FROM people WHERE email IN (SELECT v FROM (SELECT email AS v FROM people WHERE id < 3) x) ORDER BY id
-- a condition beneath it
SELECT x.first_name FROM (SELECT first_name FROM people WHERE last_name LIKE 'A%') x
-- an order beneath it
SELECT x.first_name FROM (SELECT first_name FROM people ORDER BY last_name DESC NULLS LAST) x
-- distinct values beneath it ! unordered
SELECT * FROM (SELECT DISTINCT last_name FROM people WHERE id < 3) x
-- FOR UPDATE
SELECT x.last_name FROM (SELECT last_name FROM people WHERE id = 1 FOR UPDATE) x
-- parameters
SELECT x.last_name, $2 AS p FROM (SELECT last_name FROM people WHERE id = $1) x WHERE $2 > 0
--$ int4:1 | int4:5
-- UPDATE … FROM, returning ! unordered
UPDATE depts d SET name = d.name FROM (SELECT dept_id, last_name FROM people) x WHERE x.dept_id = d.id RETURNING x.last_name, d.id
-- UPDATE … FROM, returning all
UPDATE depts d SET name = d.name FROM (SELECT dept_id, last_name FROM people) x WHERE x.dept_id = d.id AND d.id = 1 RETURNING *
-- UPDATE of protected values … FROM, returning ! unordered
UPDATE people p SET nick = 'new' FROM (SELECT id AS n, last_name AS v FROM people) x WHERE x.n = p.id AND p.title IS NOT NULL RETURNING x.v, p.nick
-- DELETE … USING, returning
DELETE FROM comments c USING (SELECT id AS n, last_name FROM people) x WHERE x.n = c.author_id AND c.likes = 2 RETURNING x.last_name, c.body
-- WITH of an UPDATE ! unordered
WITH w AS (SELECT last_name, dept_id FROM people) UPDATE depts SET name = name FROM w WHERE w.dept_id = depts.id RETURNING last_name
-- an UPDATE in WITH
WITH u AS (UPDATE depts SET name = name FROM (SELECT last_name FROM people WHERE id = 1) x WHERE depts.id = 1 RETURNING x.last_name AS v) SELECT v FROM u
-- INSERT … SELECT
INSERT INTO depts SELECT id + 60, title FROM (SELECT * FROM (SELECT id, title, last_name FROM people WHERE id = 1) y) x RETURNING *
-- an error after it
SELECT x.last_name, 1 / (n - 1) FROM (SELECT last_name, id AS n FROM people ORDER BY id) x
-- an unknown column after it
SELECT x.last_name, nonsense FROM (SELECT last_name FROM people) x
-- an unknown function after it
SELECT x.last_name FROM (SELECT last_name FROM people) x WHERE nonsense(1)
