/** Builders in the methods of a db, and what may not be given to them. */

import { eq, getTableColumns, gt, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { QueryBuilder } from 'drizzle-orm/pg-core'
import {
  createDb,
  MultipleResultsError,
  NotBoundError,
  NoResultError,
  Status,
  TransactionEndedError,
  UsageError,
} from 'genever'
import { Model, plain } from 'genever/models'
import pg from 'pg'
import { beforeEach, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { ambientOn, is1, onBoth } from './support.ts'
import { posts, rowsSql, tablesDdl, users } from './tables.ts'

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))
  const joined = () =>
    bench.ours.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).orderBy(users.id, posts.id)

  test('all, first, one and oneOrNone decode rows as the builder does', async () => {
    const rows = await joined()
    const one = () => bench.ours.select().from(users).where(eq(users.id, 1))

    expect(await bench.db.all(joined())).toEqual(rows)
    expect(await bench.db.first(joined())).toEqual(rows[0])
    expect(await bench.db.one(one())).toEqual(rows[0]?.users)
    expect(await bench.db.oneOrNone(one())).toEqual(rows[0]?.users)
    expect(await bench.db.first(bench.ours.select().from(users).where(eq(users.id, -1)))).toBeUndefined()
    expect(rows.find(({ users: user }) => user.name === 'cid')).toMatchObject({ posts: null })
  })

  // The mapper of 1.0 writes on the global object itself.
  test.skipIf(is1)('a selection may be called as what each object has', async () => {
    const asked = bench.ours
      .select({ constructor: { id: users.id, name: users.name }, toString: { id: users.id } })
      .from(users)
      .where(eq(users.id, 1))

    const [row] = (await bench.db.all(asked)) as unknown as Record<string, unknown>[]

    expect(Object.entries(row ?? {})).toEqual([
      ['constructor', { id: 1, name: expect.any(String) }],
      ['toString', { id: 1 }],
    ])
    expect(Object.hasOwn(Object, 'id')).toBe(false)
  })

  test('the option into makes instances of rows that the builder has decoded, by their members', async () => {
    class User extends Model(bench.db, users) {}
    class Post extends Model(bench.db, posts) {}
    const both = () =>
      bench.ours
        .select({ ...getTableColumns(users), post: posts })
        .from(users)
        .leftJoin(posts, eq(posts.authorId, users.id))
        .orderBy(users.id, posts.id)

    const rows = await both()
    const made = await bench.db.all(both(), { into: User.load({ post: Post }) })

    expect(made.every((user) => user instanceof User && (user.post === null || user.post instanceof Post))).toBe(true)
    expect(plain(made)).toEqual(rows)
    expect(rows.some(({ post }) => post === null) && rows.some(({ post }) => post !== null)).toBe(true)
    expect(await bench.db.first(both(), { into: (row: { name: string }) => row.name })).toBe(rows[0]?.name)
    expect(await bench.db.all(sql`select * from ${users} order by id`, { into: User })).toEqual(
      await User.query().orderBy(User.c.id),
    )
    const lacking = await caught(bench.db.all(joined(), { into: User }))
    expect(lacking).toBeInstanceOf(UsageError)
    expect((lacking as Error).message).toContain('User needs "id"')
    for await (const user of bench.db.iterate(bench.ours.select().from(users), { into: User }))
      expect(user).toBeInstanceOf(User)
  })

  test('one and oneOrNone count the rows', async () => {
    expect(await caught(bench.db.one(joined()))).toBeInstanceOf(MultipleResultsError)
    expect(await caught(bench.db.oneOrNone(joined()))).toBeInstanceOf(MultipleResultsError)
    expect(await caught(bench.db.one(bench.ours.select().from(users).where(eq(users.id, -1))))).toBeInstanceOf(
      NoResultError,
    )
  })

  test('the types of rows are those of the builder', () => {
    expectTypeOf(bench.db.first(bench.ours.select({ at: posts.at }).from(posts))).resolves.toEqualTypeOf<
      { at: Date } | undefined
    >()
    expectTypeOf(
      bench.db.all(bench.ours.insert(users).values({ name: '' }).returning({ id: users.id })),
    ).resolves.toEqualTypeOf<{ id: number }[]>()
  })

  test('first loads one row', async () => {
    const db = await bench.open({ name: `first_${bench.driver}` })
    using heard = hear(`first_${bench.driver}`)
    await db.first(ambientOn(db).select().from(users))

    expect(heard.statements.map(({ returnedRows }) => returnedRows)).toEqual([1])
  })

  test('scalar is the first column of the first row, decoded', async () => {
    const { db, ours } = bench

    expect(await db.scalar(ours.select({ born: users.born }).from(users).orderBy(users.id))).toEqual(
      new Date('1990-01-02T03:04:05Z'),
    )
    expect(await db.scalar(joined())).toBe(1)
    expect(
      await db.scalar(
        ours
          .select({ post: { at: posts.at }, id: posts.id })
          .from(posts)
          .where(eq(posts.id, 1)),
      ),
    ).toEqual(new Date('2026-01-01T00:00:00Z'))
    expect(
      await db.scalar(
        ours
          .select({ post: posts, user: users })
          .from(users)
          .rightJoin(posts, eq(posts.authorId, users.id))
          .where(eq(posts.id, 3)),
      ),
    ).toBe(3)
    expect(await db.scalar(ours.select().from(users).where(eq(users.id, -1)))).toBeUndefined()
    expect(await db.scalar(ours.select({ nick: users.nick }).from(users).where(eq(users.id, 1)))).toBeNull()
    expect(await db.scalar(ours.insert(users).values({ name: 'dan' }).returning({ born: users.born }))).toBeNull()
    expect(await db.scalar(ours.$count(users))).toBe(4)
  })

  test('status takes a builder without returning, and decodes what another returns', async () => {
    const { db, ours } = bench
    const status = await db.status(ours.insert(users).values([{ name: 'dan' }, { name: 'eve' }]))

    expect(status).toBeInstanceOf(Status)
    expect(String(status)).toBe('INSERT 0 2')
    expect((await db.status(ours.update(users).set({ nick: 'x' }).where(eq(users.id, 1)).returning())).rows).toEqual(
      await ours.select().from(users).where(eq(users.id, 1)),
    )
  })

  test('iterate decodes page by page', async () => {
    const rows: unknown[] = []
    for await (const row of bench.db.iterate(joined(), { batchSize: 1 })) rows.push(row)
    const cursor = bench.db.iterate(joined(), { batchSize: 2 })

    expect(rows).toEqual(await joined())
    expect(await cursor.read(3)).toEqual(rows.slice(0, 3))
    expect(await cursor.read()).toEqual(rows[3])
    await cursor.close()
  })

  test("Drizzle's own sql`…` runs like text of db.sql", async () => {
    const query = sql`select ${users.id} as id, ${posts.at} as at from ${users} join ${posts} on ${eq(posts.authorId, users.id)} where ${gt(posts.id, 1)}`

    expect(await bench.db.all(query)).toEqual([{ id: 1, at: new Date('2026-01-02T10:00:00Z') }])
    expect(await bench.db.one<{ id: number }>(query)).toMatchObject({ id: 1 })
    expect(await bench.db.scalar(query)).toBe(1)
    expect((await bench.db.status(sql`update ${users} set nick = ${'z'}`)).rowCount).toBe(3)
  })

  test('a builder on another pool is refused before anything is sent', async () => {
    const db = await bench.open({ name: `foreign_${bench.driver}` })
    const pool = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })
    const other = drizzle({ client: pool })
    using heard = hear(`foreign_${bench.driver}`)
    for (const query of [
      other.select().from(users),
      other.insert(users).values({ name: 'never' }),
      new QueryBuilder().select().from(users),
    ]) {
      const error = await caught(db.status(query as never))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toMatch(/another client.*ambient\(db, make\)/)
    }

    expect(heard.statements).toEqual([])
    await pool.end()
  })

  test('a builder with placeholders is refused: it is for prepare', async () => {
    const query = bench.ours
      .select()
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))

    expect((await caught(bench.db.all(query))).message).toMatch(/placeholders.*prepare it/)
  })

  test('a table, a column and a prepared query are no queries', async () => {
    const prepared = bench.ours.select().from(users).prepare('p')
    for (const nothing of [users, users.id, prepared]) {
      const error = await caught(bench.db.all(nothing as never))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('is not a query')
    }
  })

  test('q.execute(…) given to a db runs once, there', async () => {
    expect(await bench.db.all(bench.ours.execute(sql`select count(*) as n from ${users}`) as never)).toEqual([{ n: 3 }])
  })

  test('a builder without rows is only for status', () => {
    // @ts-expect-error -- an insert without returning has no rows
    const wrong = (): unknown => bench.db.all(bench.ours.insert(users).values({ name: '' }))

    expect(wrong).toBeTypeOf('function')
  })

  test('the database is that of the db, here and now: unbound, bound for a callback', async () => {
    const unbound = createDb()
    const q = ambientOn(unbound)

    expect(await caught(q.select().from(users))).toBeInstanceOf(NotBoundError)
    const db = await bench.open()
    await using database = await freshDatabase()
    const engine = await createDb().bind(database.url)
    await unbound.withBind(engine, async () => {
      await unbound.status(tablesDdl)
      await q.insert(users).values({ name: 'elsewhere' })
      expect(await q.select({ name: users.name }).from(users)).toEqual([{ name: 'elsewhere' }])
    })
    expect(await caught(q.select().from(users))).toBeInstanceOf(NotBoundError)
    expect(await db.scalar("select count(*) from users where name = 'elsewhere'")).toBe(0)
    await engine.close()
  })

  test('a builder of a transaction that has ended is refused', async () => {
    const made = await bench.db.transaction(() => ({ query: bench.ours.insert(users).values({ name: 'late' }) }))

    expect(await caught(bench.db.status(made.query))).toBeInstanceOf(TransactionEndedError)
    expect(await bench.ours.$count(users)).toBe(3)
  })

  test('a custom type that throws while decoding fails that query alone', async () => {
    const bad = sql`1`.mapWith(() => {
      throw new Error('decoder')
    })

    expect((await caught(bench.db.all(bench.ours.select({ bad }).from(users)))).message).toBe('decoder')
    expect((await caught(bench.ours.select({ bad }).from(users))).message).toBe('decoder')
    expect(await bench.ours.$count(users)).toBe(3)
  })
})
