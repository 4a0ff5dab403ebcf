/** Implicit nesting never needs more than one connection, however deep and however many contexts there are. */

import type { Db } from 'genever'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

type Level = (db: Db, inside: () => Promise<unknown>) => Promise<unknown>

const levels: readonly Level[] = [
  (db, inside) => db.scope(inside),
  (db, inside) => db.transaction(inside),
  (db, inside) => db.scope((connection) => connection.transaction(inside)),
  (db, inside) => db.transaction((tx) => tx.transaction(inside)),
  (db, inside) => db.transaction((tx) => tx.connection.run(inside)),
  async (db, inside) => {
    await using connection = await db.acquire({ reuse: true })
    return await connection.run(inside)
  },
]

/** As many levels of all kinds, statements between them; the number that the innermost statement gives. */
function nest(db: Db, depth: number, from = 0): Promise<unknown> {
  if (depth === 0) return db.scalar('select 64')
  const level = levels[(from + depth) % levels.length] as Level
  return level(db, async () => {
    if (depth % 3 === 0) await db.scalar('select 1')
    return nest(db, depth - 1, from)
  })
}

forEachDriver((driver) => {
  test('64 levels of every kind nest on a single connection', async () => {
    const db = await driver.single()

    const answers = [await nest(db, 64), await nest(db, 64, 1), await nest(db, 64, 2)]

    expect(answers).toEqual([64, 64, 64])
    expect(db.stats()).toMatchObject({ open: 1, idle: 1, waiting: 0 })
  })

  test('300 contexts with 8 levels each share a single connection', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 600_000 } })

    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => nest(db, 8, i)))

    expect(new Set(answers)).toEqual(new Set([64]))
    expect(db.stats()).toMatchObject({ open: 1, idle: 1, waiting: 0 })
  })

  test('branches at every level end too', async () => {
    const db = await driver.single()
    const tree = async (depth: number): Promise<number> => {
      if (depth === 0) return Number(await db.scalar('select 1'))
      const level = levels[depth % 4] as Level
      const halves = await Promise.all([level(db, () => tree(depth - 1)), level(db, () => tree(depth - 1))])
      return (halves as number[]).reduce((sum, half) => sum + half, 0)
    }

    expect(await db.scope(() => tree(6))).toBe(64)
  })
})
