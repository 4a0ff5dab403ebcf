// Drizzle and Kysely in `bench/mysql.ts`: on mysql2, and the same statements on Genever.
import { eq, gt, sql } from 'drizzle-orm'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import { createDb } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely as onGenever } from 'genever/kysely'
import { type Generated, Kysely, MysqlDialect } from 'kysely'
import { poolSize } from '../workloads.ts'
import { type MysqlSide, mysqlPool, type Within } from './sides.ts'
import { log, posts } from './tables.ts'

export function drizzleOnMysql2(url: string): readonly MysqlSide[] {
  const client = mysqlPool(url)
  const db = drizzle({ client })
  const built = drizzleSide('drizzle 0.45', db, () => client.promise().end())
  return [
    {
      ...built,
      async stream(after) {
        let count = 0
        for await (const _ of postsAfter(db, after, 1_000).iterator()) count++
        return count
      },
    },
    preparedSide(db),
  ]
}

export async function drizzleOnGenever(url: string): Promise<MysqlSide> {
  const db = await createDb(url, { pool: { max: poolSize } }).open()
  const side = drizzleSide(
    'drizzle 0.45 on genever',
    ambient(db, (client) => drizzle({ client })),
    () => db.close(),
  )
  return { ...side, request: (work) => db.scope(() => work(side)) }
}

function drizzleSide(name: string, db: MySql2Database, close: MysqlSide['close']): MysqlSide {
  const within = (on: Pick<MySql2Database, 'select' | 'update' | 'insert'>): Within => ({
    row: async (id) => (await on.select().from(posts).where(eq(posts.id, id)))[0],
    score: (id, score) => on.update(posts).set({ score }).where(eq(posts.id, id)),
    insert: async (postId) => (await on.insert(log).values({ postId }))[0].insertId,
  })
  return {
    name,
    ...within(db),
    page: (after) => postsAfter(db, after, 100),
    request: (work) => work(within(db)),
    transaction: (work) => db.transaction((on) => work(within(on))),
    close,
  }
}

/** What is written once for all runs. */
function preparedSide(db: MySql2Database): MysqlSide {
  const id = sql.placeholder('id')
  const score = sql<number>`${sql.placeholder('score')}`
  const [row, page, update, insert] = [
    db.select().from(posts).where(eq(posts.id, id)).prepare(),
    db.select().from(posts).where(gt(posts.id, id)).orderBy(posts.id).limit(100).prepare(),
    db.update(posts).set({ score }).where(eq(posts.id, id)).prepare(),
    db.insert(log).values({ postId: id }).prepare(),
  ]
  const within: Within = {
    row: async (key) => (await row.execute({ id: key }))[0],
    score: (key, value) => update.execute({ id: key, score: value }),
    insert: async (key) => (await insert.execute({ id: key }))[0].insertId,
  }
  return {
    name: 'drizzle 0.45, prepared',
    ...within,
    page: (after) => page.execute({ id: after }),
    request: (work) => work(within),
    close: () => Promise.resolve(),
  }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- a builder's type
function postsAfter(db: MySql2Database, after: number, most: number) {
  return db.select().from(posts).where(gt(posts.id, after)).orderBy(posts.id).limit(most)
}

interface Tables {
  posts: {
    id: number
    author_id: number
    title: string
    body: string
    published: number
    score: number
    created_at: Date
  }
  log: { id: Generated<number>; post_id: number }
}

export function kyselyOnMysql2(url: string): MysqlSide {
  const db = new Kysely<Tables>({ dialect: new MysqlDialect({ pool: mysqlPool(url) }) })
  const side = kyselySide('kysely', db, () => db.destroy())
  return { ...side, request: (work) => db.connection().execute((on) => work(kyselyWithin(on))) }
}

export async function kyselyOnGenever(url: string): Promise<MysqlSide> {
  const db = await createDb(url, { pool: { max: poolSize } }).open()
  const side = kyselySide('kysely on genever', onGenever<Tables>(db), () => db.close())
  return { ...side, request: (work) => db.scope(() => work(side)) }
}

function kyselyWithin(on: Kysely<Tables>): Within {
  return {
    row: (id) => on.selectFrom('posts').selectAll().where('id', '=', id).executeTakeFirst(),
    score: (id, score) => on.updateTable('posts').set({ score }).where('id', '=', id).execute(),
    insert: async (id) => Number((await on.insertInto('log').values({ post_id: id }).executeTakeFirst()).insertId),
  }
}

function kyselySide(name: string, db: Kysely<Tables>, close: MysqlSide['close']): MysqlSide {
  const after = (id: number, most: number) =>
    db.selectFrom('posts').selectAll().where('id', '>', id).orderBy('id').limit(most)
  return {
    name,
    ...kyselyWithin(db),
    page: (id) => after(id, 100).execute(),
    transaction: (work) => db.transaction().execute((on) => work(kyselyWithin(on))),
    async stream(id) {
      let count = 0
      for await (const _ of after(id, 1_000).stream()) count++
      return count
    },
    close,
  }
}
