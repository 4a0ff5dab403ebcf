/** The life of a transaction: every row of its table, what holds for any order of events, and which hooks run at its end. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import type { Failure } from '../../src/driver/driver.ts'
import type { Handle, Holder } from '../../src/engine/context/frame.ts'
import type { EngineCore } from '../../src/engine/core.ts'
import { Stack } from '../../src/engine/slot/stack.ts'
import { TransactionRecord } from '../../src/engine/transaction/record.ts'
import { TransactionExit } from '../../src/engine/transaction/transaction.ts'
import {
  advance,
  type At,
  type Event,
  hasEnded,
  isSpoiled,
  type State,
  takesWork,
  untouched,
} from '../../src/engine/transaction/state.ts'
import { noPlace } from '../../src/observe/place.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'

const failure: Failure = { kind: 'server', outcome: 'rolled_back', fields: { code: '23505', message: 'duplicate' } }
const lost: Failure = { kind: 'lost', outcome: 'rolled_back' }
const stmt = new StatementCache({ dialect: postgres, prepare: true }).compileInternal('select 1')

const events = {
  sent: 'sent',
  begun: 'begun',
  unbegun: { type: 'unbegun', failure },
  unwritten: { type: 'unbegun', failure: null },
  returned: 'returned',
  commit: 'commit',
  rollback: 'rollback',
  refused: 'refused',
  lost: { type: 'lost', failure: lost },
  'server-ended': { type: 'server-ended', failure: lost },
  late: { type: 'late', failure: lost },
  stale: { type: 'stale', failure },
  raiseCommit: { type: 'raised', exit: new TransactionExit({}, true, undefined) },
  raiseRollback: { type: 'raised', exit: new TransactionExit({}, false, undefined) },
  failed: { type: 'failed', failure, stmt, spoils: true },
  unsent: { type: 'failed', failure: { ...failure, outcome: 'not_started' }, stmt, spoils: false },
  unanswered: { type: 'unanswered', failure: lost, askable: true },
  unaskable: { type: 'unanswered', failure: lost, askable: false },
  committed: 'committed',
  rolled_back: 'rolled_back',
  unknown: 'unknown',
} as const satisfies Record<string, Event>

type Name = keyof typeof events
const names = Object.keys(events) as Name[]

/** State, event and next state. What is not here changes no state. */
const table = `
  idle                sent          beginning
  idle                returned      returned:idle
  idle                rollback      leaving:idle
  idle                rolled_back   rolled_back
  beginning           begun         open
  beginning           unbegun       idle
  beginning           unwritten     idle
  beginning           lost          idle
  beginning           returned      returned:beginning
  beginning           rollback      leaving:beginning
  beginning           rolled_back   rolled_back
  open                lost          idle
  open                server-ended  idle
  open                returned      returned:open
  open                rollback      leaving:open
  open                rolled_back   rolled_back
  returned:idle       sent          returned:beginning
  returned:idle       commit        committed
  returned:idle       rollback      leaving:idle
  returned:idle       rolled_back   rolled_back
  returned:beginning  begun         returned:open
  returned:beginning  unbegun       returned:idle
  returned:beginning  unwritten     returned:idle
  returned:beginning  lost          returned:idle
  returned:beginning  commit        committing
  returned:beginning  rollback      leaving:beginning
  returned:beginning  rolled_back   rolled_back
  returned:open       lost          returned:idle
  returned:open       server-ended  returned:idle
  returned:open       commit        committing
  returned:open       rollback      leaving:open
  returned:open       rolled_back   rolled_back
  leaving:idle        rolled_back   rolled_back
  leaving:beginning   begun         leaving:open
  leaving:beginning   unbegun       leaving:idle
  leaving:beginning   unwritten     leaving:idle
  leaving:beginning   lost          leaving:idle
  leaving:beginning   rolled_back   rolled_back
  leaving:open        lost          leaving:idle
  leaving:open        server-ended  leaving:idle
  leaving:open        rolled_back   rolled_back
  committing          refused       returned:open
  committing          unanswered    asking
  committing          unaskable     unknown
  committing          committed     committed
  committing          rolled_back   rolled_back
  committing          unknown       unknown
  releasing           rollback      leaving:open
  releasing           committed     committed
  releasing           rolled_back   rolled_back
  asking              committed     committed
  asking              rolled_back   rolled_back
  asking              unknown       unknown
`
const rows = new Map(
  table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/) as [At, Name, At])
    .map(([from, event, to]) => [`${from} ${event}`, to] as const),
)

/** How each state is reached without a failure. */
const ways: Readonly<Record<At, readonly Name[]>> = {
  idle: [],
  beginning: ['sent'],
  open: ['sent', 'begun'],
  'returned:idle': ['returned'],
  'returned:beginning': ['sent', 'returned'],
  'returned:open': ['sent', 'begun', 'returned'],
  'leaving:idle': ['rollback'],
  'leaving:beginning': ['sent', 'rollback'],
  'leaving:open': ['sent', 'begun', 'rollback'],
  committing: ['sent', 'begun', 'returned', 'commit'],
  releasing: ['sent', 'begun', 'returned', 'commit'],
  asking: ['sent', 'begun', 'returned', 'commit', 'unanswered'],
  committed: ['returned', 'commit'],
  rolled_back: ['rolled_back'],
  unknown: ['sent', 'begun', 'returned', 'commit', 'unaskable'],
}
const states = Object.keys(ways) as At[]

