-- people to look for
INSERT INTO people (id, email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, title, dept_id) VALUES (1, 'ana@x.example', 'Ana', 'Arc', 'aa', '1987-03-29', '2024-07-01 12:00:00+02', 37, 10, 100.50, true, '6fa459ea-ee8a-4ca4-894e-db77e160355e', 'Cheffe', 1), (2, 'Bea@X.example', 'Béatrice', 'Dubois', 'bb', '2000-02-29', '2023-01-01 00:00:00Z', 24, 9007199254740993, 2000, false, '00000000-0000-0000-0000-000000000001', 'Dr', 1), (3, 'chloe@y.example', 'chloé', 'dupont', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 2), (4, 'dan@y.example', 'Dan', 'Dupont', '', '1999-12-31', '2024-07-01 10:00:00Z', 37, -5, 100.5, true, NULL, 'Dr', 2), (5, 'eve@z.example', NULL, NULL, '100%_', '1970-01-01', 'infinity', -1, 0, 0.01, NULL, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'Eve', NULL), (6, 'flo@z.example', 'Éloïse', 'ÉTÉ', 'a\b', '2024-01-01', '-infinity', 24, 11, -3, false, NULL, 'x', 3)
-- comments to look for
INSERT INTO comments (id, author_id, body, likes) VALUES (1, 1, 'Bonjour à tous', 3), (2, 1, 'Au revoir', 0), (3, 2, NULL, 5), (4, 4, 'bonjour Dan', 2), (5, NULL, NULL, 9)
-- equal
SELECT id FROM people WHERE last_name = 'Dupont' ORDER BY id
-- equal, the constant first
SELECT id FROM people WHERE 'Dupont' = last_name
-- not equal ! unordered
SELECT id FROM people WHERE last_name <> 'Dupont'
-- equal to nothing
SELECT id FROM people WHERE last_name = NULL
-- in ! unordered
SELECT id FROM people WHERE last_name IN ('Dupont', 'Arc', NULL)
-- not in ! unordered
SELECT id FROM people WHERE last_name NOT IN ('Dupont', 'Arc')
-- not in with null ! unordered
SELECT id FROM people WHERE last_name NOT IN ('Dupont', NULL)
-- like ! unordered
SELECT id, last_name FROM people WHERE last_name LIKE 'Du%'
-- like one character ! unordered
SELECT id FROM people WHERE first_name LIKE '_an'
-- like with a backslash ! unordered
SELECT id FROM people WHERE nick LIKE 'a\\b' OR nick LIKE '100\%\_'
-- like with an escape ! unordered
SELECT id FROM people WHERE nick LIKE '100!%!_' ESCAPE '!'
-- like that ends in an escape ! value
SELECT id FROM people WHERE nick LIKE 'a\'
-- not like ! unordered
SELECT id FROM people WHERE last_name NOT LIKE 'D%'
-- ilike ! unordered
SELECT id FROM people WHERE last_name ILIKE 'DU%'
-- ilike with accents ! unordered
SELECT id FROM people WHERE first_name ILIKE 'é%' OR last_name ILIKE '%été%'
-- as Django searches ! unordered
SELECT "people"."id", "people"."email", "people"."last_name" FROM "people" WHERE (UPPER("people"."first_name"::text) LIKE UPPER('%an%') OR UPPER("people"."last_name"::text) LIKE UPPER('%an%') OR UPPER("people"."email"::text) LIKE UPPER('%an%'))
-- as Django counts what it found
SELECT COUNT(*) AS "__count" FROM "people" WHERE (UPPER("people"."first_name"::text) LIKE UPPER('%e%') OR UPPER("people"."email"::text) LIKE UPPER('%y.exam%'))
-- as Django pages
SELECT "people"."id", "people"."last_name" FROM "people" WHERE UPPER("people"."last_name"::text) LIKE UPPER('%U%') ORDER BY "people"."last_name" ASC, "people"."id" DESC LIMIT 2 OFFSET 1
-- two words ! unordered
SELECT id FROM people WHERE (UPPER(first_name) LIKE '%A%' OR UPPER(last_name) LIKE '%A%') AND (UPPER(first_name) LIKE '%N%' OR UPPER(email) LIKE '%N%')
-- regular expression ! unordered
SELECT id FROM people WHERE last_name ~ '^D.*t$'
-- regular expression in any case ! unordered
SELECT id FROM people WHERE last_name ~* '^d[uo]+pont$' AND last_name !~ 'x'
-- less
SELECT id FROM people WHERE last_name < 'Dz' ORDER BY id
-- between ! unordered
SELECT id FROM people WHERE birth_date BETWEEN '1987-01-01' AND '2000-02-29'
-- between the other way round
SELECT id FROM people WHERE birth_date BETWEEN '2000-02-29' AND '1987-01-01'
-- between symmetric ! unordered
SELECT id FROM people WHERE age BETWEEN SYMMETRIC 40 AND 30
-- not between ! unordered
SELECT id FROM people WHERE age NOT BETWEEN 30 AND 40
-- a date
SELECT id FROM people WHERE birth_date = '2000-02-29'::date
-- a date after
SELECT id FROM people WHERE birth_date >= DATE '1999-12-31' ORDER BY id
-- a time ! unordered
SELECT id FROM people WHERE seen_at = '2024-07-01 12:00:00+02'
-- a time before ! unordered
SELECT id FROM people WHERE seen_at < '2024-01-01 00:00:00Z'
-- an integer ! unordered
SELECT id FROM people WHERE age > 30
-- an integer and a fraction ! unordered
SELECT id FROM people WHERE age > 23.5
-- a bigint
SELECT id FROM people WHERE points = 9007199254740993
-- a numeric ! unordered
SELECT id FROM people WHERE salary = 100.5
-- a numeric and an integer ! unordered
SELECT id FROM people WHERE salary <= 0
-- a boolean by itself ! unordered
SELECT id FROM people WHERE active
-- not a boolean ! unordered
SELECT id FROM people WHERE NOT active
-- a boolean is not true ! unordered
SELECT id FROM people WHERE active IS NOT TRUE
-- a boolean equals ! unordered
SELECT id FROM people WHERE active = false
-- a uuid
SELECT id FROM people WHERE badge = '6FA459EA-EE8A-4CA4-894E-DB77E160355E'
-- a uuid in order ! unordered
SELECT id FROM people WHERE badge > '00000000-0000-0000-0000-000000000001'
-- is distinct ! unordered
SELECT id FROM people WHERE last_name IS DISTINCT FROM 'Dupont'
-- is not distinct from null ! unordered
SELECT id FROM people WHERE nick IS NOT DISTINCT FROM NULL
-- not ! unordered
SELECT id FROM people WHERE NOT (last_name = 'Dupont')
-- not of an or ! unordered
SELECT id FROM people WHERE NOT (last_name = 'Dupont' OR first_name = 'Ana')
-- with another column ! unordered
SELECT id FROM people WHERE last_name LIKE 'D%' AND dept_id = 2
-- or another column ! unordered
SELECT id FROM people WHERE last_name = 'Arc' OR title = 'Dr'
-- or another column that is null ! unordered
SELECT id FROM people WHERE NOT (last_name = 'Arc' OR title = 'Dr')
-- its three values
SELECT id, last_name = 'Dupont', last_name IS DISTINCT FROM 'Dupont', active FROM people ORDER BY id
-- counted in a filter
SELECT count(*) FILTER (WHERE last_name LIKE 'D%'), count(*) FROM people
-- in a case
SELECT id, CASE WHEN first_name = 'Ana' THEN 'she' WHEN last_name IS NULL THEN 'none' ELSE 'other' END AS who FROM people ORDER BY id
-- two columns of the table ! unordered
SELECT id FROM people WHERE upper(last_name) = last_name
-- beside a column in clear ! unordered
SELECT id FROM people WHERE first_name = title OR last_name > title
-- put together ! unordered
SELECT id FROM people WHERE first_name || ' ' || last_name ILIKE '%dan dup%'
-- coalesce ! unordered
SELECT id FROM people WHERE coalesce(nick, 'none') IN ('none', '')
-- length ! unordered
SELECT id FROM people WHERE length(last_name) = 3
-- an identifier like ! unordered
SELECT id, email FROM people WHERE email LIKE '%@y.example'
-- an identifier in order ! unordered
SELECT id FROM people WHERE email < 'c'
-- an identifier by both
SELECT id FROM people WHERE email = 'dan@y.example' AND last_name LIKE 'D%'
-- an identifier by either ! unordered
SELECT id FROM people WHERE email = 'ana@x.example' OR email ILIKE '%Z.EXAMPLE'
-- order by
SELECT id, last_name FROM people ORDER BY last_name, id
-- order by descending
SELECT id FROM people ORDER BY last_name DESC, id
-- order by nulls first
SELECT id FROM people ORDER BY last_name NULLS FIRST, id DESC
-- order by two
SELECT id FROM people ORDER BY age DESC NULLS LAST, first_name
-- order by a number
SELECT id, salary FROM people ORDER BY 2, 1
-- order by an alias
SELECT birth_date AS born, id FROM people ORDER BY born DESC, id
-- order by an expression
SELECT id FROM people ORDER BY lower(last_name), id
-- order by a time
SELECT id FROM people ORDER BY seen_at, id
-- order by a uuid
SELECT id FROM people ORDER BY badge, id
-- order by an identifier
SELECT email FROM people ORDER BY email
-- order by an identifier, in pages
SELECT id, email FROM people ORDER BY lower(email) DESC LIMIT 2 OFFSET 2
-- order by and another column
SELECT id FROM people WHERE dept_id IS NOT NULL ORDER BY dept_id, last_name DESC
-- a window
SELECT id, row_number() OVER (ORDER BY last_name, id), rank() OVER (ORDER BY age) FROM people ORDER BY id
-- a window of equal ones
SELECT id, count(*) OVER (PARTITION BY age) FROM people ORDER BY id
-- distinct on
SELECT DISTINCT ON (age) age, id FROM people ORDER BY age, id DESC
-- distinct ! unordered
SELECT DISTINCT age, dept_id FROM people
-- distinct in order
SELECT DISTINCT age, dept_id FROM people ORDER BY age DESC, dept_id
-- distinct beside a key, in order
SELECT DISTINCT p.id, p.last_name FROM people p LEFT JOIN comments c ON c.author_id = p.id ORDER BY p.last_name, p.id
-- grouped ! unordered
SELECT age, count(*) FROM people GROUP BY age
-- grouped in order
SELECT count(*) AS n, age FROM people GROUP BY age ORDER BY age NULLS FIRST
-- grouped by two
SELECT dept_id, age, count(last_name) FROM people GROUP BY dept_id, age HAVING count(*) > 1 ORDER BY dept_id
-- grouped by a key, in order
SELECT p.last_name, count(c.id) FROM people p LEFT JOIN comments c ON c.author_id = p.id GROUP BY p.id, p.last_name ORDER BY p.last_name, p.id
-- the least and the greatest
SELECT min(last_name), max(last_name), min(birth_date) AS born, max(salary), min(seen_at), max(age), max(points) FROM people
-- of each group
SELECT dept_id, max(birth_date), min(first_name) FROM people WHERE last_name <> 'Arc' GROUP BY dept_id ORDER BY dept_id
-- of none
SELECT min(age), max(last_name) FROM people WHERE id > 100
-- in brackets
SELECT id, (last_name = 'Dupont'), ((first_name LIKE 'A%')), (lower(last_name) = 'arc') FROM people ORDER BY id
-- the last in brackets
SELECT id, (age > 30) FROM people ORDER BY id
-- brackets, and a column that is hidden after them
SELECT last_name, (age > 30) FROM people ORDER BY id
-- brackets around a part
SELECT NOT (last_name = 'Arc'), (last_name = 'Arc') IS NULL, (last_name = 'Arc') AND (age > 30), (CASE WHEN (age > 30) THEN 1 END) FROM people ORDER BY id
-- the least and the greatest in brackets
SELECT (max(last_name)), ((min(birth_date))), (max(age)) AS oldest FROM people
-- the greatest in brackets in a subquery
SELECT d.id, (SELECT (max(last_name)) FROM people p WHERE p.dept_id = d.id) FROM depts d ORDER BY d.id
-- a cast around the greatest
SELECT max(birth_date)::date, (min(age))::text, CAST(max(last_name) AS text) FROM people
-- a cast around a test
SELECT (last_name = 'Dupont')::text, (age > 30)::integer FROM people ORDER BY id
-- a group in brackets
SELECT (last_name), count(*) FROM people GROUP BY (last_name) ORDER BY (last_name)
-- columns in brackets
SELECT (last_name), ((birth_date)), (coalesce(first_name, NULL)), (email) FROM people ORDER BY ((last_name)), (id)
-- conditions in brackets
SELECT id FROM people WHERE (((last_name = 'Arc'))) OR ((age) > (30)) ORDER BY id
-- counted in brackets
SELECT (count((last_name))), (count(DISTINCT (age))) FROM people
-- count distinct
SELECT count(DISTINCT age), count(DISTINCT last_name) FROM people
-- a join
SELECT c.id, p.last_name FROM comments c JOIN people p ON p.id = c.author_id WHERE p.last_name LIKE '%u%' ORDER BY c.id
-- a join, with conditions on both
SELECT c.id FROM comments c JOIN people p ON p.id = c.author_id WHERE p.first_name = 'Ana' AND c.body ILIKE 'bonjour%'
-- a join in order
SELECT c.id, p.last_name FROM comments c JOIN people p ON p.id = c.author_id ORDER BY p.last_name DESC, c.id
-- an outer join ! unordered
SELECT p.id, c.id FROM people p LEFT JOIN comments c ON c.author_id = p.id AND c.body ILIKE '%bonjour%'
-- an outer join, and a condition after it ! unordered
SELECT p.id, c.id FROM people p LEFT JOIN comments c ON c.author_id = p.id WHERE c.body IS DISTINCT FROM 'Au revoir'
-- an outer join, and its values
SELECT p.id, c.id, c.body = 'Au revoir', c.body IS NOT DISTINCT FROM NULL FROM people p LEFT JOIN comments c ON c.author_id = p.id ORDER BY p.id, c.id
-- an outer join, narrowed on its nullable side ! unordered
SELECT p.id, c.id FROM people p LEFT JOIN comments c ON c.author_id = p.id AND c.body LIKE 'B%' WHERE c.likes IS NULL
-- a table twice ! unordered
SELECT a.id, b.id FROM people a JOIN people b ON a.dept_id = b.dept_id WHERE a.last_name = 'Arc' AND b.first_name <> 'Ana'
-- a subquery
SELECT id FROM comments WHERE author_id IN (SELECT id FROM people WHERE last_name ILIKE 'dupont') ORDER BY id
-- a correlated subquery
SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM comments c WHERE c.author_id = p.id AND c.body LIKE '%Dan%')
-- a condition on the outer table within a subquery ! unordered
SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM depts d WHERE d.id = p.dept_id AND p.last_name LIKE 'D%')
-- a common table expression
WITH found AS (SELECT id, last_name FROM people WHERE last_name LIKE 'D%' ORDER BY last_name LIMIT 2) SELECT * FROM found ORDER BY id
-- a subquery in FROM
SELECT x.id, x.last_name FROM (SELECT id, last_name FROM people WHERE age > 30) x ORDER BY x.id
-- union of what was found
SELECT id FROM people WHERE last_name = 'Arc' UNION SELECT id FROM people WHERE first_name = 'Dan' ORDER BY 1
-- parameters ! unordered
SELECT id FROM people WHERE last_name LIKE $1 AND age > $2
--$ text:D% | int4:30
-- parameters without types ! unordered
SELECT id FROM people WHERE last_name ILIKE $1 OR birth_date < $2 OR age = $3
--$ ?:arc | ?:1975-01-01 | ?:24
-- a null parameter
SELECT id FROM people WHERE last_name = $1
--$ text:NULL
-- one parameter twice ! unordered
SELECT id FROM people WHERE first_name LIKE $1 OR last_name LIKE $1
--$ text:%n%
-- a parameter and one in clear ! unordered
SELECT id, $2::int4 AS two FROM people WHERE last_name < $1 AND dept_id = $2
--$ text:E | int4:1
-- an array ! unordered
SELECT id FROM people WHERE last_name = ANY($1)
--$ text[]:{Arc,Dupont,NULL}
-- an array of others ! unordered
SELECT id FROM people WHERE age <> ALL($1)
--$ int4[]:{24,37}
-- an array of patterns ! unordered
SELECT id FROM people WHERE last_name LIKE ANY(ARRAY['A%', '%t'])
-- a parameter with a cast ! unordered
SELECT id FROM people WHERE birth_date > $1::date AND last_name = $2::text
--$ ?:1990-01-01 | ?:Dupont
-- a limit as a parameter
SELECT id FROM people ORDER BY last_name, id LIMIT $1 OFFSET $2
--$ int8:3 | int8:1
-- a pattern that is none ! value
SELECT id FROM people WHERE last_name ~ '('
-- an update by a condition
UPDATE people SET title = 'Found' WHERE last_name LIKE 'Du%'
-- an update of protected columns by a condition
UPDATE people SET nick = 'du' WHERE last_name LIKE 'Du%' AND age > 20
-- and what it wrote
SELECT id, nick, title FROM people ORDER BY id
-- an update with what it returns
UPDATE people SET nick = 'ana' WHERE first_name = 'Ana' RETURNING id, first_name, nick
-- an update by a parameter
UPDATE people SET last_name = $1 WHERE last_name = $2 AND active
--$ text:Durand | text:Dupont
-- an update by a join
UPDATE comments SET likes = likes + 1 FROM people p WHERE p.id = author_id AND p.last_name = 'Arc'
-- a delete by a condition
DELETE FROM comments WHERE body ILIKE 'au %'
-- a delete by a subquery
DELETE FROM comments WHERE author_id IN (SELECT id FROM people WHERE first_name LIKE 'B%') RETURNING id
-- insert what was found
INSERT INTO depts SELECT id + 100, 'of ' || id FROM people WHERE last_name = 'Durand' RETURNING id, name
-- what is left
SELECT id FROM comments ORDER BY id
-- a cursor ! simple
BEGIN; DECLARE found CURSOR FOR SELECT id, last_name FROM people WHERE last_name > 'A' ORDER BY last_name; FETCH 2 FROM found; FETCH ALL FROM found; CLOSE found; COMMIT
-- copy ! simple
COPY (SELECT id, last_name FROM people WHERE last_name LIKE 'D%' ORDER BY last_name DESC) TO STDOUT
-- a script ! simple
SELECT id FROM people WHERE last_name = 'Arc'; UPDATE people SET title = 'y' WHERE first_name = 'Ana'; SELECT title FROM people WHERE nick = 'ana'
