// Prisma's client as it is generated from schema.prisma, on its adapter for node-postgres:  on_prisma.js PORT DATABASE

const { PrismaClient, Prisma } = require('@prisma/client')
const { PrismaPg } = require('@prisma/adapter-pg')
const { begin, attempt } = require('../node/story.js')

const [port, database] = process.argv.slice(2)
const prisma = new PrismaClient({ adapter: new PrismaPg({ host: '127.0.0.1', port: Number(port), user: 'app', database }) })
const all = { orderBy: { id: 'asc' } }

const steps = {
  create: () => prisma.person.create({ data: { id: 101, email: 'ana.canari@x.example', firstName: 'Zoë-Canari', lastName: "Lefèvre d'Orléans", nick: 'zozo', birthDate: new Date('1987-03-29'), seenAt: new Date('2024-07-01T10:00:00.5Z'), age: 37, points: 9007199254740993n, salary: new Prisma.Decimal('48213.57'), active: true, badge: '6fa459ea-ee8a-4ca4-894e-db77e160355e', profile: { hobby: 'canari-échecs', n: [1, 2.5, null] }, photo: Buffer.from('00ffcafec0ffee5c27', 'hex') } }),
  generatedId: () => prisma.person.create({ data: { email: 'bea.canari@x.example', comments: { create: [{ body: 'premier-canari' }, { body: null }] } }, include: { comments: true } }),
  createMany: () => prisma.person.createMany({ data: [1, 2, 3].map(n => ({ email: `m${n}.canari@x.example`, firstName: n === 2 ? null : `Many-Canari ${n}`, birthDate: new Date(`200${n}-01-01`) })) }),
  createManyAndReturn: () => prisma.person.createManyAndReturn({ data: [4, 5].map(n => ({ email: `m${n}.canari@x.example`, firstName: `Many-Canari ${n}` })) }),
  skipDuplicates: () => prisma.person.createMany({ data: [{ email: 'm1.canari@x.example' }], skipDuplicates: true }),
  findUnique: () => prisma.person.findUnique({ where: { email: 'ana.canari@x.example' }, include: { comments: true } }),
  findMissing: () => prisma.person.findUnique({ where: { email: 'nobody.canari@x.example' } }),
  findMany: () => prisma.person.findMany({ where: { email: { in: ['ana.canari@x.example', 'm4.canari@x.example', 'none.canari@x.example'] } }, ...all }),
  findNot: () => prisma.person.findMany({ where: { NOT: { email: 'ana.canari@x.example' }, firstName: { not: null } }, select: { id: true, firstName: true }, ...all }),
  pages: () => prisma.person.findMany({ ...all, cursor: { id: 3 }, skip: 1, take: 2, select: { id: true, firstName: true, birthDate: true } }),
  byRelation: () => prisma.comment.findMany({ where: { author: { email: 'bea.canari@x.example' } }, include: { author: true }, ...all }),
  update: () => prisma.person.update({ where: { id: 101 }, data: { firstName: 'Ana-Canari', birthDate: null, profile: ['canari-liste'], version: { increment: 1 } } }),
  updateByEmail: () => prisma.person.update({ where: { email: 'bea.canari@x.example' }, data: { lastName: 'Béa-Canari', age: 3 } }),
  updateMany: () => prisma.person.updateMany({ where: { version: 0 }, data: { title: 'Titre', nick: 'tous' } }),
  updateMissing: () => prisma.person.update({ where: { id: 999 }, data: { firstName: 'Personne-Canari' } }),
  upsert: () => prisma.person.upsert({ where: { email: 'ana.canari@x.example' }, create: { email: 'ana.canari@x.example' }, update: { firstName: 'Upsert-Canari' } }),
  upsertNew: () => prisma.person.upsert({ where: { email: 'new.canari@x.example' }, create: { email: 'new.canari@x.example', firstName: 'Neuve-Canari' }, update: {} }),
  duplicate: () => prisma.person.create({ data: { email: 'ana.canari@x.example' } }),
  foreignKey: () => prisma.comment.create({ data: { authorId: 9999, body: 'orphelin-canari' } }),
  transaction: () => prisma.$transaction([prisma.person.update({ where: { id: 101 }, data: { nick: 'tx' } }), prisma.comment.create({ data: { authorId: 101, body: 'tx-canari' } })]),
  undone: () => prisma.$transaction(async tx => {
    await tx.person.update({ where: { id: 101 }, data: { firstName: 'Défaite-Canari' } })
    await tx.person.create({ data: { email: 'ana.canari@x.example' } })
  }),
  afterwards: () => prisma.person.findUnique({ where: { id: 101 }, include: { comments: { select: { body: true } } } }),
  aggregates: () => prisma.person.aggregate({ _count: { _all: true, firstName: true }, _max: { id: true } }),
  groups: () => prisma.person.groupBy({ by: ['email'], _count: true, where: { id: { lt: 4 } } }).then(rows => rows.sort((a, b) => a.email < b.email ? -1 : 1)),
  raw: () => prisma.$queryRaw`SELECT id, first_name, birth_date, salary FROM people WHERE email = ${'ana.canari@x.example'}`,
  execute: () => prisma.$executeRaw`UPDATE people SET first_name = ${'Brute-Canari'} WHERE id = ${101}`,
  delete: () => prisma.comment.deleteMany({ where: { authorId: 101 } }).then(() => prisma.person.delete({ where: { email: 'ana.canari@x.example' } })),
  left: () => prisma.person.findMany({ ...all, include: { comments: true } })
}

const told = value => JSON.parse(JSON.stringify(value, (_, v) => typeof v === 'bigint' ? `bigint:${v}` : v))

async function main () {
  begin('Prisma', '@prisma/client')
  for (const [name, work] of Object.entries(steps)) {
    await attempt(name, () => work().then(value => ({ seen: told(value) }), e => {
      if (!e.code) throw e
      return { error: { code: e.code, kind: e.name, meta: told(e.meta ?? null) } }
    }))
  }
  await prisma.$disconnect()
}

main()
