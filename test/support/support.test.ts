import { afterEach, expect, test, vi } from 'vitest'
import { databaseUrl, freshDatabase, onServer, query } from './database.ts'
import { until } from './until.ts'

afterEach(() => {
  vi.useRealTimers()
})

test('the server is a PostgreSQL of today that listens on this machine only', async () => {
  const [row] = await onServer(
    `select current_setting('server_version_num')::int / 10000 as major, inet_server_addr()::text`,
  )

  expect(row?.['major']).toBeGreaterThanOrEqual(14)
})

test('the database of a worker is the same at every call', async () => {
  const url = await databaseUrl()

  expect(await databaseUrl()).toBe(url)
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('a fresh database has what it was given, nothing of any other, and is gone when disposed of', async () => {
  const kept = await freshDatabase('create table gin (name text); insert into gin values ($$jonge$$)')
  const other = await freshDatabase()

  expect(await kept.query('select * from gin')).toEqual([{ name: 'jonge' }])
  await expect(other.query('select * from gin')).rejects.toThrow('does not exist')

  await kept.drop()
  await other.drop()
  expect(await onServer('select datname from pg_database where datname = any($1)', [[kept.name, other.name]])).toEqual(
    [],
  )
})

test('waiting for a condition resolves with its answer, under fake timers too', async () => {
  vi.useFakeTimers()
  let asked = 0

  expect(await until(() => ++asked === 3 && asked)).toBe(3)
})

test('waiting in vain says for what, and why', async () => {
  const waiting = until(
    () => {
      throw new Error('no juniper')
    },
    { timeoutMs: 20, what: 'there is juniper' },
  )

  await expect(waiting).rejects.toMatchObject({
    message: 'Waited 20 ms in vain until: there is juniper',
    cause: { message: 'no juniper' },
  })
})
