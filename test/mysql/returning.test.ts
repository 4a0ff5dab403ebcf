/** New rows of models where the server has no RETURNING: MySQL. What it would refuse is refused here, by a server in front of MariaDB. */

import { createDb, type Db } from 'genever'
import { Model } from 'genever/models'
import { sandboxed } from 'genever/testing'
import { sql } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { hasReturning } from '../../src/driver/mysql/driver.ts'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'
import { withoutReturning, type WithoutReturning } from '../support/without-returning.ts'

describe('whether a server has RETURNING is read from its version', () => {
  test.each([
    ['5.5.5-10.11.4-MariaDB-1:10.11.4+maria~deb12', true],
    ['11.4.2-MariaDB-log', true],
    ['10.5.1-MariaDB', true],
    ['5.5.5-10.4.34-MariaDB', false],
    ['8.0.40', false],
    ['9.1.0-commercial', false],
    ['8.0.11-TiDB-v7.5.0', false],
    ['12.0.1', false],
    ['', false],
  ])('%s', (version, expected) => {
    expect(hasReturning(version)).toBe(expected)
  })
})

const numbered = d.mysqlTable('numbered', {
  id: d.bigint({ mode: 'bigint' }).autoincrement().primaryKey(),
  name: d.varchar({ length: 20 }).unique(),
  n: d.int().notNull().default(7),
})
const coded = d.mysqlTable('coded', { code: d.varchar({ length: 20 }).primaryKey(), n: d.int().default(7) })
const filled = d.mysqlTable('filled', {
  id: d
    .char({ length: 36 })
    .default(sql`(uuid())`)
    .primaryKey(),
  n: d.int(),
})
const keyless = d.mysqlTable('keyless', { n: d.int() })
const moved = d.mysqlTable('moved', { id: d.int().autoincrement().primaryKey(), n: d.int() })
const changed = d.mysqlTable('changed', { id: d.int().primaryKey(), n: d.int() })

