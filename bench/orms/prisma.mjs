// Prisma: generated client, driver adapter for node-postgres.
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from './node_modules/.generated/client.mjs'

export async function open(url, max) {
  const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max }) })
  await client.$connect()
  const operations = {
    get: (id) => client.post.findUnique({ where: { id } }),
    page: (after) => client.post.findMany({ where: { id: { gt: after } }, orderBy: { id: 'asc' }, take: 100 }),
    author: (id) => client.author.findUnique({ where: { id }, include: { posts: true } }),
    create: async (values) => (await client.note.create({ data: values, select: { id: true } })).id,
    update: (id, score) => client.post.updateMany({ where: { id }, data: { score } }),
    async createMany(rows) {
      const made = await client.note.createManyAndReturn({ data: rows, select: { id: true } })
      return made.map(({ id }) => id)
    },
  }
  return { sides: [{ name: '', operations }], close: () => client.$disconnect() }
}
