"""The story on asyncpg:  on_asyncpg.py STEPS PORT DATABASE MODE

Modes: cached (asyncpg keeps prepared statements), uncached (as behind a pool that mixes sessions).
"""

import asyncio
import datetime
import sys

import asyncpg
from story import begin, shown, steps, tell

path, port, database, mode = sys.argv[1:]


def failed(error):
    return {"code": error.sqlstate, "message": error.message, "detail": error.detail, "hint": error.hint,
            "names": [error.schema_name, error.table_name, error.column_name, error.constraint_name]}


async def attempt(step, work):
    try:
        tell(step, **await work)
    except asyncpg.PostgresError as error:
        tell(step, error=failed(error))


async def answer(conn, statement, values):
    columns = [[a.name, a.type.oid, a.type.name] for a in statement.get_attributes()]
    rows = [shown(list(row)) for row in await statement.fetch(*values)]
    return {"columns": columns, "rows": rows, "tag": statement.get_statusmsg()}


async def run(conn, sql, lists, batch):
    if not lists:
        if sql.startswith("SELECT"):
            return {"rows": [shown(list(row)) for row in await conn.fetch(sql)]}
        return {"tag": await conn.execute(sql)}
    if batch:
        await conn.executemany(sql, lists)
        return {}
    if len(lists) == 1:
        return {"rows": [shown(list(row)) for row in await conn.fetch(sql, *lists[0])]}
    statement = await conn.prepare(sql)
    parameters = [[t.oid, t.name] for t in statement.get_parameters()]
    return {"parameters": parameters, "answers": [await answer(conn, statement, values) for values in lists]}


async def transactions(conn):
    async with conn.transaction():
        await conn.execute("UPDATE people SET first_name = $1 WHERE id = $2", "Bloc-Canari", 102)
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO people (id, email) VALUES ($1, $2)", 102, "taken.canari@x.example")
        except asyncpg.UniqueViolationError as error:
            inner = failed(error)
    return {"inner": inner, "value": await conn.fetchval("SELECT first_name FROM people WHERE id = $1", 102)}


async def cursors(conn):
    async with conn.transaction():
        rows = [shown(list(r)) async for r in conn.cursor("SELECT id, first_name FROM people WHERE id > $1 ORDER BY id", 1, prefetch=2)]
        cur = await conn.cursor("SELECT id, birth_date FROM people ORDER BY id")
        await cur.forward(2)
        rows += [shown(list(r)) for r in await cur.fetch(3)]
    return {"rows": rows}


async def records(conn):
    """asyncpg's own bulk way: binary COPY, with the types that a statement tells it."""
    tag = await conn.copy_records_to_table(
        "people", columns=["email", "first_name", "birth_date", "age", "active"],
        records=[(f"rec{n}.canari@x.example", f"Record-Canari {n}", datetime.date(2011, 1, 1 + n), n, n % 2 == 0) for n in range(4)])
    return {"tag": tag, "rows": shown([list(r) for r in await conn.fetch("SELECT id, first_name, birth_date, age, active FROM people WHERE birth_date IS NOT NULL ORDER BY id")])}


class Sink:
    def __init__(self):
        self.data = b""

    async def __call__(self, data):
        self.data += data


async def copies(conn):
    async def blocks():
        for block in [b"102,copie-", b"canari\n102,\"deux\nlignes", b"\"\n"]:
            yield block

    tags = [await conn.copy_to_table("comments", columns=["author_id", "body"], source=blocks(), format="csv")]
    sink = Sink()
    tags.append(await conn.copy_from_query("SELECT author_id, body FROM comments WHERE author_id = $1 ORDER BY id", 102, output=sink, format="csv"))
    return {"tags": tags, "text": sink.data.decode()}


async def after_a_change_of_the_schema(conn):
    """asyncpg hears that a cached plan must not change its result, and prepares again."""
    seen = [shown(list(await conn.fetchrow("SELECT * FROM comments WHERE author_id = $1 ORDER BY id LIMIT 1", 102)))]
    await conn.execute("ALTER TABLE comments ADD COLUMN extra integer")
    try:
        seen.append(shown(list(await conn.fetchrow("SELECT * FROM comments WHERE author_id = $1 ORDER BY id LIMIT 1", 102))))
    finally:
        await conn.execute("ALTER TABLE comments DROP COLUMN extra")
    return {"rows": seen}


async def pool():
    """A pool resets its connections when they come back."""
    async with asyncpg.create_pool(host="127.0.0.1", port=int(port), user="app", database=database, min_size=1, max_size=3) as pool:
        rows = await asyncio.gather(*[pool.fetchval("SELECT last_name FROM people WHERE id = $1", 103) for _ in range(9)])
    return {"rows": rows}


async def main():
    conn = await asyncpg.connect(host="127.0.0.1", port=int(port), user="app", database=database,
                                 statement_cache_size=100 if mode == "cached" else 0)
    begin("asyncpg", asyncpg.__version__)
    for name, sql, lists in steps(path, jsonb=str):
        await attempt(name, run(conn, sql, lists, name.startswith("batch")))
    for step in [transactions, cursors, records, copies, after_a_change_of_the_schema]:
        await attempt(step.__name__, step(conn))
    await attempt("pool", pool())
    await conn.close()


asyncio.run(main())
