"""psycopg 3's COPY: text by rows and by blocks, binary with types, out by rows; prints what it sees."""

import datetime
import sys

import psycopg

with psycopg.connect(sys.argv[1]) as conn:
    with conn.cursor() as cur:
        with cur.copy("COPY people (id, email, first_name, birth_date, age) FROM STDIN") as copy:
            copy.write_row((1, "ana@x.example", "Zoë Lefèvre\t\\ tab", datetime.date(1990, 12, 31), 7))
            copy.write_row((2, "b@x.example", None, None, None))
        with cur.copy("COPY people (id, email, first_name) FROM STDIN (FORMAT csv)") as copy:
            for block in ("3,c@x.exa", 'mple,"Cl', 'éo"\n4,d@x.example', ",\n"):
                copy.write(block)
        with cur.copy("COPY people (id, email, birth_date, points, active, badge) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "date", "int8", "bool", "uuid"])
            copy.write_row((5, "e@x.example", datetime.date(2001, 1, 1), 5, True, None))
    conn.commit()
    with conn.cursor() as cur:
        with cur.copy("COPY (SELECT id, email, first_name FROM people ORDER BY id) TO STDOUT") as copy:
            for row in copy.rows():
                print(row)
        with cur.copy("COPY (SELECT id, birth_date, age, points, active FROM people ORDER BY id) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "date", "int4", "int8", "bool"])
            for row in copy.rows():
                print(row)
        with cur.copy("COPY people (email) TO STDOUT (FORMAT csv)") as copy:
            print(b"".join(bytes(block) for block in copy))
    conn.commit()
    with conn.cursor(name="people behind a cursor", scrollable=True) as cur:
        cur.execute("SELECT id, first_name, birth_date FROM people WHERE email <> %s ORDER BY id", ("b@x.example",))
        print(cur.fetchone(), cur.fetchmany(2))
        cur.scroll(-2)
        print(cur.fetchall())
    conn.commit()
    try:
        with conn.cursor() as cur, cur.copy("COPY people (id, email) FROM STDIN") as copy:
            copy.write_row((9, "lost@x.example"))
            raise RuntimeError("given up")
    except RuntimeError as error:
        print(error, conn.info.transaction_status.name)
    conn.rollback()
    try:
        with conn.cursor() as cur, cur.copy("COPY people (id, email) FROM STDIN") as copy:
            copy.write_row((10, "twice@x.example"))
            copy.write_row((10, "again@x.example"))
    except psycopg.errors.UniqueViolation as error:
        print(error.sqlstate, error.diag.constraint_name)
    conn.rollback()
    print(conn.execute("SELECT count(*) FROM people").fetchone())
