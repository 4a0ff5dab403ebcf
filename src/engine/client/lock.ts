// `lock(key, work)`: an advisory lock as a guard. The server keeps sessions and transactions apart; code that shares one session
// is kept apart here, because the server gives a session again what it has.
import {
  AbortedError,
  ConnectionLostError,
  type GeneverError,
  QueryTimeoutError,
  TransactionAbortedError,
  TransactionStateError,
  UsageError,
} from '../../errors/index.ts'
import type { LockKey, LockWords } from '../../sql/dialect.ts'
import { before, clock, deferred } from '../../util/clock.ts'
import { type Abortable, unwatchSignal, watchSignal } from '../../util/signal.ts'
import {
  abortSignal,
  anyOf,
  boolean,
  type Check,
  type Checks,
  describeType,
  duration,
  needsFunction,
} from '../../util/options.ts'
import { ambientDefaults, currentChain, type Link, openTransaction, push, runIn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import { callOptions } from '../handle.ts'
import { engineStatement } from '../query/engine-statement.ts'
import { sendPast, sendDeferredRollback } from '../slot/sending.ts'
import type { Slot } from '../slot/slot.ts'
import { untilQuiet } from '../slot/waiting.ts'
import { KeyedTurns, type Turn } from './keyed-turns.ts'
import { unconverted } from '../../sql/conversions.ts'
import type { AmbientRunner, StatementEngine } from '../query/runner.ts'

/** Options of `lock()`. */
export interface LockOptions {
  /** True: if another session has the lock, `lock()` gives undefined at once and does not run `work`. Default false: it waits. */
  readonly try?: boolean | undefined
  /** True: several callers may have the lock together, if all of them share it. Default false. */
  readonly shared?: boolean | undefined
  /**
   * How long the lock is held. `work`: until `work` has settled. `transaction`: until the transaction of `work` has ended; one is
   * opened if none is open. Default: `transaction` inside a transaction, otherwise `work`.
   */
  readonly until?: 'work' | 'transaction' | undefined
  /** How long to wait for the lock, in milliseconds. Default: the `timeoutMs` of statements at this place. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait: the call rejects with an `AbortedError`. */
  readonly signal?: AbortSignal | undefined
}

const checks: Checks<LockOptions> = {
  try: boolean,
  shared: boolean,
  until: anyOf('work', 'transaction'),
  timeoutMs: duration,
  signal: abortSignal,
}

const half = (value: unknown): boolean => Number.isInteger(value) && Number(value) === (Number(value) | 0)

const checkKey: Check = (key) => {
  if (typeof key === 'string') return key.includes('\0') ? 'must not hold a NUL character' : undefined
  if (typeof key === 'bigint') return key === BigInt.asIntN(64, key) ? undefined : 'has more than 64 bits'
  if (typeof key === 'number')
    return Number.isSafeInteger(key) ? undefined : 'must be a whole number up to 2^53, or a bigint'
  if (Array.isArray(key) && key.length === 2 && key.every(half)) return undefined
  return `must be a text, a whole number, or two of 32 bits in an array, not ${describeType(key)}`
}

/** A lock that the work of a frame holds on a session. */
interface Hold {
  readonly slot: Slot
  readonly name: string
  readonly shared: boolean
}

/** The locks that code of each session holds here. */
const held = new WeakMap<Slot, KeyedTurns>()
const holding = new WeakMap<Frame, Hold>()

/** How code with this chain holds that lock on that session, which the work around it has taken; null: it does not. */
function holdOf(slot: Slot, name: string, chain: Link | undefined): Hold | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const hold = holding.get(link.frame)
    if (hold?.slot === slot && hold.name === name && link.frame.live) return hold
  }
  return null
}

