// One PostgreSQL session as a raw connection: one unit in flight, reset, ping, cancel with quarantine, loss. A driver gives
// it a wire that carries bytes and tells it what arrived; how units are written and answered is the exchange's matter.
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import {
  type ConnectionHooks,
  type Failure,
  type Op,
  OpState,
  parseOnly,
  type RawConnection,
  type RefusedStatement,
  type Unit,
} from '../driver.ts'
import { Exchange, type ExchangeHost, type Status } from './exchange.ts'
import { MessageWriter } from './message-writer.ts'
import { type Fields, PreparedCache } from './prepared.ts'
import type { Int8 } from './rows/type-table.ts'
import { clock, msUntil } from '../../util/clock.ts'

/**
 * `served`: the request has had its effect, if any. `unsent`: there was nothing to stop, the unit had not gone out and has
 * been failed. `failed`: nobody knows.
 */
export type Interruption = 'served' | 'unsent' | 'failed'

/** What carries a session's bytes. Told to `start` only when nothing is in flight. */
export interface Wire {
  readonly native: unknown
  start(bytes: Buffer): void
  /** Further bytes of the unit that was started. */
  more(bytes: Buffer): void
  /** Whether somebody waits for an answer: an idle wire keeps no process alive. */
  hold(waiting: boolean): void
  /** Asks the server to stop what is running. */
  interrupt(deadline: number): Promise<Interruption>
  /** Says good-bye and ends; never rejects. */
  end(): Promise<void>
  destroy(): void
}

export interface SessionOptions {
  readonly id: number
  readonly generation: number
  readonly int8: Int8
  readonly statementCacheSize: number
  readonly prefix: string
  /** Whom a reset makes the session's user again: `DEFAULT`, or a name where the server does not know its default. */
  readonly authorization: string
}

const writer = new MessageWriter()
const firstPauseMs = 50

export class Session implements RawConnection, ExchangeHost {
  readonly id: number
  readonly generation: number
  readonly born: number = clock.now()
  readonly maxInFlight: number = 1
  epoch = 0
  dirty = 0
  readonly writer: MessageWriter = writer
  readonly prepared: PreparedCache
  readonly int8: Int8
  readonly prefix: string
  readonly #wire: Wire
  readonly #hooks: ConnectionHooks
  #exchange: Exchange | null = null
  #started = false
  #inFlight = 0
  #status: Status = 'idle'
  #alive = true
  #quarantined = false
  readonly #authorization: string
  #needed = ''
  #baseline = ''

  constructor(wire: Wire, hooks: ConnectionHooks, options: SessionOptions) {
    this.id = options.id
    this.generation = options.generation
    this.int8 = options.int8
    this.prefix = options.prefix
    this.#authorization = options.authorization
    this.prepared = new PreparedCache(options.statementCacheSize)
    this.#wire = wire
    this.#hooks = hooks
  }

