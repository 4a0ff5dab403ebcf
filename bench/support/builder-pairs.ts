// The same statement of the same builder on both sides: on Genever, and on a pool of node-postgres of the same size. Both
// versions of Drizzle are loaded from their installs; the second has the types of the first, which agree in what is used.
import { createRequire } from 'node:module'
import type * as Orm from 'drizzle-orm'
import type * as NodePostgres from 'drizzle-orm/node-postgres'
import type * as PgCore from 'drizzle-orm/pg-core'
import { pathToFileURL } from 'node:url'
import { createDb, type Db } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { type Generated, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { keys } from './keys.ts'
import { poolSize, posts as most } from './workloads.ts'

export type Operation = () => PromiseLike<unknown>

export interface Pair {
  readonly title: string
  readonly own: Operation
  readonly genever: Operation
}

export interface BuilderPairs {
  readonly name: string
  readonly pairs: readonly Pair[]
  readonly close: () => Promise<void>
}

const key = keys(most)

/** One builder after the other, each with pools of its own. */
export async function* builderPairs(url: string): AsyncGenerator<BuilderPairs> {
  for (const [name, install] of [
    ['drizzle-0.45', '../../package.json'],
    ['drizzle-1.0', '../../test/installs/drizzle-1/package.json'],
  ] as const) {
    const { db, pool, close } = await open(url)
    yield { name, pairs: await drizzlePairs(createRequire(new URL(`../${install}`, import.meta.url)), db, pool), close }
  }
  const { db, pool, close } = await open(url)
  yield { name: 'kysely', pairs: kyselyPairs(db, pool), close }
}

async function open(url: string): Promise<{ db: Db; pool: pg.Pool; close: () => Promise<void> }> {
  const db = await createDb(url, { driver: 'pg', pool: { max: poolSize } }).open()
  const pool = new pg.Pool({ connectionString: url, max: poolSize })
  return {
    db,
    pool,
    async close() {
      await db.close()
      await pool.end()
    },
  }
}

async function drizzlePairs(require: NodeJS.Require, db: Db, pool: pg.Pool): Promise<Pair[]> {
  const load = (name: string): Promise<unknown> =>
    import(pathToFileURL(require.resolve(name)).href.replace(/\.cjs$/, '.js'))
  const { drizzle } = (await load('drizzle-orm/node-postgres')) as typeof NodePostgres
  const { eq, gt, sql } = (await load('drizzle-orm')) as typeof Orm
  const { boolean, integer, pgTable, text, timestamp } = (await load('drizzle-orm/pg-core')) as typeof PgCore
  const posts = pgTable('posts', {
    id: integer().primaryKey(),
    authorId: integer('author_id').notNull(),
    title: text().notNull(),
    body: text().notNull(),
    published: boolean().notNull(),
    score: integer().notNull(),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
  })
  const log = pgTable('log', {
    id: integer().primaryKey().generatedAlwaysAsIdentity(),
    postId: integer('post_id').notNull(),
  })
  const theirs = drizzle({ client: pool })
  const ours = ambient(db, (client) => drizzle({ client }))
  const id = sql.placeholder('id')
  const row = (q: typeof theirs) => q.select().from(posts).where(eq(posts.id, key()))
  const page = (q: typeof theirs) =>
    q
      .select()
      .from(posts)
      .where(gt(posts.id, key(most - 100)))
      .orderBy(posts.id)
      .limit(100)
  const add = (q: typeof theirs) => q.insert(log).values({ postId: key() }).returning()
  const rowById = (q: typeof theirs) => q.select().from(posts).where(eq(posts.id, id))
  const pageById = (q: typeof theirs) => q.select().from(posts).where(gt(posts.id, id)).orderBy(posts.id).limit(100)
  const addById = (q: typeof theirs) => q.insert(log).values({ postId: id }).returning()
  const [ourRow, ourPage, ourAdd] = [
    rowById(ours).prepare('row'),
    pageById(ours).prepare('page'),
    addById(ours).prepare('add'),
  ]
  const [theirRow, theirPage, theirAdd] = [
    rowById(theirs).prepare('row'),
    pageById(theirs).prepare('page'),
    addById(theirs).prepare('add'),
  ]
  const [bakedRow, bakedPage, bakedAdd] = [db.bake(rowById(ours)), db.bake(pageById(ours)), db.bake(addById(ours))]
  const values = (limit = most): { id: number } => ({ id: key(limit) })
  return [
    { title: 'one row', own: () => row(theirs), genever: () => row(ours) },
    { title: '100 rows', own: () => page(theirs), genever: () => page(ours) },
    { title: 'insert returning', own: () => add(theirs), genever: () => add(ours) },
    { title: 'one row, db.first(builder)', own: () => row(theirs), genever: () => db.first(row(ours)) },
    { title: 'one row, prepared', own: () => theirRow.execute(values()), genever: () => ourRow.execute(values()) },
    {
      title: '100 rows, prepared',
      own: () => theirPage.execute(values(9_900)),
      genever: () => ourPage.execute(values(9_900)),
    },
    {
      title: 'insert returning, prepared',
      own: () => theirAdd.execute(values()),
      genever: () => ourAdd.execute(values()),
    },
    {
      title: 'one row, prepared / baked',
      own: () => theirRow.execute(values()),
      genever: () => bakedRow.all(values()),
    },
    {
      title: '100 rows, prepared / baked',
      own: () => theirPage.execute(values(9_900)),
      genever: () => bakedPage.all(values(9_900)),
    },
    {
      title: 'insert returning, prepared / baked',
      own: () => theirAdd.execute(values()),
      genever: () => bakedAdd.all(values()),
    },
  ]
}

interface Tables {
  posts: {
    id: number
    author_id: number
    title: string
    body: string
    published: boolean
    score: number
    created_at: Date
  }
  log: { id: Generated<number>; post_id: number }
}

function kyselyPairs(db: Db, pool: pg.Pool): Pair[] {
  // Its pool is closed with the others, not by `destroy`.
  const theirs = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  const ours = kysely<Tables>(db)
  const row = (k: Kysely<Tables>, id: number) => k.selectFrom('posts').selectAll().where('id', '=', id)
  const page = (k: Kysely<Tables>, id: number) =>
    k.selectFrom('posts').selectAll().where('id', '>', id).orderBy('id').limit(100)
  const add = (k: Kysely<Tables>, id: number) => k.insertInto('log').values({ post_id: id }).returningAll()
  const [bakedRow, bakedPage, bakedAdd] = [
    db.bake((p: { id: number }) => row(ours, p.id)),
    db.bake((p: { id: number }) => page(ours, p.id)),
    db.bake((p: { id: number }) => add(ours, p.id)),
  ]
  return [
    { title: 'one row', own: () => row(theirs, key()).execute(), genever: () => row(ours, key()).execute() },
    {
      title: '100 rows',
      own: () => page(theirs, key(9_900)).execute(),
      genever: () => page(ours, key(9_900)).execute(),
    },
    { title: 'insert returning', own: () => add(theirs, key()).execute(), genever: () => add(ours, key()).execute() },
    {
      title: 'one row, db.first(builder)',
      own: () => row(theirs, key()).execute(),
      genever: () => db.first(row(ours, key())),
    },
    { title: 'one row / baked', own: () => row(theirs, key()).execute(), genever: () => bakedRow.all({ id: key() }) },
    {
      title: '100 rows / baked',
      own: () => page(theirs, key(9_900)).execute(),
      genever: () => bakedPage.all({ id: key(9_900) }),
    },
    {
      title: 'insert returning / baked',
      own: () => add(theirs, key()).execute(),
      genever: () => bakedAdd.all({ id: key() }),
    },
  ]
}