describeMysql('new rows without RETURNING', () => {
  let server: FreshMysql
  let front: WithoutReturning
  let db: Db
  beforeAll(async () => {
    server = await freshMysql(
      'create table numbered (id bigint primary key auto_increment, name varchar(20) unique, n int not null default 7)',
      'create table coded (code varchar(20) primary key, n int default 7)',
      'create table filled (id char(36) primary key default (uuid()), n int)',
      'create table keyless (n int)',
      'create table changed (id int primary key, n int)',
      'create table moved (id int primary key auto_increment, n int)',
      'insert into moved values (1, 5), (-3, 6)',
      'create trigger moving before insert on moved for each row set new.id = if(new.n = 9, new.id + 100, new.id)',
      'create trigger changing before insert on changed for each row set new.id = new.id + 100',
    )
    front = await withoutReturning(server.url)
    db = createDb(front.url)
  })
  afterAll(async () => {
    await db.close()
    await front[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    expect(front.refused).toEqual([])
  })
  afterEach(async () => {
    for (const table of ['numbered', 'coded', 'filled', 'keyless', 'changed'])
      await server.query(`delete from ${table}`)
  })

  const numbers = () => class Numbered extends Model(db, numbered) {}
  const codes = () => class Coded extends Model(db, coded) {}

  test('the first statement of an engine may be a new row, also in a transaction', async () => {
    await using fresh = createDb(front.url)
    class Numbered extends Model(fresh, numbered) {}
    await fresh.transaction(async () => {
      expect(await Numbered.create({ name: 'a' })).toMatchObject({ name: 'a', n: 7 })
    })
    expect(await Numbered.query().count()).toBe(1)
  })

  test('a sandbox knows what its server has', async () => {
    const Numbered = numbers()
    await sandboxed(db, async () => {
      expect(await Numbered.create({ name: 'a' })).toMatchObject({ name: 'a', n: 7 })
      expect(await Numbered.upsert({ name: 'a', n: 8 })).toMatchObject({ name: 'a', n: 8 })
    })
    expect(await Numbered.query().count()).toBe(0)
  })

  test('rows that the database numbers are inserted one by one, and are read together', async () => {
    const Numbered = numbers()
    await Numbered.query().count()
    const from = front.texts.length
    const rows = await Numbered.createMany([{ name: 'a' }, { id: 2n ** 62n, name: 'b' }, { id: 0n, name: 'c' }, {}])

    expect(rows.map(({ name, n }) => [name, n])).toEqual([
      ['a', 7],
      ['b', 7],
      ['c', 7],
      [null, 7],
    ])
    expect(rows[1]?.id).toBe(2n ** 62n)
    expect(rows[2]?.id).toBe(2n ** 62n + 1n)
    for (const row of rows) expect(await Numbered.get(row.id)).toEqual(row)
    const reads = front.texts.slice(from).filter((text) => /^select .* in \(/.test(text))
    expect(reads).toHaveLength(1)
  })

  test('rows that have their keys are inserted by one statement, and come in their order', async () => {
    const Coded = codes()
    await Coded.query().count()
    const from = front.texts.length
    const rows = await Coded.createMany([{ code: 'b' }, { code: 'a', n: 1 }, { code: 'Ü', n: null }])

    expect(rows.map(({ code, n }) => [code, n])).toEqual([
      ['b', 7],
      ['a', 1],
      ['Ü', null],
    ])
    expect(front.texts.slice(from).filter((text) => text.startsWith('insert'))).toHaveLength(1)
    expect(await Coded.createMany([])).toEqual([])
  })

  test('new rows at the same time have numbers of their own', async () => {
    const Numbered = numbers()
    const made = await Promise.all(Array.from({ length: 20 }, (_, n) => Numbered.create({ name: `n${n}`, n })))
    const stored = await server.query('select cast(id as char) as id, n from numbered order by n')

    expect(made.map(({ id, n }) => ({ id: String(id), n }))).toEqual(stored)
  })

  test('what could not be found again is refused by name before anything is sent', async () => {
    class Filled extends Model(db, filled) {}
    class Keyless extends Model(db, keyless) {}
    const [Numbered, Coded] = [numbers(), codes()]
    await Numbered.query().count()
    const from = front.texts.length
    const refusals: [Promise<unknown>, string][] = [
      [Filled.create({ n: 1 }), 'the database fills in id'],
      [Filled.createMany([{ id: 'x' }, { n: 1 }]), 'the database fills in id'],
      [Coded.create({ code: sql`'x'` }), 'code is set by SQL'],
      [Keyless.create({ n: 1 }), 'it has no primary key'],
      [Numbered.upsert({ id: 1n, name: 'a' }), 'both id and name may decide'],
      [Numbered.upsert({ name: 'a' }, { update: { name: 'b' } }), 'it may change name'],
      [Numbered.upsertMany([{ name: 'a' }, { name: sql`'b'` }]), 'only the server knows name'],
      [Numbered.delete().everyRow().returning().apply(), 'DELETE of this server has no RETURNING'],
    ]
    for (const [call, why] of refusals)
      expect(await caught(call)).toMatchObject({ name: 'UsageError', message: expect.stringContaining(why) })

    expect(front.texts.slice(from)).toEqual([])
    expect(await Filled.create({ id: 'mine' })).toMatchObject({ id: 'mine', n: null })
  })

  test('a row whose key a trigger changes is taken back, and the transaction around it goes on', async () => {
    class Changed extends Model(db, changed) {}
    expect((await caught(Changed.create({ id: 1 }))).name).toBe('NoResultError')
    await db.transaction(async () => {
      await codes().create({ code: 'kept' })
      expect((await caught(Changed.createMany([{ id: 1 }, { id: 2 }]))).message).toContain('a trigger changed the key')
    })

    expect(await server.query('select code from coded')).toEqual([{ code: 'kept' }])
    expect(await server.query('select id from changed')).toEqual([])
  })

  test('a number that a trigger changes is noticed where the number given has a row already', async () => {
    class Moved extends Model(db, moved) {}
    for (const id of [1, -3]) expect((await caught(Moved.create({ id, n: 9 }))).name).toBe('NoResultError')
    const both = [
      { id: 8, n: 9 },
      { id: 1, n: 9 },
    ]
    expect((await caught(Moved.createMany(both))).name).toBe('NoResultError')
    expect(await Moved.create({ id: -7, n: 1 })).toMatchObject({ id: -7, n: 1 })
    expect(await Moved.createMany([{ id: 20 }, { id: 21 }])).toMatchObject([{ id: 20 }, { id: 21 }])
    expect(await server.query('select id from moved order by id')).toEqual([-7, -3, 1, 20, 21].map((id) => ({ id })))
  })

  test('a new row that fails takes back itself alone, and the transaction around it commits', async () => {
    const Coded = codes()
    await db.transaction(async () => {
      await Coded.create({ code: 'a' })
      expect((await caught(Coded.create({ code: 'a' }))).name).toBe('UniqueViolationError')
    })
    expect(await server.query('select code from coded')).toEqual([{ code: 'a' }])
  })

  test('a new row of a transaction that is rolled back is none any more', async () => {
    const Numbered = numbers()
    const fresh = Object.assign(new Numbered(), { name: 'later' })
    const made: InstanceType<typeof Numbered>[] = []
    await caught(
      db.transaction(async () => {
        made.push(await Numbered.create({ name: 'a' }), await Numbered.create(fresh))
        expect(made[1]).toBe(fresh)
        throw new Error('no')
      }),
    )
    for (const row of made) expect((await caught(row.delete())).name).toMatch(/NoSuchRowError|UsageError/)
    await Numbered.create(fresh)
    expect(await server.query('select name, n from numbered')).toEqual([{ name: 'later', n: 7 }])
  })

  test('an upsert reads what others have committed since the transaction began', async () => {
    const [Numbered, Coded] = [numbers(), codes()]
    await db.transaction(
      async () => {
        expect(await Numbered.query().count()).toBe(0)
        await server.query("insert into numbered (name, n) values ('a', 1)")
        await server.query("insert into coded values ('x', 1)")
        expect(await Numbered.upsert({ name: 'a', n: 1 })).toMatchObject({ name: 'a', n: 1 })
        const [changed, added] = await Coded.upsertMany([{ code: 'x', n: 1 }, { code: 'y' }])
        expect([changed?.n, added?.n]).toEqual([1, 7])
      },
      { isolation: 'repeatable read' },
    )
    expect(await Numbered.upsert({ name: null })).toMatchObject({ name: null, n: 7 })
    expect(await Numbered.upsert({ n: 3 })).toMatchObject({ name: null, n: 3 })
    expect(await Numbered.query().count()).toBe(3)
  })

  test('an update reads its row as it is now, not as the transaction first saw the table', async () => {
    const Coded = codes()
    const row = await Coded.create({ code: 'x', n: 1 })
    await db.transaction(
      async () => {
        await Coded.query().count()
        await server.query("update coded set n = 2 where code = 'x'")
        await row.update({ n: sql`${coded.n} * 1` })
        expect(row.n).toBe(2)
      },
      { isolation: 'repeatable read' },
    )
  })
})
