/** Handles that are kept for longer than they are good for, while somebody else has their connection. */

import { type Connection, type ManualTransaction, ReleasedConnectionError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { site, sound } from './support.ts'

const insert = (n: number): string => `insert into t values (${n})`

/** What code does with a handle that it should have forgotten. */
const uses: Readonly<Record<string, (stale: Connection) => Promise<unknown>>> = {
  'a statement': (stale) => stale.status(insert(2)),
  'COMMIT as text': (stale) => stale.status('commit'),
  'ROLLBACK as text': (stale) => stale.status('rollback'),
  'SET as text': (stale) => stale.status(`set app.tenant = '7'`),
  'a transaction': (stale) => stale.transaction((tx) => tx.status(insert(2))),
  'begin()': (stale) => stale.begin(),
  'a cursor': (stale) => stale.iterate('select 1').read(),
  'rawConnection()': (stale) => stale.rawConnection(),
}

test.each(Object.entries(uses))(
  'a released handle never reaches the connection that somebody else has now: %s',
  async (_, use) => {
    await using place = await site({ pool: { max: 1 } })
    const stale = await place.db.acquire()
    await stale.scalar('select 1')
    await stale.release()
    const [link] = place.proxy.links

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert(1))
        const sent = link!.toServer.messages
        expect(await caught(use(stale))).toBeInstanceOf(ReleasedConnectionError)
        expect(link!.toServer.messages).toBe(sent)
        throw new RangeError('rolled back')
      }),
    )

    expect(error).toBeInstanceOf(RangeError)
    await sound(place)
    expect(await place.rows()).toEqual([])
    expect(place.proxy.links).toHaveLength(1)
  },
)

test('a second release does not take the connection from who has it now', async () => {
  await using place = await site({ pool: { max: 1 } })
  const stale = await place.db.acquire()
  await stale.release()

  await place.db.transaction(async (tx) => {
    await tx.status(insert(1))
    await stale.release()
    await stale[Symbol.asyncDispose]()
    expect(place.db.stats()).toMatchObject({ reserved: 1, idle: 0 })
    await tx.status(insert(2))
  })

  await sound(place)
  expect(await place.rows()).toEqual([1, 2])
  expect(place.proxy.links).toHaveLength(1)
})

const ends: Readonly<Record<string, (stale: ManualTransaction) => Promise<unknown>>> = {
  commit: (stale) => stale.commit(),
  rollback: (stale) => stale.rollback(),
  'a statement': (stale) => stale.status(insert(9)),
}

test.each(Object.entries(ends))(
  'what is asked of a transaction that has ended does nothing to the one that runs there now: %s',
  async (_, end) => {
    await using place = await site({ pool: { max: 1 } })
    const stale = await place.db.begin()
    await stale.status(insert(1))
    await stale.commit()

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert(2))
        expect((await caught(end(stale))).code).toMatch(/^GENEVER_TRANSACTION_(ENDED|STATE)$/)
        await tx.status(insert(3))
        throw new RangeError('rolled back')
      }),
    )

    expect(error).toBeInstanceOf(RangeError)
    await sound(place)
    expect(await place.rows()).toEqual([1])
  },
)
