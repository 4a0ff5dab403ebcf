// Drizzle 0.45: queries built each time, and prepared.
import { eq, gt, relations, type SQLWrapper, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { authors, notes, posts } from './tables.ts'
import type { ModelSides, NewNote, Operations } from './workloads.ts'

const schema = {
  authors,
  posts,
  postsOfAuthor: relations(authors, ({ many }) => ({ posts: many(posts) })),
  authorOfPost: relations(posts, ({ one }) => ({
    author: one(authors, { fields: [posts.authorId], references: [authors.id] }),
  })),
}

export async function drizzle045(url: string, max: number): Promise<ModelSides> {
  const pool = new pg.Pool({ connectionString: url, max })
  const db = drizzle({ client: pool, schema })
  const get = (id: number | SQLWrapper) => db.select().from(posts).where(eq(posts.id, id))
  const page = (after: number | SQLWrapper) =>
    db.select().from(posts).where(gt(posts.id, after)).orderBy(posts.id).limit(100)
  const author = (id: number | SQLWrapper) =>
    db.query.authors.findFirst({ where: eq(authors.id, id), with: { posts: true } })
  const create = (values: NewNote) => db.insert(notes).values(values).returning({ id: notes.id })
  const { placeholder } = sql
  const prepared = {
    get: get(placeholder('id')).prepare('get'),
    page: page(placeholder('after')).prepare('page'),
    author: author(placeholder('id')).prepare('author'),
    create: db
      .insert(notes)
      .values({
        authorId: placeholder('authorId'),
        title: placeholder('title'),
        body: placeholder('body'),
        published: placeholder('published'),
        score: placeholder('score'),
        createdAt: placeholder('createdAt'),
      })
      .returning({ id: notes.id })
      .prepare('create'),
    update: db
      .update(posts)
      .set({ score: sql`${placeholder('score')}` })
      .where(eq(posts.id, placeholder('id')))
      .prepare('update'),
  }
  const plain: Operations = {
    get: async (id) => (await get(id))[0],
    page,
    author,
    create: async (values) => (await create(values))[0]?.id,
    update: (id, score) => db.update(posts).set({ score }).where(eq(posts.id, id)),
    async createMany(rows) {
      const made = await db
        .insert(notes)
        .values([...rows])
        .returning()
      return made.map(({ id }) => id)
    },
  }
  const named: Partial<Operations> = {
    get: async (id) => (await prepared.get.execute({ id }))[0],
    page: (after) => prepared.page.execute({ after }),
    author: (id) => prepared.author.execute({ id }),
    create: async (values) => (await prepared.create.execute({ ...values }))[0]?.id,
    update: (id, score) => prepared.update.execute({ id, score }),
  }
  return {
    sides: [
      { name: 'drizzle 0.45', kind: 'orm', operations: plain },
      { name: 'drizzle 0.45, prepared', kind: 'orm', operations: named },
    ],
    close: () => pool.end(),
  }
}
