import { createDb, SelfDeadlockError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { until } from '../support/until.ts'

describe('connections nobody uses', () => {
  test('are closed after idleTimeoutMs, down to min', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 4, min: 1, idleTimeoutMs: 200 } }).open()
    await Promise.all(Array.from({ length: 4 }, () => db.transaction(() => db.scalar('select pg_sleep(0.05)'))))
    expect(db.stats().open).toBeGreaterThan(1)

    await until(() => db.stats().open === 1)

    expect(await db.scalar('select 1')).toBe(1)
    await db.close()
  })

  test('are opened ahead of use up to min', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 4, min: 3, idleTimeoutMs: 200 } }).open()

    await until(() => db.stats().idle === 3)

    await db.close()
  })

  test('are replaced when they reach maxLifetimeMs', async () => {
    await using database = await freshDatabase()
    const db = await createDb(database.url, { pool: { max: 1, maxLifetimeMs: 200 } }).open()
    const first = await db.scalar('select pg_backend_pid()')

    await until(() => db.stats().open === 0)

    expect(await db.scalar('select pg_backend_pid()')).not.toBe(first)
    await db.close()
  })

  test('stay open in a database inside the process, whose data would end with them', async () => {
    const db = createDb('pglite://memory', { pool: { idleTimeoutMs: 50, maxLifetimeMs: 50 } })
    await db.status('create table t (n int)')
    await new Promise((resolve) => setTimeout(resolve, 300))

    expect(await db.scalar('select count(*)::int from t')).toBe(0)
    await db.close()
  })
})

test('when every holder waits for another connection too, the youngest is told at once and the others go on', async () => {
  await using database = await freshDatabase()
  const db = await createDb(database.url, { pool: { max: 2 } }).open()
  const holding = gate()
  let holders = 0
  const greedy = (): Promise<unknown> =>
    caught(
      db.transaction(async () => {
        await db.scalar('select 1')
        if (++holders === 2) holding.open()
        await holding.promise
        return db.transaction(() => db.scalar('select 2'), { reuse: false })
      }),
    ).catch(() => 'went on')

  const outcomes = await Promise.all([greedy(), greedy()])

  expect(outcomes.filter((outcome) => outcome instanceof SelfDeadlockError)).toHaveLength(1)
  expect(outcomes).toContain('went on')
  await db.close()
})
