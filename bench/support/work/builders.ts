// Kysely and Drizzle 0.45, which the models of `../models` describe, with transactions.
import { eq, gt, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { drizzle045 } from '../models/drizzle.ts'
import { kysely as plain, selected, type Tables } from '../models/plain.ts'
import { notes, posts } from '../models/tables.ts'
import type { NewNote } from '../models/workloads.ts'
import type { Within, WorkSide, WorkSides } from './workloads.ts'

export async function kysely(url: string, max: number): Promise<WorkSides> {
  const { sides, close } = await plain(url, max)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max }) }) })
  const within = (on: Kysely<Tables>): Within => ({
    get: (id) => on.selectFrom('posts').select(selected).where('id', '=', id).executeTakeFirst(),
    update: (id, score) => on.updateTable('posts').set({ score }).where('id', '=', id).execute(),
    create: ({ authorId, createdAt, ...values }) =>
      on
        .insertInto('notes')
        .values({ ...values, author_id: authorId, created_at: createdAt })
        .returning('id')
        .executeTakeFirst(),
  })
  const work: WorkSide['work'] = {
    ...withoutPages(sides[0]),
    rows: (after, limit) =>
      db.selectFrom('posts').select(selected).where('id', '>', after).orderBy('id').limit(limit).execute(),
    transaction: (inside) => db.transaction().execute((on) => inside(within(on))),
    checkout: (inside) => db.connection().execute((on) => inside(within(on))),
  }
  return { sides: [{ name: 'kysely', work }], close: () => Promise.all([close(), db.destroy()]) }
}

export async function drizzles(url: string, max: number): Promise<WorkSides> {
  const { sides, close } = await drizzle045(url, max)
  const pool = new pg.Pool({ connectionString: url, max })
  const db = drizzle({ client: pool })
  const within = (on: Pick<typeof db, 'select' | 'update' | 'insert'>): Within => ({
    get: async (id) => (await on.select().from(posts).where(eq(posts.id, id)))[0],
    update: (id, score) => on.update(posts).set({ score }).where(eq(posts.id, id)),
    create: (values: NewNote) => on.insert(notes).values(values).returning({ id: notes.id }),
  })
  const prepared = db
    .select()
    .from(posts)
    .where(gt(posts.id, sql.placeholder('after')))
    .orderBy(posts.id)
    .limit(sql.placeholder('limit'))
    .prepare('rows')
  const [built, named] = sides
  return {
    sides: [
      {
        name: 'drizzle 0.45',
        work: {
          ...withoutPages(built),
          rows: (after, limit) => db.select().from(posts).where(gt(posts.id, after)).orderBy(posts.id).limit(limit),
          transaction: (inside) => db.transaction((on) => inside(within(on))),
        },
      },
      {
        name: 'drizzle 0.45, prepared',
        work: { ...withoutPages(named), rows: (after, limit) => prepared.execute({ after, limit }) },
      },
    ],
    close: () => Promise.all([close(), pool.end()]),
  }
}

/** The operations of the models, whose pages have one length. */
export function withoutPages(side: { readonly operations: object } | undefined): WorkSide['work'] {
  const { page: _, ...work } = (side?.operations ?? {}) as { readonly page?: unknown }
  return work
}