  get native(): unknown {
    return this.#wire.native
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get status(): Status {
    return this.#inFlight > 0 ? 'unknown' : this.#status
  }

  get alive(): boolean {
    return this.#alive
  }

  get quarantined(): boolean {
    return this.#quarantined
  }

  /** The unit in flight, for the wire to report what arrived. */
  get exchange(): Exchange | null {
    return this.#exchange
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit(unit: Unit): void {
    if (!this.#alive || this.#quarantined || this.#inFlight > 0) {
      const cause = this.#alive ? 'submitted to a connection that is busy or quarantined' : undefined
      clock.queueMicrotask(() => {
        for (const op of unit.ops) op.fail({ kind: 'closed', outcome: 'not_started', cause })
      })
      return
    }
    const exchange = new Exchange(this, unit.ops, this.#status, false)
    this.#inFlight = 1
    if (exchange.plan()) {
      for (const op of unit.ops) {
        this.dirty |= op.stmt.dirties
        if (op.state === OpState.queued) op.state = OpState.sent
      }
      this.#send(exchange)
    } else
      clock.queueMicrotask(() => {
        this.#inFlight = 0
        exchange.settle(this.#status)
        this.#tellFree()
      })
  }

  async cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.#alive) return 'broken'
    const exchange = this.#exchange
    if (exchange === null || !exchange.ops.includes(op)) return 'completed'
    this.#quarantined = true
    const fenced = this.#stop(exchange, deadline)
    if (!(await before(deadline, fenced))) return 'broken'
    this.#quarantined = false
    this.#tellFree()
    return exchange.wasCancelled(op) ? 'cancelled' : 'completed'
  }

  /** Sets what the driver was asked to set in every session, now and at the end of every reset. */
  async establish(sql: string, deadline: number): Promise<Failure | null> {
    const op = silentText(sql)
    const done = await before(deadline, this.#run([op]))
    if (!done) return op.failure ?? { kind: 'timeout', outcome: 'not_started' }
    this.#needed = sql
    return null
  }

  /** Asks for rows of text before anybody uses the session. Null: there was no answer in time. */
  async ask(sql: string, deadline: number): Promise<readonly Readonly<Record<string, unknown>>[] | null> {
    const op = silentText(sql)
    return (await before(deadline, this.#run([op]))) ? op.rows : null
  }

  /** SQL that makes a bare session this one. */
  get baseline(): string {
    return [this.#needed, this.#baseline].filter((sql) => sql !== '').join('; ')
  }

  async prepare(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null> {
    const refused: RefusedStatement[] = []
    let rest = this.prepared.unknown(statements, this.prefix)
    while (rest.length > 0) {
      const ops = rest.map((stmt) => silentOp(stmt, parseOnly))
      if (await before(deadline, this.#run(ops))) break
      const at = ops.findIndex(({ failure }) => failure?.kind === 'server')
      const stmt = rest[at]
      if (stmt === undefined || !this.#alive) return null
      refused.push({ stmt, failure: ops[at]?.failure as Failure })
      // What stood before it is prepared: an error takes back no Parse.
      rest = rest.slice(at + 1)
    }
    return refused
  }

  setBaseline(sql: string): void {
    this.#baseline = sql
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    const whole = (dirty & Dirty.unknown) !== 0 || (dirty === 0 && this.#status === 'idle')
    const bits = whole ? everything | dirty : dirty
    const undo = silentText(resetText(this.#status, bits, this.#authorization, this.baseline))
    if (!(await before(deadline, this.#run([undo])))) return false
    const foreign = whole ? undo.rows.map(({ name }) => `DEALLOCATE "${name?.replaceAll('"', '""')}"`) : []
    if (foreign.length > 0 && !(await before(deadline, this.#run([silentText(foreign.join('; '))])))) return false
    this.dirty = 0
    return true
  }

  async ping(deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    return before(deadline, this.#run([]))
  }

  async close(deadline: number): Promise<void> {
    if (!this.#alive) return
    const ended = this.#inFlight === 0 ? this.#wire.end().then(() => true) : Promise.resolve(true)
    this.#lose({ kind: 'closed', outcome: 'unknown' }, false)
    await before(deadline, ended)
    this.#wire.destroy()
  }

  destroy(cause: Failure): void {
    this.#lose(cause, true)
  }

  /** For the wire: it broke. */
  lost(cause: unknown, fields: Fields | null): void {
    const failure: Failure = { kind: 'lost', outcome: 'unknown', cause }
    this.#lose(fields === null ? failure : { ...failure, fields }, true)
  }

  /** For the wire: what arrived cannot be understood. */
  garbled(cause: unknown): void {
    this.#lose({ kind: 'protocol', outcome: 'unknown', cause }, true)
  }

  /** For the wire: ReadyForQuery with its status byte. */
  readyForQuery(byte: string): void {
    const exchange = this.#exchange
    this.#status = byte === 'I' ? 'idle' : byte === 'T' ? 'tx' : 'failed'
    if (exchange === null) return
    this.#started = false
    if (!exchange.ready(this.#status)) return
    this.#exchange = null
    this.#inFlight = 0
    this.#wire.hold(false)
    exchange.settle(this.#status)
    if (!exchange.internal && !this.#quarantined) this.#tellFree()
  }

  /** For the exchange: what the writer holds goes out. */
  flush(): void {
    const bytes = writer.take()
    if (this.#started) this.#wire.more(bytes)
    else {
      this.#started = true
      this.#wire.start(bytes)
    }
  }

  #send(exchange: Exchange): void {
    this.#exchange = exchange
    this.#wire.hold(true)
    exchange.begin()
  }

  /** A unit of the session's own. True: it ended without an error. */
  #run(ops: readonly Op[]): Promise<boolean> {
    if (!this.#alive) return Promise.resolve(false)
    const exchange = new Exchange(this, ops, this.#status, true)
    this.#inFlight = 1
    return new Promise((resolve) => {
      exchange.whenSettled(() => resolve(this.#alive && !exchange.failed))
      exchange.plan()
      this.#send(exchange)
    })
  }

  /** True: the unit was answered, and so was a fence behind all that was asked of the server. */
  async #stop(exchange: Exchange, deadline: number): Promise<boolean> {
    const settled = new Promise<true>((resolve) => exchange.whenSettled(() => resolve(true)))
    // A request may overtake the statement it is meant for, and is then without effect: it is repeated.
    for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
      const interruption = await this.#wire.interrupt(deadline)
      if (interruption === 'failed') return false
      if (interruption === 'unsent') return settled
      if (await before(clock.now() + pauseMs, settled)) break
      if (clock.now() >= deadline) return false
    }
    return this.#alive && this.#run([])
  }

  #tellFree(): void {
    if (this.#alive && this.#inFlight < this.maxInFlight) this.#hooks.room(this)
    if (this.#alive && this.#inFlight === 0 && !this.#quarantined) this.#hooks.idle(this)
  }

  #lose(failure: Failure, destroyed: boolean): void {
    if (!this.#alive) return
    this.#alive = false
    this.#status = 'unknown'
    const exchange = this.#exchange
    this.#exchange = null
    this.#started = false
    if (destroyed) this.#wire.destroy()
    clock.queueMicrotask(() => {
      this.#inFlight = 0
      exchange?.lose(failure)
      this.#hooks.lost(this, failure)
    })
  }
}

interface SilentOp extends Op<Record<string, string | undefined>> {
  failure: Failure | null
}

/** A statement of the session's own; nobody waits for it but the exchange. */
function silentText(text: string): SilentOp {
  return silentOp({ text, name: '', cls: 'multi', verb: '', hasControl: true, dirties: 0, pins: 0, shape: null }, 0)
}

function silentOp(stmt: Compiled, maxRows: number): SilentOp {
  return {
    failure: null,
    stmt,
    params: [],
    spec: null,
    maxRows,
    rows: [],
    tag: '',
    count: -1,
    state: OpState.sent,
    done() {},
    fail(failure) {
      this.failure = failure
    },
  }
}

/** All that a reset can undo, except that it leaves our own prepared statements. */
export const everything: number =
  Dirty.role | Dirty.settings | Dirty.locks | Dirty.cursors | Dirty.listen | Dirty.temp | Dirty.unknown

// RESET ALL leaves the role alone, so that is undone first; it may also be what forbids the rest.
const undoes: readonly (readonly [bit: number, sql: string])[] = [
  [Dirty.role, 'RESET ROLE'],
  [Dirty.settings, 'RESET ALL'],
  [Dirty.locks, 'SELECT pg_advisory_unlock_all()'],
  [Dirty.cursors, 'CLOSE ALL'],
  [Dirty.listen, 'UNLISTEN *'],
  [Dirty.temp, 'DISCARD TEMP'],
  [Dirty.unknown, 'DISCARD SEQUENCES'],
  [Dirty.prepared, 'DEALLOCATE ALL'],
]

/** One text for the simple protocol. With `unknown` it ends by asking for statements that were not prepared by us. */
export function resetText(status: Status, dirty: number, authorization: string, baseline: string): string {
  const parts = undoes.filter(([bit]) => (dirty & bit) !== 0).map(([, sql]) => sql)
  if ((dirty & Dirty.role) !== 0) parts.unshift(`SET SESSION AUTHORIZATION ${authorization}`)
  if (status !== 'idle') parts.unshift('ROLLBACK')
  if (baseline !== '') parts.push(baseline)
  if ((dirty & Dirty.unknown) !== 0) parts.push('SELECT name FROM pg_prepared_statements WHERE from_sql')
  return parts.join('; ')
}

/** A timer this late means that the event loop stood still: an answer that has arrived meanwhile is read first. */
const stallMs = 100

/** The answer, or false when the deadline comes first. */
export async function before(deadline: number, answer: Promise<boolean>): Promise<boolean> {
  if (deadline === Infinity) return answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    const expire = (): void => {
      if (clock.now() - deadline > stallMs) clock.setImmediate(resolve, false)
      else resolve(false)
    }
    timer = clock.setTimeout(expire, msUntil(deadline))
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clock.clearTimeout(timer)
  }
}
