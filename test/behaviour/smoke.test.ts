import { createDb } from 'genever'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'

test('a statement, a scope and a transaction run on one connection', async () => {
  await using database = await freshDatabase('create table t (n int primary key, s text)')
  const db = createDb(database.url)
  expect(await db.scalar('select 1')).toBe(1)
  expect(await db.all('select $1::int as n, :s as s'.replace(':s', '$2::text'), [1, 'x'])).toEqual([{ n: 1, s: 'x' }])
  const pid = (): Promise<number | undefined> => db.scalar<number>('select pg_backend_pid()')
  await db.scope(async (c) => {
    const a = await pid()
    expect(await pid()).toBe(a)
    expect(await c.scalar('select pg_backend_pid()')).toBe(a)
    await db.transaction(async (tx) => {
      expect(await tx.scalar('select pg_backend_pid()')).toBe(a)
      await db.status('insert into t values (1, $1)', ['a'])
      await expect(db.transaction(async () => { await db.status('insert into t values (1, $1)', ['b']) })).rejects.toThrow(/duplicate/)
      await db.transaction(async () => { await db.status('insert into t values (2, $1)', ['b']) })
    })
  })
  expect(await db.sql`select count(*)::int as n from t where n > ${0}`).toEqual([{ n: 2 }])
  const seen: unknown[] = []
  for await (const row of db.iterate('select g from generate_series(1, 250) g')) seen.push(row)
  expect(seen).toHaveLength(250)
  await expect(db.transaction(async () => { await db.status('insert into t values (3)'); throw new TypeError('x') })).rejects.toThrow('x')
  expect(await db.scalar('select count(*)::int from t')).toBe(2)
  expect(String(db)).toContain('1/10 open, 0 lent, 1 idle')
  await db.close()
})
