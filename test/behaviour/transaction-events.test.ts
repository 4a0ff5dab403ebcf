/**
 * Random events in one transaction, managed and manual: statements, failures, an abort, a loss, a time that runs out,
 * hooks, and faults of COMMIT. Whatever wins, one thing is said of its end, and it is true.
 */

import { fc } from '../support/fast-check.ts'
import { type Executor, GeneverError, type ManualTransaction, type Transaction } from 'genever'
import { expect, test } from 'vitest'
import { fake } from '../support/fake.ts'
import { until } from '../support/until.ts'

const inside = ['insert', 'failure', 'abort', 'loss', 'wait', 'raiseCommit', 'raiseRollback', 'hook'] as const
const commits = ['answered', 'refused', 'lost before', 'lost after', 'silent'] as const

interface Story {
  readonly manual: boolean
  readonly events: readonly (typeof inside)[number][]
  readonly end: 'return' | 'throw'
  readonly commit: (typeof commits)[number]
  readonly timeoutMs: number | undefined
}

const story: fc.Arbitrary<Story> = fc.record({
  manual: fc.boolean(),
  events: fc.array(
    fc.oneof(
      { arbitrary: fc.constantFrom(...inside), weight: 1 },
      { arbitrary: fc.constant('insert' as const), weight: 2 },
    ),
    { maxLength: 6 },
  ),
  end: fc.constantFrom('return', 'return', 'return', 'throw'),
  commit: fc.constantFrom('answered', ...commits),
  timeoutMs: fc.constantFrom(undefined, 40),
})

const faultOf = {
  answered: null,
  refused: { error: '40001' },
  'lost before': { lost: '57P01' },
  'lost after': { lost: true },
  silent: { hang: true },
} as const

async function play({ manual, events, end, commit, timeoutMs }: Story): Promise<void> {
  await using server = await fake({}, { cancelTimeoutMs: 30, query: { timeoutMs: 100 } })
  const { db, driver } = server
  const fault = faultOf[commit]
  if (fault !== null)
    driver.faults.at('COMMIT', { ...fault, phase: commit === 'lost after' ? 'answer' : 'send' } as never)
  const abort = new AbortController()
  const hooks: string[] = []
  let inserted = 0
  let raised = ''

  const body = async (tx: Transaction): Promise<void> => {
    tx.afterCommit(() => void hooks.push('commit'))
    tx.afterRollback(() => void hooks.push('rollback'))
    for (const event of events) {
      if (event === 'insert') {
        await tx.status('insert into t values (1)')
        inserted++
      } else if (event === 'failure') await (tx as Executor).status('fail 22012').catch(() => {})
      else if (event === 'abort') abort.abort(new RangeError('enough'))
      else if (event === 'loss') driver.kill()
      else if (event === 'wait') await new Promise((resolve) => setTimeout(resolve, timeoutMs === undefined ? 0 : 60))
      else if (event === 'hook') tx.afterCommit(() => hooks.push('other'))
      else if (!manual) {
        raised = event
        tx[event]()
      }
    }
    if (end === 'throw') throw new RangeError('left')
  }
  const signal = abort.signal
  let error: unknown = null
  if (!manual)
    await db.transaction(body, { signal, timeoutMs }).catch((thrown: unknown) => (error = thrown ?? 'nothing'))
  else {
    const tx: ManualTransaction = await db.begin()
    const left = await body(tx).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    await (left === null ? tx.commit() : tx.rollback()).catch((thrown: unknown) => (error = thrown))
    error ??= left
  }

  const rows = driver.rows('t').length
  const resolved = raised === 'raiseRollback' ? 'rolled_back' : 'committed'
  const outcome = error === null ? resolved : error instanceof GeneverError ? error.outcome : 'rolled_back'
  if (outcome === 'committed') expect(rows).toBe(inserted)
  else if (outcome !== 'unknown') expect(rows).toBe(0)
  else expect([0, inserted]).toContain(rows)
  const others = events.filter((event) => event === 'hook').length
  // Of what goes on behind the back of its caller the hooks come later.
  if (outcome === 'rolled_back' || outcome === 'not_started') await until(() => hooks.length > 0)
  expect(hooks.includes('commit') && hooks.includes('rollback')).toBe(false)
  if (outcome === 'committed') expect(hooks[0]).toBe('commit')
  if (outcome === 'rolled_back') expect(hooks).toEqual(['rollback'])
  expect(hooks.length).toBeLessThanOrEqual(1 + others)
  await until(() => db.stats().reserved + db.stats().draining === 0)
  expect(driver.violations).toEqual([])
}

test('whatever happens in it, what is told of its end is what became of it, and its hooks follow that', async () => {
  await fc.assert(fc.asyncProperty(story, play), { numRuns: 150, endOnFailure: true })
})