const after = (path: readonly Name[], nested: boolean): State =>
  path.reduce<State>((state, name) => advance(state, events[name], nested), untouched)

/** The row of the table; spoiled it does not commit, a nested one releases, and a RELEASE that broke leaves nothing on the server. */
function byTable({ at, past }: Pick<State, 'at' | 'past'>, name: Name, nested: boolean): At {
  const to = rows.get(`${at} ${name}`) ?? at
  if (name === 'commit' && to !== at && isSpoiled(past)) return at.replace('returned', 'leaving') as At
  if (nested && to === 'committing') return 'releasing'
  return at === 'releasing' && name === 'rollback' && past.broken !== null ? 'leaving:idle' : to
}

test.each(states)('%s moves by the rows of the table and by nothing else', (at) => {
  const nested = at === 'releasing'
  const state = after(ways[at], nested)
  expect(state.at).toBe(at)

  const moved = names.map((name) => [name, advance(state, events[name], nested).at])

  expect(Object.fromEntries(moved)).toEqual(
    Object.fromEntries(names.map((name) => [name, rows.get(`${at} ${name}`) ?? at])),
  )
})

test('a failure, a loss and a time that ran out beat a commit that was not sent', () => {
  for (const spoiling of ['failed', 'unsent', 'lost', 'server-ended', 'late'] as const) {
    const state = after(['sent', 'begun', 'returned', spoiling, 'commit'], false)
    expect(state.at).toMatch(/^leaving:/)
    expect(isSpoiled(state.past)).toBe(true)
  }
})

test('a statement that was not sent spoils nothing while its caller can still be told', () => {
  expect(after(['sent', 'begun', 'unsent', 'returned', 'commit'], false).at).toBe('committing')
})

test('only the answer of a COMMIT counts once it was sent, and then what the server says when it is asked', () => {
  for (const vain of ['failed', 'lost', 'late', 'rollback', 'raiseRollback', 'server-ended', 'returned'] as const) {
    expect(after(['sent', 'begun', 'returned', 'commit', vain], false).at).toBe('committing')
    expect(after(['sent', 'begun', 'returned', 'commit', vain, 'unanswered', vain, 'committed'], false).at).toBe(
      'committed',
    )
  }
})

test('a rollback that was raised beats a commit that was raised; of two of a kind the first counts', () => {
  expect(after(['raiseCommit', 'raiseRollback', 'raiseCommit'], false).past.exit?.commit).toBe(false)
  const first = new TransactionExit({}, true, 1)
  const again = new TransactionExit({}, true, 2)
  const state = advance(
    advance(untouched, { type: 'raised', exit: first }, false),
    { type: 'raised', exit: again },
    false,
  )
  expect(state.past.exit).toBe(first)
})

test('whatever happens in whatever order, it ends once, and as what it said', () => {
  const history = fc.array(fc.constantFrom(...names), { maxLength: 40 })
  fc.assert(
    fc.property(history, fc.boolean(), (path, nested) => {
      let state: State = untouched
      for (const name of path) {
        const before = state
        state = advance(before, events[name], nested)
        const { past } = state
        const wanted = byTable(before, name, nested)
        if (state.at !== wanted) expect([before.at, name, state.at]).toEqual([before.at, name, wanted])
        // An end is an end, and nothing that is noted is forgotten or replaced.
        if (hasEnded(before.at)) expect(state).toBe(before)
        for (const key of ['first', 'afterReturn', 'spoiler', 'broken'] as const)
          if (before.past[key] !== null) expect(past[key]).toBe(before.past[key])
        if (before.past.exit !== null && past.exit !== before.past.exit) expect(past.exit?.commit).toBe(false)
        // Nobody comes back from being rolled back, and after COMMIT only if it was not written.
        if (before.at.startsWith('leaving:')) expect(state.at).toMatch(/^(?:leaving:|rolled_back)/)
        if (takesWork(state.at)) expect(takesWork(before.at)).toBe(true)
        if (before.at === 'committing' && state.at === 'returned:open') expect(name).toBe('refused')
        // It is not told as committed unless it was sound when that was asked for.
        if (state.at === 'committing' || state.at === 'releasing')
          if (state.at !== before.at) expect(isSpoiled(before.past)).toBe(false)
        if (state.at === 'committed' && !hasEnded(before.at))
          expect(['committing', 'releasing', 'asking', 'returned:idle']).toContain(before.at)
        expect(nested ? ['committing', 'asking', 'unknown'] : ['releasing']).not.toContain(state.at)
        // Without anything to note no state is made.
        const known = after(ways[state.at], nested)
        if (past === untouched.past && known.past === past) expect(state).toBe(known)
      }
    }),
    { numRuns: 2_000 },
  )
})

