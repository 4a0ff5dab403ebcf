// A driver without a server, for tests of code that is built on drivers: deterministic, in memory, with control over time and faults.
// It knows transactions, not SQL: its `answer` function answers statements.
import { postgres } from '../../postgres/dialect.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { callback, duration, integer, must, type Checks, readOptions } from '../../util/options.ts'
import { deferred } from '../../util/clock.ts'
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { classify } from '../postgres/open/open-server.ts'
import { type ConnectionHost, lossOf } from './backend.ts'
import { FakeConnection } from './connection.ts'
import { Faults, Steps, type Fault, type Scheduler, type ServerFault, TimeLine } from './scenario.ts'
import { Printable, thrownText } from '../../util/thrown.ts'
import { FakeSession, refused, type Answerer, type FakeRow, type Reply, type Rows } from './session.ts'

/** The result of an `answer` function: rows, rows with tag and count, an error, or undefined for an unknown text. */
export type FakeAnswer = readonly (FakeRow | readonly unknown[])[] | Partial<Rows> | ServerFault | undefined

/** Options of `FakeDriver`. */
export interface FakeDriverOptions {
  /** Units in flight on one connection. Default 1. */
  readonly maxInFlight?: number | undefined
  /** The highest useful number of connections. Default: no limit. */
  readonly poolLimit?: number | undefined
  /** The number of connections the server accepts before it answers 53300. Default: no limit. */
  readonly maxConnections?: number | undefined
  /** Answers every statement but transaction control and the words of cursors. Without an answer it is an error 42601. */
  readonly answer?: ((text: string, params: readonly unknown[], session: FakeSession) => FakeAnswer) | undefined
  /** Milliseconds an answer takes. Default 0: the next macrotask. */
  readonly latencyMs?: number | ((text: string) => number) | undefined
  /** Decides the order of all events, such as `fc.scheduler()`. Default: in the order they occur, each in its own macrotask. */
  readonly schedule?: Scheduler | undefined
}

const limit = integer(1, undefined, 'or Infinity')

const checks: Checks<FakeDriverOptions> = {
  maxInFlight: limit,
  poolLimit: limit,
  maxConnections: integer(0, undefined, 'or Infinity'),
  answer: callback,
  latencyMs: must(
    'milliseconds, or a function that gives them',
    (value) => typeof value === 'function' || duration(value) === undefined,
  ),
  schedule: must('a scheduler', (value) => typeof value === 'object' && value !== null),
}

/** The connection options that a server would need; they change nothing here. */
const connectionChecks: Checks<Readonly<Record<string, unknown>>> = Object.fromEntries(
  'host port user username password database ssl applicationName options int8 prepare settings'
    .split(' ')
    .map((name) => [name, () => undefined]),
)

/**
 * A deterministic `Driver` in memory. It tests the pool, the engine or your code without a server.
 *
 * @example
 * const driver = new FakeDriver()
 * driver.faults.at('COMMIT', { lost: '57P01' })
 * const engine = await createEngine({ driver })
 */
export class FakeDriver extends Printable implements Driver<Readonly<Record<string, unknown>>> {
  readonly name: string = 'fake'
  readonly dialect: Dialect = postgres
  readonly poolLimit: number
  readonly functions: boolean = false
  /** The planted faults: which failures happen, and when. */
  readonly faults: Faults = new Faults()
  /** The messages that each session received, one line per Sync: `1: BEGIN; insert …`, also `1: <reset settings>`, `1: <cancel>`, `1: <ping>`, `1: <close>`. */
  readonly log: string[] = []
  /** All sessions, open and closed, in the order of opening. */
  readonly sessions: FakeSession[] = []
  readonly #options: FakeDriverOptions
  readonly #host: ConnectionHost
  #maxOpen = 0