export async function lock<T>(
  source: AmbientRunner,
  key: LockKey,
  work: () => Promise<T> | T,
  given: LockOptions | undefined,
): Promise<T | undefined> {
  needsFunction(work, 'lock()')
  const problem = checkKey(key)
  if (problem !== undefined) throw new UsageError(`The key of lock() ${problem}.`)
  const options = callOptions<LockOptions>(given, checks, 'lock()')
  const here = source.engineHere()
  const engine = here instanceof Promise ? await here : here
  const words = engine.dialect.locks
  if (words === undefined)
    throw new UsageError(`${engine.dialect.title} has no advisory locks, so there is no lock() here.`)
  const asked = new Asked(source, words, key, options)
  // `work` is where the source is.
  return runIn(source.chainHere(), () => locked(asked, engine, work))
}

/** A lock that a call asks for. */
class Asked {
  readonly source: AmbientRunner
  readonly key: LockKey
  readonly name: string
  readonly options: LockOptions
  readonly shared: boolean
  /** It gives up where the lock is not free. */
  readonly attempt: boolean
  readonly #words: LockWords

  constructor(source: AmbientRunner, words: LockWords, key: LockKey, options: LockOptions) {
    this.source = source
    this.key = key
    this.name = typeof key === 'string' ? `text ${key}` : `number ${String(key)}`
    this.options = options
    this.shared = options.shared === true
    this.attempt = options.try === true
    this.#words = words
  }

  /** Takes the lock on the server. False: it was not free, and `attempt` does not wait. */
  async take(until: 'work' | 'transaction', timeoutMs: number | undefined): Promise<boolean> {
    const { shared, attempt, options } = this
    const { sql, params } = this.#words.take(this.key, { shared, attempt, until })
    const limits = { timeoutMs, signal: options.signal, ...unconverted }
    return (await this.source.scalar<boolean>(sql, params, limits)) === true
  }

  /** False: the session did not have it. */
  async free(): Promise<boolean> {
    const { sql, params } = this.#words.free(this.key, this.shared)
    return (await this.source.scalar<boolean>(sql, params, { timeoutMs: Infinity, ...unconverted })) === true
  }

  /** As soon as nothing is on the wire and the server takes statements, past all that waits, whatever transaction is open. */
  async freeLater(slot: Slot): Promise<void> {
    const { engine, lease } = slot
    const { sql, params } = this.#words.free(this.key, this.shared)
    for (;;) {
      await sendDeferredRollback(slot)
      await untilQuiet(slot, { chain: undefined, handle: null }, 'front', Infinity)
      if (lease === null || slot.lease !== lease || !lease.raw.alive) return
      if (lease.raw.status !== 'failed') break
      // It takes nothing before it has been rolled back. One begun by text is out of sight: the reset of the session frees it.
      if (slot.top === null) return
      await slot.top.whenLeft()
    }
    await sendPast(slot, [engineStatement(engine, engine.statements.compileInternal(sql), { params })]).wait()
  }
}

async function locked<T>(asked: Asked, engine: StatementEngine, work: () => Promise<T> | T): Promise<T | undefined> {
  const { source, options } = asked
  const chain = currentChain()
  const until = options.until ?? (openTransaction(engine, chain) === null ? 'work' : 'transaction')
  if (until === 'transaction') {
    const inside = async (): Promise<T | undefined> =>
      (await asked.take('transaction', options.timeoutMs)) ? work() : undefined
    return openTransaction(engine, chain) === null ? source.transaction(inside) : inside()
  }
  if (engine.options.pooler !== undefined)
    throw new UsageError(
      "lock() with until: 'work' needs a session that stays, and behind a transaction pooler there is none. Use until: 'transaction', or " +
        'connect to the server directly.',
    )
  const slot = source.slotHere(engine, chain)
  if (slot === null) return source.scope(() => lock(source, asked.key, work, { ...options, until }))
  const hold = holdOf(slot, asked.name, chain)
  if (hold === null) return onSession(asked, slot, work)
  if (hold.shared && !asked.shared)
    throw new UsageError(
      'This code holds the lock shared, and lock() asks for it alone. It would wait for itself. Ask for it alone outside, where it is ' +
        'not held yet.',
    )
  return work()
}

