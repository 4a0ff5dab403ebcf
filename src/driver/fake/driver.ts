// A driver without a server, for tests of what is built on drivers: deterministic, in memory, with control over time
// and faults. The driver is the server too: its sessions share the data that is kept here. See statements.ts for the SQL
// it understands, faults.ts for what can go wrong and schedule.ts for the order of events.
import { inspect } from 'node:util'
import { InvalidOptionError, UsageError } from '../../errors/index.ts'
import { callback, duration, integer, isPlain, must } from '../../util/checks.ts'
import { type Checks, readOptions } from '../../util/options.ts'
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { lossOf } from './backend.ts'
import { FakeConnection, type ConnectionHost } from './connection.ts'
import { Faults, Limits, Steps, type Fault, type Scheduler, type ServerFault } from './scenario.ts'
import { FakeSession, type Change, type FakeRow, type FakeServer, type Reply, type Rows } from './session.ts'
import { thrownText } from '../../util/thrown.ts'
import { refused } from './values.ts'

/** What an `answer` function gives: rows, rows with their tag and count, an error, or undefined: unknown text. */
export type FakeAnswer = readonly (FakeRow | readonly unknown[])[] | Partial<Rows> | ServerFault | undefined

export interface FakeDriverOptions {
  /** Units in flight on one connection. Default 1. */
  readonly maxInFlight?: number | undefined
  /** The most connections that make sense. Default: no limit. */
  readonly poolLimit?: number | undefined
  /** Connections the server accepts before it answers 53300. Default: no limit. */
  readonly maxConnections?: number | undefined
  /** Committed rows by table. */
  readonly tables?: Readonly<Record<string, readonly FakeRow[]>> | undefined
  /** Answers every statement that is no fake SQL. */
  readonly answer?: ((text: string, params: readonly unknown[], session: FakeSession) => FakeAnswer) | undefined
  /** Milliseconds an answer takes. Default 0: the next macrotask. */
  readonly latencyMs?: number | ((text: string) => number) | undefined
  /** Decides the order of all events, such as `fc.scheduler()`. Default: as they come, each in a macrotask of its own. */
  readonly schedule?: Scheduler | undefined
}

const limit = integer(1, undefined, true)

const checks: Checks<FakeDriverOptions> = {
  maxInFlight: limit,
  poolLimit: limit,
  maxConnections: integer(0, undefined, true),
  tables: must('a plain object of tables and their rows', isPlain),
  answer: callback,
  latencyMs: must(
    'milliseconds, or a function that gives them',
    (value) => typeof value === 'function' || duration(value) === undefined,
  ),
  schedule: must('a scheduler', (value) => typeof value === 'object' && value !== null),
}

const known = [
  'host',
  'port',
  'user',
  'username',
  'password',
  'database',
  'ssl',
  'applicationName',
  'options',
  'int8',
  'prepare',
  'settings',
]

/**
 * A deterministic `Driver` in memory, for tests of the pool and the engine, or of your own code, without a server.
 *
 * @example
 * const driver = new FakeDriver()
 * driver.faults.at('COMMIT', { lost: '57P01' })
 * const engine = await createEngine({ driver })
 */
export class FakeDriver implements Driver<Readonly<Record<string, unknown>>> {
  static {
    Object.defineProperty(this.prototype, inspect.custom, {
      value(this: FakeDriver): string {
        return this.toString()
      },
    })
  }

  readonly name: string = 'fake'
  readonly dialect = 'postgres' as const
  readonly poolLimit: number
  /** What goes wrong, and when. */
  readonly faults: Faults = new Faults()
  /** What each session received, one line per Sync: `1: BEGIN; insert …`, also `1: <reset settings>`, `1: <cancel>`, `1: <ping>`, `1: <close>`. */
  readonly log: string[] = []
  /** Rules of the contract that the owner of a connection broke. */
  readonly violations: string[] = []
  /** Every session there ever was, in the order of opening. */
  readonly sessions: FakeSession[] = []
  readonly #options: FakeDriverOptions
  readonly #steps: Steps
  readonly #tables = new Map<string, FakeRow[]>()
  readonly #server: FakeServer
  readonly #host: ConnectionHost
  #openCount = 0
  #maxOpen = 0

