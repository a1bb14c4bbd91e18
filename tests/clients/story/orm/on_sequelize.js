// Sequelize, with models over the tables that are there:  on_sequelize.js PORT DATABASE

const { Sequelize, DataTypes, Op } = require('sequelize')
const { begin, attempt } = require('../node/story.js')

const [port, database] = process.argv.slice(2)
const sequelize = new Sequelize({ dialect: 'postgres', host: '127.0.0.1', port: Number(port), username: 'app', database, logging: false })
const { INTEGER, BIGINT, TEXT, STRING, DATEONLY, DATE, DECIMAL, BOOLEAN, UUID, JSONB, BLOB } = DataTypes

const Person = sequelize.define('person', {
  id: { type: INTEGER, primaryKey: true, autoIncrement: true },
  email: { type: TEXT, unique: true },
  first_name: TEXT,
  last_name: STRING(150),
  birth_date: DATEONLY,
  seen_at: DATE,
  age: INTEGER,
  points: BIGINT,
  salary: DECIMAL(10, 2),
  active: BOOLEAN,
  badge: UUID,
  profile: JSONB,
  photo: BLOB,
  title: TEXT,
  version: INTEGER
}, { tableName: 'people', timestamps: false })
const Comment = sequelize.define('comment', { id: { type: INTEGER, primaryKey: true, autoIncrement: true }, body: TEXT, author_id: INTEGER }, { tableName: 'comments', timestamps: false })
Person.hasMany(Comment, { foreignKey: 'author_id', as: 'comments' })
Comment.belongsTo(Person, { foreignKey: 'author_id', as: 'author' })
const all = { order: [['id', 'ASC']] }

const steps = {
  create: () => Person.create({ email: 'ana.canari@x.example', first_name: 'Zoë-Canari', last_name: "Lefèvre d'Orléans", birth_date: '1987-03-29', seen_at: new Date('2024-07-01T10:00:00.5Z'), age: 37, points: '9007199254740993', salary: '48213.57', active: true, badge: '6fa459ea-ee8a-4ca4-894e-db77e160355e', profile: { hobby: 'canari-échecs' }, photo: Buffer.from('00ffcafec0ffee5c27', 'hex'), comments: [{ body: 'premier-canari' }, { body: null }] }, { include: 'comments' }),
  bulkCreate: () => Person.bulkCreate([1, 2, 3].map(n => ({ email: `m${n}.canari@x.example`, first_name: n === 2 ? null : `Many-Canari ${n}`, birth_date: `200${n}-01-01` }))),
  ownId: () => Person.create({ id: 101, email: 'own.canari@x.example', first_name: 'Own-Canari' }),
  findOne: () => Person.findOne({ where: { email: 'ana.canari@x.example' }, include: 'comments' }),
  findMissing: () => Person.findOne({ where: { email: 'nobody.canari@x.example' } }),
  findIn: () => Person.findAll({ where: { email: ['ana.canari@x.example', 'm1.canari@x.example', 'none.canari@x.example'] }, ...all }),
  findNot: () => Person.findAll({ where: { email: { [Op.ne]: 'ana.canari@x.example' }, first_name: { [Op.not]: null } }, attributes: ['id', 'first_name'], ...all }),
  pages: () => Person.findAndCountAll({ ...all, offset: 1, limit: 2 }),
  findCreateFind: () => Person.findCreateFind({ where: { email: 'new.canari@x.example' }, defaults: { first_name: 'Neuve-Canari' } }),
  change: async () => {
    const one = await Person.findByPk(1)
    return one.update({ first_name: 'Ana-Canari', birth_date: null, profile: ['canari-liste'] })
  },
  update: () => Person.update({ last_name: 'Un-Canari', active: false }, { where: { email: 'm1.canari@x.example' }, returning: ['id', 'last_name', 'active'] }),
  increment: () => Person.increment('version', { where: { email: 'm1.canari@x.example' } }).then(() => Person.findByPk(2)),
  upsert: () => Person.upsert({ email: 'ana.canari@x.example', first_name: 'Upsert-Canari' }, { conflictFields: ['email'] }),
  bulkUpsert: () => Person.bulkCreate([{ email: 'm1.canari@x.example', first_name: 'Derechef-Canari' }], { updateOnDuplicate: ['first_name'], conflictAttributes: ['email'] }),
  duplicate: () => Person.create({ email: 'ana.canari@x.example' }),
  foreignKey: () => Comment.create({ author_id: 9999, body: 'orphelin-canari' }),
  transaction: () => sequelize.transaction(async transaction => {
    await Person.update({ first_name: 'Bloc-Canari' }, { where: { id: 1 }, transaction })
    await sequelize.transaction({ transaction }, inner => Person.create({ id: 101, email: 'taken.canari@x.example' }, { transaction: inner })).catch(() => {})
    return Person.findByPk(1, { transaction })
  }),
  undone: () => sequelize.transaction(async transaction => {
    await Person.update({ first_name: 'Défaite-Canari' }, { where: { id: 1 }, transaction })
    await Person.create({ email: 'ana.canari@x.example' }, { transaction })
  }),
  query: () => sequelize.query('SELECT id, first_name, birth_date, salary FROM people WHERE email = $1', { bind: ['ana.canari@x.example'] }).then(([rows]) => rows),
  replaced: () => sequelize.query('SELECT id, first_name FROM people WHERE email IN (:some) ORDER BY id', { replacements: { some: ['ana.canari@x.example', 'm1.canari@x.example'] } }).then(([rows]) => rows),
  counts: async () => [await Person.count(), await Person.max('id'), await Comment.count({ where: { author_id: 1 } })],
  destroy: async () => [await Comment.destroy({ where: { author_id: 1 } }), await Person.destroy({ where: { email: 'ana.canari@x.example' } })],
  left: () => Person.findAll({ ...all, include: 'comments' }),
  // It makes a function that writes to the table, with the values in its body.
  'findOrCreate ! refused': () => Person.findOrCreate({ where: { email: 'foc.canari@x.example' }, defaults: { first_name: 'Neuve-Canari' } })
}

async function main () {
  await sequelize.authenticate()
  begin('Sequelize', 'sequelize')
  for (const [name, work] of Object.entries(steps)) {
    await attempt(name, () => work().then(seen => ({ seen }), e => {
      // What the driver said, which Sequelize wraps; and what it made of it.
      if (!e.original) throw e
      throw Object.assign(e.original, { hint: e.name, column: e.fields && JSON.stringify(e.fields) })
    }))
  }
  await sequelize.close()
}

main()
