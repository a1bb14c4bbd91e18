// TypeORM, with entities over the tables that are there:  on_typeorm.js PORT DATABASE

require('reflect-metadata')
const { DataSource, EntitySchema, In, IsNull, Not } = require('typeorm')
const { begin, attempt } = require('../node/story.js')

const [port, database] = process.argv.slice(2)

const Person = new EntitySchema({
  name: 'Person',
  tableName: 'people',
  columns: {
    id: { type: 'integer', primary: true, generated: 'identity', generatedIdentity: 'BY DEFAULT' },
    email: { type: 'text', unique: true },
    firstName: { name: 'first_name', type: 'text', nullable: true },
    lastName: { name: 'last_name', type: 'varchar', length: 150, nullable: true },
    birthDate: { name: 'birth_date', type: 'date', nullable: true },
    seenAt: { name: 'seen_at', type: 'timestamptz', nullable: true },
    age: { type: 'integer', nullable: true },
    points: { type: 'bigint', nullable: true },
    salary: { type: 'numeric', precision: 10, scale: 2, nullable: true },
    active: { type: 'boolean', nullable: true },
    badge: { type: 'uuid', nullable: true },
    profile: { type: 'jsonb', nullable: true },
    photo: { type: 'bytea', nullable: true },
    title: { type: 'text', nullable: true },
    version: { type: 'integer', version: true }
  },
  relations: { comments: { type: 'one-to-many', target: 'Comment', inverseSide: 'author', cascade: ['insert'] } }
})
const Comment = new EntitySchema({
  name: 'Comment',
  tableName: 'comments',
  columns: {
    id: { type: 'integer', primary: true, generated: 'identity', generatedIdentity: 'BY DEFAULT' },
    body: { type: 'text', nullable: true }
  },
  relations: { author: { type: 'many-to-one', target: 'Person', inverseSide: 'comments', joinColumn: { name: 'author_id' } } }
})

const source = new DataSource({ type: 'postgres', host: '127.0.0.1', port: Number(port), username: 'app', database, entities: [Person, Comment] })
const people = source.getRepository(Person)
const comments = source.getRepository(Comment)
const all = { order: { id: 'ASC' } }

const steps = {
  save: () => people.save({ email: 'ana.canari@x.example', firstName: 'Zoë-Canari', lastName: "Lefèvre d'Orléans", birthDate: '1987-03-29', seenAt: new Date('2024-07-01T10:00:00.5Z'), age: 37, points: '9007199254740993', salary: '48213.57', active: true, badge: '6fa459ea-ee8a-4ca4-894e-db77e160355e', profile: { hobby: 'canari-échecs' }, photo: Buffer.from('00ffcafec0ffee5c27', 'hex'), comments: [{ body: 'premier-canari' }, { body: null }] }),
  saveMany: () => people.save([1, 2, 3].map(n => ({ email: `m${n}.canari@x.example`, firstName: n === 2 ? null : `Many-Canari ${n}`, birthDate: `200${n}-01-01` }))),
  insert: () => people.insert([{ id: 101, email: 'own.canari@x.example', firstName: 'Own-Canari' }]).then(r => r.identifiers),
  findOne: () => people.findOne({ where: { email: 'ana.canari@x.example' }, relations: { comments: true } }),
  findMissing: () => people.findOneBy({ email: 'nobody.canari@x.example' }),
  findIn: () => people.find({ where: { email: In(['ana.canari@x.example', 'm1.canari@x.example', 'none.canari@x.example']) }, ...all }),
  findNot: () => people.find({ where: { firstName: Not(IsNull()), email: Not('ana.canari@x.example') }, select: { id: true, firstName: true }, ...all }),
  pages: () => people.findAndCount({ ...all, skip: 1, take: 2, relations: { comments: true } }),
  change: async () => {
    const one = await people.findOneByOrFail({ id: 1 })
    Object.assign(one, { firstName: 'Ana-Canari', birthDate: null, profile: ['canari-liste'] })
    return people.save(one)
  },
  update: () => people.update({ email: 'm1.canari@x.example' }, { lastName: 'Un-Canari', active: false }).then(r => r.affected),
  upsert: () => people.upsert([{ email: 'ana.canari@x.example', firstName: 'Upsert-Canari' }, { email: 'new.canari@x.example', firstName: 'Neuve-Canari' }], ['email']).then(r => r.identifiers),
  builder: () => people.createQueryBuilder('p').leftJoinAndSelect('p.comments', 'c').where('p.email = :email', { email: 'ana.canari@x.example' }).orderBy('c.id').getMany(),
  returning: () => people.createQueryBuilder().update().set({ firstName: 'Rendue-Canari' }).where('id = :id', { id: 1 }).returning(['first_name', 'email']).execute().then(r => r.raw),
  duplicate: () => people.insert({ email: 'ana.canari@x.example' }),
  foreignKey: () => comments.insert({ body: 'orphelin-canari', author: { id: 9999 } }),
  transaction: () => source.transaction(async tx => {
    await tx.update('Person', { id: 1 }, { firstName: 'Bloc-Canari' })
    await tx.transaction(inner => inner.insert('Person', { id: 101, email: 'taken.canari@x.example' })).catch(() => {})
    return tx.findOneBy('Person', { id: 1 })
  }),
  undone: () => source.transaction(async tx => {
    await tx.update('Person', { id: 1 }, { firstName: 'Défaite-Canari' })
    await tx.insert('Person', { email: 'ana.canari@x.example' })
  }),
  stream: async () => {
    const rows = []
    for await (const row of await people.createQueryBuilder('p').select(['p.id', 'p.firstName']).orderBy('p.id').stream()) rows.push(row)
    return rows
  },
  counts: async () => [await people.count(), await people.countBy({ email: In(['m1.canari@x.example']) }), await people.existsBy({ email: 'm2.canari@x.example' }), await people.maximum('id')],
  query: () => source.query('SELECT id, first_name, birth_date, salary FROM people WHERE email = $1', ['ana.canari@x.example']),
  remove: async () => {
    await comments.delete({ author: { id: 1 } })
    return (await people.delete({ email: 'ana.canari@x.example' })).affected
  },
  left: () => people.find({ ...all, relations: { comments: true } })
}

async function main () {
  await source.initialize()
  begin('TypeORM', 'typeorm')
  for (const [name, work] of Object.entries(steps)) await attempt(name, async () => ({ seen: await work() }))
  await source.destroy()
}

main()