  /** @throws {InvalidOptionError} for options that do not exist or do not fit. */
  constructor(given?: FakeDriverOptions) {
    const options = readOptions<FakeDriverOptions>(given, checks, 'FakeDriver')
    const { maxInFlight = 1, poolLimit = Infinity, latencyMs = 0, tables = {} } = options
    this.#options = options
    this.poolLimit = poolLimit
    this.#steps = new Steps(options.schedule)
    for (const [table, rows] of Object.entries(tables)) this.#tables.set(table, [...rows])
    this.#server = {
      rows: (table, changes) => this.rows(table, changes),
      commit: (changes) => this.#commit(changes),
      answer: (text, params, session) => this.#answer(text, params, session),
      notify: (channel, payload, from) => this.#notify(channel, payload, from),
    }
    this.#host = {
      steps: this.#steps,
      faults: this.faults,
      log: this.log,
      maxInFlight,
      latencyMs: (text) => (typeof latencyMs === 'number' ? latencyMs : latencyMs(text)),
      violate: (rule) => this.#violate(rule),
    }
  }

  /** Sessions open now. */
  get openCount(): number {
    return this.#openCount
  }

  /** The most sessions that were open at once. */
  get maxOpen(): number {
    return this.#maxOpen
  }

  /** The committed rows of a table. */
  rows(table: string, changes: readonly Change[] = []): FakeRow[] {
    const rows = [...(this.#tables.get(table) ?? [])]
    for (const change of changes) if (change.table === table) replace(rows, change)
    return rows
  }

  /** Ends a session, or all, as `pg_terminate_backend` does. Open transactions are rolled back. */
  kill(id?: number, code?: string): void {
    for (const session of this.sessions) if (id === undefined || id === session.id) session.kill(code)
  }

  parse(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const strange = Object.keys(options).filter((key) => !known.includes(key))
    if (strange.length > 0) {
      throw new InvalidOptionError(
        `The fake driver has no option ${strange.join(', ')}. It takes ${known.join(', ')}.`,
        {
          options: strange.map((name) => ({ name, problem: 'is not an option' })),
        },
      )
    }
    return options
  }

  open(
    _options: Readonly<Record<string, unknown>>,
    hooks: ConnectionHooks,
    deadline: number,
    generation: number,
  ): Promise<RawConnection> {
    const fault = this.faults.take('open', this.sessions.length + 1)
    return new Promise((resolve, reject) => {
      const limits = new Limits(this.#steps)
      let over = false
      const end = (failure: Failure | null): void => {
        if (over) return
        over = true
        disarm()
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- failures are data
        if (failure !== null) reject(failure)
        else resolve(this.#connect(hooks, generation))
      }
      const disarm = limits.arm('open', deadline, () => end({ kind: 'timeout', outcome: 'not_started' }))
      if (fault !== undefined && 'hang' in fault) limits.stick()
      else if (fault !== undefined && 'delayMs' in fault) {
        this.#steps.defer(
          'delay of open',
          () => this.#steps.defer('open', () => end(this.#refusal(undefined))),
          fault.delayMs,
        )
      } else this.#steps.defer('open', () => end(this.#refusal(fault)))
    })
  }

  classify(failure: Failure): 'statement' | 'connection' | 'endpoint' | 'full' | 'config' {
    const code = failure.fields?.['code'] ?? ''
    if (/^28|^3D000|^0L|^0P/.test(code)) return 'config'
    if (code === '53300') return 'full'
    if (/^57P|^08/.test(code)) return 'endpoint'
    if (['lost', 'timeout', 'closed'].includes(failure.kind)) return 'endpoint'
    return failure.kind === 'protocol' ? 'connection' : 'statement'
  }

  #connect(hooks: ConnectionHooks, generation: number): FakeConnection {
    const session = new FakeSession(this.sessions.length + 1, this.#server, () => this.#openCount--)
    this.sessions.push(session)
    this.#openCount++
    this.#maxOpen = Math.max(this.#maxOpen, this.#openCount)
    return new FakeConnection(session, this.#host, hooks, generation)
  }

  #refusal(fault: Fault | undefined): Failure | null {
    const full = this.#openCount >= (this.#options.maxConnections ?? Infinity)
    if (fault === undefined && !full) return null
    const happened: Fault = fault ?? { error: '53300', message: 'sorry, too many clients already' }
    if ('error' in happened) {
      const fields = { severity: 'FATAL', ...happened.fields }
      return { kind: 'server', outcome: 'not_started', ...toFields({ ...happened, fields }) }
    }
    if ('refuse' in happened) {
      const cause = { code: happened.refuse, syscall: 'connect', message: `connect ${happened.refuse} fake` }
      return { kind: 'lost', outcome: 'not_started', cause }
    }
    return { ...lossOf(happened), outcome: 'not_started' }
  }

  #commit(changes: readonly Change[]): void {
    for (const change of changes) {
      const rows = this.#tables.get(change.table) ?? []
      this.#tables.set(change.table, rows)
      replace(rows, change)
    }
  }

  #answer(text: string, params: readonly unknown[], session: FakeSession): Reply | null {
    let given: FakeAnswer
    try {
      given = this.#options.answer?.(text, params, session)
    } catch (thrown) {
      return refused('XX000', `the answer function of the FakeDriver threw ${thrownText(thrown)}`)
    }
    if (given === undefined) return null
    if ('error' in given) return refused(given.error, given.message, given.fields)
    const tag = /^\w*/.exec(text)?.[0].toUpperCase() ?? ''
    if (!('rows' in given || 'tag' in given || 'count' in given)) {
      const rows = given as Rows['rows']
      return { rows, tag, count: rows.length }
    }
    const { rows = [] } = given
    return { rows, tag: given.tag ?? tag, count: given.count ?? rows.length }
  }

  #notify(channel: string, payload: string, from: FakeSession): void {
    for (const session of this.sessions) {
      if (session.state.listen.has(channel)) session.listener?.notification(channel, payload, from.id)
    }
  }

  #violate(rule: string): never {
    this.violations.push(rule)
    throw new UsageError(`The contract of drivers was broken: ${rule}.`)
  }

  toString(): string {
    const parts = [`${this.#openCount} open`, `at most ${this.#maxOpen}`, `${this.sessions.length} in all`]
    if (this.faults.pending > 0) parts.push(`${this.faults.pending} faults to come`)
    if (this.violations.length > 0) parts.push(`${this.violations.length} violations`)
    return `FakeDriver { ${parts.join(', ')} }`
  }
}

function toFields({ error, message, fields }: ServerFault): Pick<Failure, 'fields'> {
  return { fields: refused(error, message, fields).error }
}

/** Of two updates of one row the later commit wins; an update of a row that is gone does nothing. */
function replace(rows: FakeRow[], { removed, added }: Change): void {
  const at = removed === null ? rows.length : rows.indexOf(removed)
  if (at >= 0) rows.splice(at, removed === null ? 0 : 1, ...(added === null ? [] : [added]))
}
