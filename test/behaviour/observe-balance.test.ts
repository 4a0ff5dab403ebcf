/** Whatever goes wrong, everything that was told to have begun is told to have ended, once. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { type Heard, hear } from '../support/events.ts'
import { fake } from '../support/fake.ts'
import { until } from '../support/until.ts'

const kinds = [
  'statement',
  'scope',
  'transaction',
  'nested',
  'swallowed',
  'raise',
  'handle',
  'manual',
  'cursor',
  'late',
  'dirty',
] as const
type Kind = (typeof kinds)[number]

const faults = [
  { at: 'select', fault: { lost: '57P01' } },
  { at: 'select', fault: { error: '22012' } },
  { at: 'insert', fault: { lost: true } },
  { at: 'COMMIT', fault: { lost: true } },
  { at: 'BEGIN', fault: { error: '53200' } },
  { at: 'ROLLBACK', fault: { lost: true } },
  { at: { phase: 'open' }, fault: { refuse: 'ECONNREFUSED' } },
  { at: { phase: 'reset' }, fault: { lost: true } },
] as const

const plan = fc.record({
  work: fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 12 }),
  faults: fc.array(fc.record({ which: fc.nat(faults.length - 1), nth: fc.integer({ min: 1, max: 4 }) }), {
    maxLength: 3,
  }),
})

test('statements, transactions, connections, leases and waits', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ work, faults: planned }) => {
      const name = `balance ${Math.random()}`
      using heard = hear(name)
      {
        const pool = { max: 2, acquireTimeoutMs: 200 }
        await using server = await fake({ tables: { t: [{ n: 1 }] } }, { name, pool })
        for (const { which, nth } of planned) {
          const { at, fault } = faults[which]!
          server.driver.faults.at(typeof at === 'string' ? { text: at, nth } : { ...at, nth }, fault)
        }
        await Promise.allSettled(work.map((kind) => run(server.db, kind)))
        await until(() => server.db.stats().reserved + server.db.stats().waiting === 0)
      }
      await until(() => heard.starts.length === heard.statements.length)
      expect(unbalanced(heard)).toEqual([])
    }),
    { numRuns: 150 },
  )
})

async function run(db: Awaited<ReturnType<typeof fake>>['db'], kind: Kind): Promise<unknown> {
  const read = (): Promise<unknown> => db.all('select * from t')
  switch (kind) {
    case 'statement':
      return read()
    case 'scope':
      return db.scope(() => Promise.all([read(), read()]))
    case 'transaction':
      return db.transaction(async () => {
        await read()
        await db.status('insert into t values (1)')
      })
    case 'nested':
      return db.transaction(() => db.transaction(() => db.transaction(() => db.status('insert into t values (1)'))))
    case 'swallowed':
      return db.transaction(() => read().catch(() => {}))
    case 'raise':
      return db.transaction((outer) => db.transaction(() => read().then(() => outer.raiseRollback())))
    case 'handle': {
      await using handle = await db.acquire()
      return await handle.all('select * from t')
    }
    case 'manual': {
      await using tx = await db.begin()
      await using _inner = await tx.begin()
      return await tx.all('select * from t')
    }
    case 'cursor':
      return db.transaction(async () => {
        for await (const _row of db.iterate('select * from t')) break
      })
    case 'late':
      return db.transaction(() => {
        read().catch(() => {})
        throw new RangeError('left early')
      })
    case 'dirty':
      return db.scope((connection) => connection.status('set a = 1'))
  }
}

function unbalanced({ starts, statements, transactions, connections, leases, waits }: Heard): string[] {
  const found: string[] = []
  const expectEqual = (what: string, a: unknown, b: unknown): void => {
    if (JSON.stringify(a) !== JSON.stringify(b)) found.push(`${what}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`)
  }
  const ids = (events: readonly { readonly id: number }[]): number[] =>
    events.map(({ id }) => id).toSorted((a, b) => a - b)
  const count = (events: readonly { readonly event: string }[], wanted: string): number =>
    events.filter(({ event }) => event === wanted).length
  const open = new Set<number>()
  for (const { id, event, parent } of transactions) {
    if (event === 'begin') {
      if (parent !== null && !open.has(parent)) found.push(`${id} began in ${parent}, which had ended`)
      open.add(id)
    } else if (!open.delete(id)) found.push(`${id} ended twice or never began`)
  }
  expectEqual('statements', ids(starts), ids(statements))
  expectEqual('open transactions', [...open], [])
  expectEqual('connections', count(connections, 'open'), count(connections, 'close') + count(connections, 'lost'))
  expectEqual('leases', count(leases, 'acquire'), count(leases, 'release'))
  expectEqual('waits', count(waits, 'begin'), count(waits, 'end'))
  return found
}
