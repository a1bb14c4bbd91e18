// What the stories on Node's drivers share: the steps, values as JavaScript has them, and how things are shown.

const { readFileSync } = require('node:fs')

const types = {
  int4: Number,
  int8: String,
  text: String,
  varchar: String,
  date: String,
  timestamptz: text => new Date(text),
  numeric: String,
  bool: text => text === 'true',
  uuid: String,
  jsonb: JSON.parse,
  bytea: text => Buffer.from(text, 'hex')
}

/// [{ name, sql, lists }]; `own` are the driver's own makers of values.
function steps (path, own = {}) {
  const makers = { ...types, ...own }
  const value = text => {
    const [, kind, rest] = text.match(/^(\w+):(.*)$/)
    return rest === 'NULL' ? null : makers[kind](rest)
  }
  const found = []
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.startsWith('# ')) found.push({ name: line.slice(2), lists: [] })
    else if (line.startsWith('> ')) found.at(-1).lists.push(line.slice(2).split(' | ').map(value))
    else if (line && !line.startsWith('//')) found.at(-1).sql = line
  }
  return found
}

function shown (value) {
  if (value === null || value === undefined || typeof value === 'string') return value ?? null
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return 'Buffer:' + Buffer.from(value).toString('hex')
  if (value instanceof Date) return 'Date:' + value.toISOString()
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value === 'object') return 'Object:' + JSON.stringify(value)
  return `${typeof value}:${value}`
}

const failed = e => ({ code: e.code, message: e.message, detail: e.detail ?? null, hint: e.hint ?? null, names: [e.schema ?? e.schema_name, e.table ?? e.table_name, e.column ?? e.column_name, e.constraint ?? e.constraint_name], position: e.position })

async function attempt (step, work) {
  let seen
  try {
    seen = await work()
  } catch (e) {
    if (e.code?.length !== 5) throw e
    seen = { error: failed(e) }
  }
  console.log(JSON.stringify({ step, ...seen }))
}

/// What speaks, and its package (found where NODE_PATH says).
function begin (driver, name) {
  const { version } = JSON.parse(readFileSync(`${process.env.NODE_PATH}/${name}/package.json`, 'utf8'))
  console.log(JSON.stringify({ driver, version }))
}

module.exports = { steps, shown, failed, attempt, begin }
