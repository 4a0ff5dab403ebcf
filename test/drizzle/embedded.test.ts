/** Drizzle's tables, columns, conditions and builders inside of db.sql. */

import { and, asc, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import { ParameterError, sql as text } from 'genever'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onBoth } from './support.ts'
import { posts, rowsSql, tablesDdl, titles, users } from './tables.ts'

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))

  test('tables, columns and views are names', async () => {
    const { db } = bench

    expect(await db.sql`select ${users.name} from ${users} where ${users.id} = ${2}`).toEqual([{ name: 'bob' }])
    expect(await db.sql`select ${posts.authorId} from ${posts} where ${posts.id} = ${1}`).toEqual([{ author_id: 1 }])
    expect(await db.sql`select title from ${titles} order by id limit 1`).toEqual([{ title: 'first' }])
  })

  test('an alias is told from its table', async () => {
    const other = alias(users, 'other')

    expect(await bench.db.sql`select ${other.name} from ${users} as ${other} where ${other.id} = ${1}`).toEqual([
      { name: 'ann' },
    ])
  })

  test('conditions, orders and sql are merged, and their values stay parameters', async () => {
    const { db } = bench
    const name = "o'; drop table posts --"
    const where = and(eq(users.name, name), inArray(users.id, [1, 2, 3]))!

    expect(await db.sql`select ${users.id} from ${users} where ${where} and 1 = ${1} and ${eq(users.id, 2)}`).toEqual(
      [],
    )
    expect(
      await db.sql`select id from ${users} where ${inArray(users.id, [1, 3])} order by ${desc(users.id)}, ${asc(users.name)}`,
    ).toEqual([{ id: 3 }, { id: 1 }])
    expect(await db.sql`select ${sql`upper(${'x'}::text)`} as up, ${7}::int as seven`).toEqual([{ up: 'X', seven: 7 }])
    expect(String(await bench.ours.$count(posts))).toBe('3')
  })

  test('builders are queries in parentheses that you write', async () => {
    const { db, ours } = bench
    const authors = ours.select({ id: posts.authorId }).from(posts).where(eq(posts.title, 'first'))

    expect(await db.sql`select name from ${users} where id in (${authors}) and ${users.id} > ${0}`).toEqual([
      { name: 'ann' },
    ])
    expect(
      await db.sql`with new as (${ours.insert(users).values({ name: 'dan' }).returning({ id: users.id })}) select id from new`,
    ).toEqual([{ id: 4 }])
  })

  test('a subquery has its alias, and its columns are named by it', async () => {
    const { db, ours } = bench
    const written = ours
      .select({ author: posts.authorId, n: sql<number>`count(*)`.as('n') })
      .from(posts)
      .where(gt(posts.id, 0))
      .groupBy(posts.authorId)
      .as('written')

    expect(
      await db.sql`select ${users.name}, n from ${users} join ${written} on ${written.author} = ${users.id} where ${1} = 1`,
    ).toEqual([{ name: 'ann', n: 2 }])
  })

  test('in a fragment of the sql tag too', async () => {
    const where = text`where ${eq(users.id, 3)}`

    expect(await bench.db.sql`select ${users.name} from ${users} ${where}`.one()).toEqual({ name: 'cid' })
  })

  test('as a value of a text query they are refused', async () => {
    const error = await caught(bench.db.all('select $1', [users.id]))

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toContain('db.sql')
  })
})
