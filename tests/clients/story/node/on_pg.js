// The story on node-postgres:  on_pg.js STEPS PORT DATABASE MODE
//
// Modes: text, binary (results), named (every statement is prepared under a name), rows (arrays instead of objects).

const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const { from, to } = require('pg-copy-streams')
const { pipeline } = require('node:stream/promises')
const { Readable } = require('node:stream')
const { steps, shown, failed, attempt, begin } = require('./story.js')

const [path, port, database, mode] = process.argv.slice(2)
const place = { host: '127.0.0.1', port: Number(port), user: 'app', database }
const client = new Client({ ...place, binary: mode === 'binary' })

const columns = fields => (fields ?? []).map(f => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.columnID, f.format])
const answer = result => ({ columns: columns(result.fields), rows: result.rows.map(row => shown(Array.isArray(row) ? row : Object.values(row))), tag: result.command, count: result.rowCount })

async function ask (sql, values, name) {
  return answer(await client.query({ text: sql, values, name: mode === 'named' ? name : undefined, rowMode: mode === 'rows' ? 'array' : undefined }))
}

// A batch: asked one after the other without waiting.
async function run ({ name, sql, lists }) {
  if (lists.length === 0) return ask(sql)
  if (name.startsWith('batch')) return { answers: await Promise.all(lists.map(values => ask(sql, values, name))) }
  const answers = []
  for (const values of lists) answers.push(await ask(sql, values, name))
  return { answers }
}

// Several statements in one Query.
async function script () {
  const results = await client.query("BEGIN; UPDATE people SET first_name = 'Texte-Canari' WHERE id = 102; SELECT first_name FROM people WHERE id = 102; ROLLBACK; SELECT first_name FROM people WHERE id = 102")
  return { answers: results.map(answer) }
}

async function errorInAScript () {
  return { answers: (await client.query("UPDATE people SET first_name = 'Perdu-Canari' WHERE id = 102; SELECT 1/0; SELECT 2")).map(answer) }
}

async function stillTheSame () {
  return ask('SELECT first_name, seen_at, salary, badge FROM people WHERE id = $1', [102])
}

async function cursor () {
  const cursor = client.query(new Cursor('SELECT id, first_name, birth_date FROM people WHERE id > $1 ORDER BY id', [1]))
  const rows = [await cursor.read(2), await cursor.read(3), await cursor.read(100)]
  await cursor.close()
  return { rows: rows.map(some => some.map(row => shown(Object.values(row)))) }
}

async function stream () {
  const rows = []
  for await (const row of client.query(new QueryStream('SELECT id, email FROM people ORDER BY id', [], { batchSize: 2 }))) rows.push(shown(Object.values(row)))
  return { rows }
}

async function copies () {
  await pipeline(Readable.from(['102\tcopie-', 'canari\n102\t\\N\n']), client.query(from('COPY comments (author_id, body) FROM STDIN')))
  let text = ''
  for await (const block of client.query(to('COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT (FORMAT csv)'))) text += block
  return { text }
}

async function arrays () {
  return ask('SELECT id, first_name FROM people WHERE email = ANY($1) ORDER BY id', [['bea.canari@x.example', 'none.canari@x.example', 'fay.canari@x.example']])
}

async function pool () {
  const pool = new Pool({ ...place, max: 3 })
  const rows = await Promise.all(Array.from({ length: 9 }, () => pool.query('SELECT last_name FROM people WHERE id = $1', [103])))
  const client = await pool.connect()
  let error
  try {
    await client.query('BEGIN')
    await client.query('INSERT INTO people (id, email) VALUES ($1, $2)', [102, 'taken.canari@x.example'])
  } catch (e) {
    error = failed(e)
    await client.query('ROLLBACK')
  }
  client.release()
  await pool.end()
  return { rows: rows.map(result => shown(result.rows[0].last_name)), error }
}

async function main () {
  await client.connect()
  begin('node-postgres', 'pg')
  for (const step of steps(path, { jsonb: String })) await attempt(step.name, () => run(step))
  for (const step of [script, errorInAScript, stillTheSame, cursor, stream, copies, arrays, pool]) await attempt(step.name, step)
  await client.end()
}

main()
