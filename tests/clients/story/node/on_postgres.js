// The story on postgres.js:  on_postgres.js STEPS PORT DATABASE MODE
//
// Modes: prepared, unprepared.

const postgres = require('postgres')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { steps, shown, failed, attempt, begin } = require('./story.js')

const [path, port, database, mode] = process.argv.slice(2)
const options = { host: '127.0.0.1', port: Number(port), user: 'app', database, prepare: mode === 'prepared', onnotice: () => {} }
const sql = postgres({ ...options, max: 1 })

const answer = result => ({ columns: (result.columns ?? []).map(c => [c.name, c.type, c.number]), rows: result.map(row => shown(Object.values(row))), tag: result.command, count: result.count })
// What it takes for a parameter of a type that it doesn't know, and for JSON.
const own = { jsonb: text => sql.json(JSON.parse(text)), int8: String }

async function run ({ name, sql: text, lists }) {
  if (lists.length === 0) return answer(await sql.unsafe(text))
  const ask = async values => answer(await sql.unsafe(text, values, { prepare: mode === 'prepared' }))
  // A batch: pipelined on the one connection.
  if (name.startsWith('batch')) return { answers: await Promise.all(lists.map(ask)) }
  const answers = []
  for (const values of lists) answers.push(await ask(values))
  return { answers }
}

async function tagged () {
  const person = { id: 301, email: 'tag.canari@x.example', first_name: 'Tag-Canari', birth_date: new Date('1971-02-03'), active: true }
  const [made] = await sql`INSERT INTO people ${sql(person)} RETURNING id, first_name, birth_date, active`
  const many = [1, 2, 3].map(n => ({ email: `tag${n}.canari@x.example`, first_name: `Tag-Canari ${n}` }))
  const rows = await sql`INSERT INTO people ${sql(many, 'email', 'first_name')} RETURNING first_name`
  const [changed] = await sql`UPDATE people SET ${sql({ first_name: 'Changé-Canari', age: 7 })} WHERE id = 301 RETURNING first_name, age`
  const found = await sql`SELECT id, first_name FROM people WHERE email IN ${sql(['tag.canari@x.example', 'tag1.canari@x.example'])} ORDER BY id`
  return { rows: [made, ...rows, changed, ...found].map(row => shown(Object.values(row))) }
}

async function transactions () {
  const rows = await sql.begin(async sql => {
    await sql`UPDATE people SET first_name = ${'Bloc-Canari'} WHERE id = 102`
    const inner = await sql.savepoint(sql => sql`INSERT INTO people (id, email) VALUES (102, ${'taken.canari@x.example'})`).catch(failed)
    return [inner, ...await sql`SELECT first_name FROM people WHERE id = 102`]
  })
  const lost = await sql.begin(sql => [sql`UPDATE people SET first_name = ${'Perdue-Canari'} WHERE id = 102`, sql`SELECT 1/0`]).catch(failed)
  return { rows: shown([...rows, lost, ...await sql`SELECT first_name FROM people WHERE id = 102`]) }
}

async function cursor () {
  const rows = []
  for await (const some of sql`SELECT id, first_name FROM people ORDER BY id`.cursor(2)) rows.push(some.map(row => shown(Object.values(row))))
  return { rows }
}

async function described () {
  const statement = await sql`SELECT id, first_name, birth_date, salary, profile FROM people WHERE email = ${'x'}`.describe()
  return { types: statement.types, columns: statement.columns.map(c => [c.name, c.type, c.number]) }
}

async function values () {
  return { rows: shown(await sql`SELECT birth_date, seen_at, points, salary, active, badge, profile, photo FROM people WHERE id IN (102, 301) ORDER BY id`.values()) }
}

async function copies () {
  await pipeline(Readable.from(['102\tcopie-canari\n', '102\t\\N\n']), await sql`COPY comments (author_id, body) FROM STDIN`.writable())
  let text = ''
  for await (const block of await sql`COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT`.readable()) text += block
  return { text }
}

async function atOnce () {
  const many = postgres({ ...options, max: 4 })
  const found = await Promise.all(Array.from({ length: 20 }, (_, n) => many`SELECT id, first_name FROM people WHERE id = ${n}`))
  await many.end()
  return { rows: found.map(rows => rows.map(row => shown(Object.values(row)))) }
}

async function main () {
  begin('postgres.js', 'postgres')
  for (const step of steps(path, own)) await attempt(step.name, () => run(step))
  for (const step of [tagged, transactions, cursor, described, values, copies, atOnce]) await attempt(step.name, step)
  await sql.end()
}

main()
