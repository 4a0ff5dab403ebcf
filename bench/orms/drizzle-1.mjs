// Drizzle 1.0, with generated decoders (`jit`): queries built each time, and prepared.
import { defineRelations, eq, gt, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import pg from 'pg'

const columns = () => ({
  authorId: integer('author_id').notNull(),
  title: text().notNull(),
  body: text().notNull(),
  published: boolean().notNull(),
  score: integer().notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
})
const authors = pgTable('authors', { id: integer().primaryKey(), name: text().notNull(), email: text().notNull() })
const posts = pgTable('posts', { id: integer().primaryKey(), ...columns() })
const notes = pgTable('notes', { id: integer().primaryKey().generatedByDefaultAsIdentity(), ...columns() })
const relations = defineRelations({ authors, posts }, (r) => ({
  authors: { posts: r.many.posts() },
  posts: { author: r.one.authors({ from: r.posts.authorId, to: r.authors.id }) },
}))

export async function open(url, max) {
  const pool = new pg.Pool({ connectionString: url, max })
  const db = drizzle({ client: pool, relations, jit: true })
  const get = (id) => db.select().from(posts).where(eq(posts.id, id))
  const page = (after) => db.select().from(posts).where(gt(posts.id, after)).orderBy(posts.id).limit(100)
  const author = (id) => db.query.authors.findFirst({ where: { id }, with: { posts: true } })
  const create = (values) => db.insert(notes).values(values).returning({ id: notes.id })
  const update = (id, score) => db.update(posts).set({ score }).where(eq(posts.id, id))
  const { placeholder } = sql
  const prepared = {
    get: get(placeholder('id')).prepare('get'),
    page: page(placeholder('after')).prepare('page'),
    author: author(placeholder('id')).prepare('author'),
    create: create(Object.fromEntries(Object.keys(columns()).map((column) => [column, placeholder(column)]))).prepare(
      'create',
    ),
    update: update(placeholder('id'), sql`${placeholder('score')}`).prepare('update'),
  }
  const plain = {
    get: async (id) => (await get(id))[0],
    page,
    author,
    create: async (values) => (await create(values))[0].id,
    update,
    async createMany(rows) {
      const made = await db.insert(notes).values(rows).returning()
      return made.map(({ id }) => id)
    },
  }
  const named = {
    get: async (id) => (await prepared.get.execute({ id }))[0],
    page: (after) => prepared.page.execute({ after }),
    author: (id) => prepared.author.execute({ id }),
    create: async (values) => (await prepared.create.execute(values))[0].id,
    update: (id, score) => prepared.update.execute({ id, score }),
  }
  return {
    sides: [
      { name: '', operations: plain },
      { name: 'prepared', operations: named },
    ],
    close: () => pool.end(),
  }
}