async function onSession<T>(asked: Asked, slot: Slot, work: () => Promise<T> | T): Promise<T | undefined> {
  const { engine } = slot
  const { source, name, shared } = asked
  const chain = currentChain()
  const defaults = ambientDefaults(engine, chain)
  const deadline = engine.until({ timeoutMs: asked.options.timeoutMs }, defaults)
  const turns = held.get(slot) ?? new KeyedTurns()
  held.set(slot, turns)
  const waiting = turns.ask(name, shared)
  // It is the first statement of the call: it goes before what is issued behind that.
  if (!waiting.granted && !(await takesTurn(waiting, asked, deadline))) return undefined
  const { leave } = waiting
  const frame = new Frame('reusing', engine, source.token(), null, null, null)
  frame.defaults = defaults
  holding.set(frame, { slot, name, shared })
  try {
    const left = deadline === Infinity ? undefined : Math.max(0, deadline - clock.now())
    try {
      if (!(await asked.take('work', left))) return undefined
    } catch (error) {
      // It may have been taken while it was being stopped. Nobody else's is freed: of this session nobody else has it.
      if (slot.pins !== 0 && turns.isAlone(name)) await asked.free().catch(() => {})
      throw error
    }
    let result: T
    try {
      result = await runIn(push(frame, chain), work)
    } catch (error) {
      await freed(asked, slot).catch(() => {})
      throw error
    }
    const outside = openTransaction(engine, chain) === null
    let cause: unknown
    const free = await freed(asked, slot).catch((error: unknown) => {
      // Its own outcome is that of a statement that was not sent, but the work has run.
      if (!outside || !(error instanceof ConnectionLostError)) throw error
      cause = error
      return false
    })
    // In a transaction that has failed it cannot be freed: it goes with the session.
    if (!free && outside)
      throw new ConnectionLostError('The lock was lost while the work of lock() ran, so others may have held it too.', {
        outcome: 'unknown',
        cause,
      })
    return result
  } finally {
    frame.end()
    leave()
  }
}

/**
 * Whether the session had it, which it has no more. A cursor or COPY that is open, or a transaction that has failed, lets nothing run
 * on the connection: then it is freed as soon as it can be, before anything that waits there.
 */
async function freed(asked: Asked, slot: Slot): Promise<boolean> {
  const { lease } = slot
  try {
    return await asked.free()
  } catch (error) {
    const undone = error instanceof TransactionAbortedError || (error as GeneverError).outcome === 'not_started'
    if (!undone || lease === null || slot.lease !== lease) throw error
    void asked.freeLater(slot).catch(() => {})
    if (error instanceof TransactionStateError) return true
    throw error
  }
}

/** Among those who share the session. False: an attempt was in vain. */
async function takesTurn({ turn, leave }: Turn, { attempt, options }: Asked, deadline: number): Promise<boolean> {
  const { signal } = options
  if (!attempt && (await inTime(turn, deadline, signal))) return true
  leave()
  if (attempt) return false
  if (signal?.aborted === true)
    throw new AbortedError(
      'The wait for a lock that other code of the same connection holds was ended by its signal.',
      {
        outcome: 'not_started',
        cause: signal.reason,
      },
    )
  throw new QueryTimeoutError(
    'The time for lock() ran out while other code of the same connection held the lock. Give it more time, or do less work under the lock.',
    {
      outcome: 'not_started',
    },
  )
}

/** False: it is too late, or the signal has aborted. */
async function inTime(turn: Promise<boolean>, deadline: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (signal === undefined) return before(deadline, turn)
  if (signal.aborted) return false
  const { promise, resolve } = deferred<boolean>()
  const stop: Abortable = { abort: () => resolve(false) }
  watchSignal(signal, stop)
  turn.then(resolve, () => {})
  try {
    return await before(deadline, promise)
  } finally {
    unwatchSignal(signal, stop)
  }
}
