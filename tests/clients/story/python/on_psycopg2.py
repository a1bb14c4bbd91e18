"""The story on psycopg2:  on_psycopg2.py STEPS PORT DATABASE"""

import io
import json
import sys

import psycopg2
import psycopg2.extras
from story import begin, percent, shown, steps, tell

path, port, database = sys.argv[1:4]
psycopg2.extras.register_uuid()
conn = psycopg2.connect(host="127.0.0.1", port=port, user="app", dbname=database)
conn.autocommit = True


def failed(error):
    d = error.diag
    return {"code": error.pgcode, "message": d.message_primary, "detail": d.message_detail, "hint": d.message_hint,
            "names": [d.schema_name, d.table_name, d.column_name, d.constraint_name]}


def attempt(step, work):
    try:
        tell(step, **work())
    except psycopg2.Error as error:
        tell(step, error=failed(error))


def answer(cur):
    columns = [[c.name, c.type_code, c.internal_size, c.precision, c.scale, c.table_column] for c in cur.description or []]
    return {"columns": columns, "rows": [shown(row) for row in cur.fetchall()] if columns else None,
            "tag": cur.statusmessage, "count": cur.rowcount}


def run(sql, lists, batch):
    cur = conn.cursor()
    if not lists:
        cur.execute(sql)
        return answer(cur)
    sql = percent(sql)
    if batch:
        psycopg2.extras.execute_batch(cur, sql, lists)
        return {"tag": cur.statusmessage}
    answers = []
    for values in lists:
        cur.execute(sql, values)
        answers.append(answer(cur))
    return {"answers": answers}


def many_values():
    cur = conn.cursor()
    rows = psycopg2.extras.execute_values(
        cur, "INSERT INTO people (email, first_name, profile) VALUES %s RETURNING id, first_name, profile",
        [(f"v{n}.canari@x.example", f"Valeurs-Canari {n}", psycopg2.extras.Json({"n": n})) for n in range(5)], page_size=2, fetch=True)
    return {"rows": shown(rows)}


def named_cursor():
    conn.autocommit = False
    with conn, conn.cursor(name="named", scrollable=True) as cur:
        cur.itersize = 3
        cur.execute("SELECT id, first_name, birth_date FROM people ORDER BY id")
        rows = [cur.fetchone(), *cur.fetchmany(3)]
        cur.scroll(-2)
        rows.extend(cur)
    conn.autocommit = True
    return {"rows": shown(rows)}


def blocks():
    """`with conn` commits, or rolls back what an error ended."""
    conn.autocommit = False
    seen = []
    for email in ["block.canari@x.example", "bea.canari@x.example"]:
        try:
            with conn, conn.cursor() as cur:
                cur.execute("INSERT INTO people (email, first_name) VALUES (%s, %s) RETURNING first_name", (email, "Bloc-Canari"))
                seen.append(shown(cur.fetchone()))
        except psycopg2.Error as error:
            seen.append(failed(error))
    conn.autocommit = True
    return {"seen": seen}


def copies():
    cur = conn.cursor()
    cur.copy_expert("COPY comments (author_id, body) FROM STDIN WITH (FORMAT csv)", io.StringIO('102,"une copie-canari, citée"\n102,\n'))
    cur.copy_from(io.StringIO("102\tcopie-canari\\tdeux\n"), "comments", columns=("author_id", "body"))
    out = io.StringIO()
    cur.copy_expert("COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)", out)
    return {"text": out.getvalue(), "count": cur.rowcount}


begin("psycopg2", psycopg2.__version__)
for name, sql, lists in steps(path, jsonb=lambda text: psycopg2.extras.Json(json.loads(text))):
    attempt(name, lambda: run(sql, lists, name.startswith("batch")))
for step in [many_values, named_cursor, blocks, copies]:
    attempt(step.__name__, step)
conn.close()