/** A slot without a connection, as its transactions know it. */
class Bare implements Holder {
  readonly engine = { name: 'test', dialect: postgres, overlaid: false } as unknown as EngineCore
  readonly lease = null
  readonly closed = false
  readonly settings = null
  readonly stack: Stack<Bare> = new Stack()
  ambient = 0

  get top(): TransactionRecord<Bare> | null {
    return this.stack.top
  }

  begin(): TransactionRecord<Bare> {
    const where = { db: null, chain: undefined, handle: null, slot: null }
    const record = new TransactionRecord<Bare>(this, where, {}, noPlace, 'managed', () => ({}) as Handle)
    this.stack.enter(record)
    return record
  }
}

type What = Name | 'hook' | 'nested'

/** What happens to the connection happens to all of them. */
const shared: ReadonlySet<What> = new Set(['lost', 'server-ended'])

interface Given {
  readonly record: TransactionRecord<Bare>
  readonly commit: string
  readonly rollback: string
}

/** The hook that has to run; of an outcome that nobody knows only those of what was rolled back before. */
function due({ record, commit, rollback }: Given): string | null {
  for (let each: TransactionRecord<Bare> | null = record; each !== null; each = each.parent) {
    if (each.at === 'rolled_back') return rollback
    if (each.at === 'unknown') return null
  }
  return commit
}

test('whatever happens to transactions inside of each other, each moves by the table and the hooks follow its fate', async () => {
  const path = fc.constantFrom<readonly Name[]>(
    ['sent', 'begun'],
    ['sent', 'begun', 'returned', 'commit', 'committed'],
    ['sent', 'begun', 'returned', 'commit', 'unanswered', 'unknown'],
    ['sent', 'begun', 'rollback', 'rolled_back'],
  )
  const happening = fc.oneof(
    { arbitrary: fc.constantFrom(['hook'] as const, ['nested'] as const), weight: 4 },
    { arbitrary: fc.constantFrom(...names).map((name) => [name]), weight: 2 },
    { arbitrary: path, weight: 2 },
  )
  // The innermost more often: it ends first.
  const step = fc.tuple(fc.oneof(fc.constant(0), fc.nat({ max: 3 })), happening)
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 20, size: 'max' }), path, async (steps, end) => {
      const slot = new Bare()
      const outermost = slot.begin()
      const given: Given[] = []
      const ran: string[] = []
      const happen = (record: TransactionRecord<Bare>, event: What): void => {
        if (event === 'nested') {
          if (slot.top?.open === true && slot.stack.all.length < 4) slot.begin()
        } else if (event === 'hook') {
          if (!record.taking) return
          const hooks = { record, commit: `commit ${given.length}`, rollback: `rollback ${given.length}` }
          for (const on of ['commit', 'rollback'] as const) record.hooks.add(on, () => ran.push(hooks[on]))
          given.push(hooks)
        } else if (event === 'lost') slot.stack.lose(lost)
        else if (event === 'server-ended') slot.stack.endedByServer()
        else record.advance(events[event])
      }
      const all = steps.flatMap(([of, whats]) => whats.map((each) => [of, each] as const))
      for (const [of, what] of [...all, ...end.map((each) => [3, each] as const), [3, 'rolled_back'] as const]) {
        const open = slot.stack.all
        const record = open[Math.max(open.length - 1 - of, 0)]
        if (record === undefined) break
        const wanted = open.map((each) =>
          what !== 'hook' && what !== 'nested' && (each === record || shared.has(what))
            ? byTable(each, what, each.parent !== null)
            : each.at,
        )
        happen(record, what)
        expect(open.map(({ at }) => at)).toEqual(wanted)
        if (!hasEnded(record.at)) continue
        slot.stack.pop(record)
        // With it goes all that is open inside of it.
        expect(slot.top).toBe(record.parent)
        expect(open.slice(open.indexOf(record)).every(({ at, onStack }) => hasEnded(at) && !onStack)).toBe(true)
      }
      await outermost.hooks.run(outermost.fate)

      const wanted = given.map(due).filter((hook) => hook !== null)
      expect(ran.toSorted()).toEqual(wanted.toSorted())
      // Those of one transaction run in the order in which they were given.
      for (const { record } of given) {
        const own = new Set(
          given.filter((each) => each.record === record).flatMap((each) => [each.commit, each.rollback]),
        )
        expect(ran.filter((hook) => own.has(hook))).toEqual(wanted.filter((hook) => own.has(hook)))
      }
      for (const { record } of given)
        seen.add(`${record.parent === null ? 'outermost' : 'nested'} ${record.at}, ${outermost.at}`)
    }),
    { numRuns: 2_000 },
  )

  // The sample has every case in which a hook can be.
  expect([...seen].toSorted()).toEqual([
    'nested committed, committed',
    'nested committed, rolled_back',
    'nested committed, unknown',
    'nested rolled_back, committed',
    'nested rolled_back, rolled_back',
    'nested rolled_back, unknown',
    'outermost committed, committed',
    'outermost rolled_back, rolled_back',
    'outermost unknown, unknown',
  ])
})
