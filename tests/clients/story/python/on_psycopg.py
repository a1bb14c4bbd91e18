"""The story on psycopg 3:  on_psycopg.py STEPS PORT DATABASE MODE

Modes: text, binary (parameters and results), prepared (always), client (values put into the text by psycopg).
"""

import datetime
import sys

import psycopg
from psycopg.types.json import Jsonb
from story import begin, percent, shown, steps, tell

path, port, database, mode = sys.argv[1:]
conn = psycopg.connect(
    f"host=127.0.0.1 port={port} user=app dbname={database}",
    autocommit=True,
    prepare_threshold=0 if mode == "prepared" else 5,
    cursor_factory=psycopg.ClientCursor if mode == "client" else psycopg.Cursor,
)


def columns(cur):
    return [[c.name, c.type_code, c.type_display, c.display_size, c.internal_size, c.precision, c.scale] for c in cur.description or []]


def failed(error):
    d = error.diag
    return {"code": error.sqlstate, "message": d.message_primary, "detail": d.message_detail, "hint": d.message_hint,
            "names": [d.schema_name, d.table_name, d.column_name, d.constraint_name], "position": d.statement_position}


def attempt(step, work):
    try:
        tell(step, **work())
    except psycopg.Error as error:
        tell(step, error=failed(error))


def answer(cur):
    rows = [shown(row) for row in cur.fetchall()] if cur.description else None
    return {"columns": columns(cur), "rows": rows, "tag": cur.statusmessage, "count": cur.rowcount}


def run(sql, lists, batch):
    cur = conn.cursor(binary=True) if mode == "binary" else conn.cursor()
    if not lists:
        return answer(cur.execute(sql))
    sql = percent(sql)
    if batch:
        cur.executemany(sql, lists)
        return {"tag": cur.statusmessage, "count": cur.rowcount}
    return {"answers": [answer(cur.execute(sql, values, prepare=len(lists) > 1 or None)) for values in lists]}


def several_results():
    cur = conn.cursor()
    cur.executemany("INSERT INTO comments (author_id, body) VALUES (%s, %s) RETURNING id, body",
                    [(102, f"plusieurs-canari {n}") for n in range(3)], returning=True)
    rows = [shown(cur.fetchall())]
    while cur.nextset():
        rows.append(shown(cur.fetchall()))
    return {"rows": rows}


def transactions():
    with conn.transaction():
        conn.execute("UPDATE people SET first_name = %s WHERE id = %s", ("Bloc-Canari", 102))
        try:
            with conn.transaction("inner"):
                conn.execute("INSERT INTO people (id, email) VALUES (%s, %s)", (102, "taken.canari@x.example"))
        except psycopg.errors.UniqueViolation as error:
            inner = failed(error)
        with conn.transaction(force_rollback=True):
            conn.execute("UPDATE people SET first_name = %s WHERE id = %s", ("Retirée-Canari", 102))
    return {"inner": inner, "rows": shown(conn.execute("SELECT first_name FROM people WHERE id = 102").fetchall())}


def pipeline(fail_at):
    """Five statements at once, with an error at one of them; what each cursor got."""
    cursors = [conn.cursor() for _ in range(5)]
    seen = []
    try:
        with conn.pipeline() as pipe:
            for n, cur in enumerate(cursors):
                if n == fail_at:
                    cur.execute("INSERT INTO people (id, email) VALUES (%s, %s)", (102, f"pipe{n}.canari@x.example"))
                elif n % 2:
                    cur.execute("SELECT first_name, birth_date FROM people WHERE id = %s", (102,))
                else:
                    cur.execute("INSERT INTO comments (author_id, body) VALUES (%s, %s) RETURNING body", (102, f"pipe-canari {n}"))
            pipe.sync()
    except psycopg.Error as error:
        seen.append(failed(error))
    for cur in cursors:
        result = cur.pgresult
        seen.append(shown(cur.fetchall()) if result is not None and result.status == 2 else None)
    return {"seen": seen, "status": conn.info.transaction_status.name}


def stream():
    return {"rows": [shown(row) for row in conn.cursor().stream("SELECT id, first_name FROM people WHERE id > %s ORDER BY id", (1,))]}


def server_cursor():
    with conn.transaction(), conn.cursor(name="a cursor", scrollable=True, withhold=True) as cur:
        cur.itersize = 2
        cur.execute("SELECT id, first_name, birth_date FROM people WHERE email <> %s ORDER BY id", ("bea.canari@x.example",))
        rows = [cur.fetchone(), *cur.fetchmany(2)]
        cur.scroll(-1)
        rows.extend(cur)
        return {"columns": columns(cur), "rows": shown(rows)}


def copies():
    binary = mode == "binary"
    form = "(FORMAT BINARY)" if binary else ""
    cur = conn.cursor()
    with cur.copy(f"COPY people (email, first_name, birth_date, age) FROM STDIN {form}") as copy:
        if binary:
            copy.set_types(["text", "text", "date", "int4"])
        for n in range(3):
            copy.write_row((f"copy{n}.canari@x.example", f"Copie-Canari\t{n}", datetime.date(2010, 1, 1 + n), None))
    tag = cur.statusmessage
    with cur.copy(f"COPY (SELECT id, email, first_name, birth_date FROM people ORDER BY id) TO STDOUT {form}") as copy:
        copy.set_types(["int4", "text", "text", "date"])
        return {"tag": tag, "rows": [shown(row) for row in copy.rows()]}


def notices():
    heard = []
    conn.add_notice_handler(lambda diag: heard.append([diag.sqlstate, diag.message_primary]))
    conn.execute("DROP TABLE IF EXISTS none_such")
    return {"heard": heard}


begin("psycopg 3", psycopg.__version__)
for name, sql, lists in steps(path, jsonb=lambda text: Jsonb(__import__("json").loads(text))):
    attempt(name, lambda: run(sql, lists, name.startswith("batch")))
for step in [several_results, transactions, stream, server_cursor, copies, notices]:
    attempt(step.__name__, step)
for at in range(6):
    attempt(f"pipeline with an error at {at}", lambda: pipeline(at))
conn.close()