  /** @throws {InvalidOptionError} for unknown options and wrong values. */
  constructor(given?: FakeDriverOptions) {
    super()
    const options = readOptions<FakeDriverOptions>(given, checks, 'FakeDriver')
    const { maxInFlight = 1, poolLimit = Infinity, latencyMs = 0 } = options
    this.#options = options
    this.poolLimit = poolLimit
    this.#host = {
      steps: new Steps(options.schedule),
      faults: this.faults,
      log: this.log,
      maxInFlight,
      latencyMs: (text) => (typeof latencyMs === 'number' ? latencyMs : latencyMs(text)),
    }
  }

  /** Sessions open now. */
  get openCount(): number {
    return this.sessions.filter(({ ended }) => !ended).length
  }

  /** The highest number of sessions open at once so far. */
  get maxOpen(): number {
    return this.#maxOpen
  }

  /** Ends a session, or all, as `pg_terminate_backend` does. Open transactions are rolled back. */
  kill(id?: number, code?: string): void {
    for (const session of this.sessions) if (id === undefined || id === session.id) session.kill(code)
  }

  parse(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return readOptions(options, connectionChecks, 'the fake driver')
  }

  open(_options: Readonly<Record<string, unknown>>, hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
    const fault = this.faults.take('open', this.sessions.length + 1)
    const line = new TimeLine(this.#host.steps, '')
    const { promise, resolve, reject } = deferred<RawConnection>()
    const disarm = line.arm('open', deadline, () => reject({ kind: 'timeout', outcome: 'not_started' }))
    line.send('open', fault, () => {
      if (!disarm()) return
      const failure = this.#refusal(fault)
      if (failure === null) resolve(this.#connect(hooks))
      else reject(failure)
    })
    return promise
  }

  classify(failure: Failure): ReturnType<Driver['classify']> {
    if (failure.fields === undefined && failure.kind === 'lost') return 'endpoint'
    return classify(failure)
  }

  #connect(hooks: ConnectionHooks): FakeConnection {
    const session = this.makeSession(this.sessions.length + 1, (...asked) => this.#answer(...asked))
    this.sessions.push(session)
    this.#maxOpen = Math.max(this.#maxOpen, this.openCount)
    return this.makeConnection(session, this.#host, hooks)
  }

  /** @internal */
  protected makeConnection(session: FakeSession, host: ConnectionHost, hooks: ConnectionHooks): FakeConnection {
    return new FakeConnection(session, host, hooks)
  }

  /** @internal */
  protected makeSession(id: number, answer: Answerer): FakeSession {
    return new FakeSession(id, answer)
  }

  #refusal(fault: Fault | undefined): Failure | null {
    const full = this.openCount >= (this.#options.maxConnections ?? Infinity)
    const happened =
      fault === undefined || 'delayMs' in fault
        ? full && ({ error: '53300', message: 'sorry, too many clients already' } as const)
        : fault
    if (happened === false) return null
    if ('error' in happened) {
      const fields = { severity: 'FATAL', ...happened.fields }
      return { kind: 'server', outcome: 'not_started', fields: refused({ ...happened, fields }).error }
    }
    if (!('refuse' in happened)) return { ...lossOf(happened), outcome: 'not_started' }
    const cause = { code: happened.refuse, syscall: 'connect', message: `connect ${happened.refuse} fake` }
    return { kind: 'lost', outcome: 'not_started', cause }
  }

  #answer(text: string, params: readonly unknown[], session: FakeSession): Reply | null {
    let given: FakeAnswer
    try {
      given = this.#options.answer?.(text, params, session)
    } catch (thrown) {
      return refused({ error: 'XX000', message: `the answer function of the FakeDriver threw ${thrownText(thrown)}` })
    }
    if (given === undefined) return null
    if ('error' in given) return refused(given)
    const answer = (Array.isArray(given) ? { rows: given as unknown } : given) as Partial<Rows>
    const { rows = [], tag = /^\w*/.exec(text)?.[0].toUpperCase() ?? '', count = rows.length } = answer
    return { ...answer, rows, tag, count }
  }

  override toString(): string {
    const parts = [`${this.openCount} open`, `at most ${this.#maxOpen}`, `${this.sessions.length} in all`]
    if (this.faults.pending > 0) parts.push(`${this.faults.pending} faults to come`)
    return `FakeDriver { ${parts.join(', ')} }`
  }
}
