"""The story on psycopg 3's AsyncConnection:  on_psycopg_async.py STEPS PORT DATABASE"""

import asyncio
import json
import sys

import psycopg
from psycopg.types.json import Jsonb
from story import begin, percent, shown, steps, tell

path, port, database = sys.argv[1:4]


def failed(error):
    d = error.diag
    return {"code": error.sqlstate, "message": d.message_primary, "detail": d.message_detail, "hint": d.message_hint}


async def attempt(step, work):
    try:
        tell(step, **await work)
    except psycopg.Error as error:
        tell(step, error=failed(error))


async def answer(cur):
    columns = [[c.name, c.type_code] for c in cur.description or []]
    rows = [shown(row) for row in await cur.fetchall()] if columns else None
    return {"columns": columns, "rows": rows, "tag": cur.statusmessage, "count": cur.rowcount}


async def run(conn, sql, lists, batch):
    cur = conn.cursor()
    if not lists:
        return await answer(await cur.execute(sql))
    if batch:
        await cur.executemany(percent(sql), lists)
        return {"count": cur.rowcount}
    return {"answers": [await answer(await cur.execute(percent(sql), values)) for values in lists]}


async def pipeline(conn):
    async with conn.pipeline():
        async with conn.transaction():
            await conn.execute("UPDATE people SET nick = %s WHERE id = %s", ("pipe", 102))
            cur = await conn.execute("SELECT nick, profile FROM people WHERE id = %s", (102,))
    return {"rows": shown(await cur.fetchall())}


async def at_once(port, database):
    """Several connections, each for itself."""
    async def one(n):
        async with await psycopg.AsyncConnection.connect(f"host=127.0.0.1 port={port} user=app dbname={database}") as conn:
            await conn.execute("INSERT INTO people (id, email, first_name) VALUES (%s, %s, %s)", (200 + n, f"once{n}.canari@x.example", f"À la fois-Canari {n}"))
            return await (await conn.execute("SELECT first_name FROM people WHERE email = %s", (f"once{n}.canari@x.example",))).fetchall()
    return {"rows": shown(await asyncio.gather(*[one(n) for n in range(8)]))}


async def server_cursor(conn):
    async with conn.transaction(), conn.cursor(name="async") as cur:
        await cur.execute("SELECT id, first_name FROM people ORDER BY id")
        return {"rows": [shown(row) async for row in cur]}


async def copies(conn):
    async with conn.cursor().copy("COPY comments (author_id, body) FROM STDIN") as copy:
        await copy.write_row((102, "copie-canari"))
    async with conn.cursor().copy("COPY comments (author_id, body) TO STDOUT") as copy:
        return {"rows": sorted([shown(row) async for row in copy.rows()], key=str)}


async def main():
    conn = await psycopg.AsyncConnection.connect(f"host=127.0.0.1 port={port} user=app dbname={database}", autocommit=True)
    begin("psycopg 3, async", psycopg.__version__)
    for name, sql, lists in steps(path, jsonb=lambda text: Jsonb(json.loads(text))):
        await attempt(name, run(conn, sql, lists, name.startswith("batch")))
    await attempt("pipeline", pipeline(conn))
    await attempt("at once", at_once(port, database))
    await attempt("server cursor", server_cursor(conn))
    await attempt("copies", copies(conn))
    await conn.close()


asyncio.run(main())
