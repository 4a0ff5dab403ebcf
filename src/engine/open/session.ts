// The source of the pool's connections: the driver opens them, the engine sets them up and reports what happens to them.
import { type ConnectionHooks, type Driver, type Failure, isFailure, type RawConnection } from '../../driver/driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { ConnectionSource } from '../../pool/contract.ts'
import type { Member } from '../../pool/member.ts'
import {
  hookFailed,
  leaseChannel,
  type LeaseEvent,
  serverMessageChannel,
  waitChannel,
  notice,
} from '../../observe/channels.ts'
import { type Compiled, Dirty, shortText } from '../../sql/compiled.ts'
import type { ErrorFields, Meaning } from '../../sql/dialect.ts'
import type { ConnectionOpener } from '../client/listening-connection.ts'
import type { Engine } from '../engine.ts'
import type { Host } from '../hosts/host.ts'
import { reportConnection, reportLease } from '../report.ts'
import { before, clock } from '../../util/clock.ts'
import { inRoot } from '../../util/context.ts'

/** A description of more parameters is more than drivers can read. */
const mostDescribed = 32_767

const unprepared =
  'The pooler does not keep prepared statements, so statements run unnamed from here, although the options say prepare: true. ' +
  'PgBouncer keeps them from version 1.21 on, if its max_prepared_statements is not 0. Or leave out prepare: true.'

/** Engines whose authors know that their option `types` names what is no type. */
const untyped = new WeakSet<Engine>()

/** Fields of a message of the server, by name. */
type ServerMessage = Readonly<{ [name in 'severity' | 'code' | 'message' | 'detail' | 'hint']?: string }>

/** A driver that is loaded, and what its `parse` made of the options. */
export interface Served {
  readonly driver: Driver
  readonly connect: unknown
}

type SetUp = (
  engine: Engine,
  db: object | null,
  member: Member,
  raw: RawConnection,
  deadline: number,
) => Promise<string>

/** A connection, and what its resets end with. */
interface Kept {
  readonly raw: RawConnection
  readonly baseline: string
}

let setUp: SetUp | null = null

export class SessionSource implements ConnectionSource, ConnectionOpener {
  readonly #engine: Engine
  /** The `Db` the engine was opened for. */
  readonly #db: object | null
  /** Its server, of a database with replicas. */
  readonly #host: () => Host | null
  #served: Served | Promise<Served>
  /** Connections whose opening was reported. */
  readonly #open = new WeakSet<RawConnection>()
  /** The last one, which is the only one of a database inside the process. */
  #last: Kept | null = null
  #listening = ''
  #lastBaseline = ''
  #toldUnprepared = false
  #end: Promise<void> | null = null

  constructor(
    engine: Engine,
    db: object | null,
    served: Served | Promise<Served>,
    host: () => Host | null = () => null,
  ) {
    this.#engine = engine
    this.#db = db
    this.#served = served
    this.#host = host
  }

  get #where(): string | undefined {
    return this.#host()?.name
  }

  async open(member: Member, deadline: number): Promise<RawConnection> {
    const since = deadline - this.#engine.options.pool.connectTimeoutMs
    let raw: RawConnection | null = null
    member.onNotice = (fields) => this.#said(raw, fields)
    member.unprepared = () => this.#unprepared()
    member.untyped = (message) => this.#untyped(message)
    member.onNotification = (channel, payload, processId) => this.#engine.listening?.heard(channel, payload, processId)
    try {
      raw = await this.#connect(member, deadline)
      await this.#setUp(member, raw, deadline)
      await this.#prebake(raw, deadline)
    } catch (thrown) {
      raw?.destroy({ kind: 'closed', outcome: 'not_started' })
      const failure = notOpened(thrown)
      reportConnection(this.#engine, { connection: null, event: 'failed', since, failure, host: this.#where })
      this.#trouble(failure, false)
      throw raw === null ? thrown : failure
    }
    this.#open.add(raw)
    if (raw.returning !== undefined) this.#engine.returning = this.#engine.returning !== false && raw.returning
    const host = this.#host()
    if (host !== null) this.#engine.hosts?.opened(host, raw)
    if (this.#engine.options.descriptor.where === 'directory') await this.#keep(raw, deadline)
    reportConnection(this.#engine, { connection: raw.id, event: 'open', since, host: host?.name })
    this.#engine.functions.connectionOpened()
    return raw
  }

  async openOutsidePool(hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
    const since = clock.now()
    try {
      const raw = await this.#connect(hooks, deadline)
      reportConnection(this.#engine, { connection: raw.id, event: 'open', since })
      return raw
    } catch (thrown) {
      const failure = notOpened(thrown)
      reportConnection(this.#engine, { connection: null, event: 'failed', since, failure })
      throw failure as unknown
    }
  }

  async #connect(hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
    const served = this.#served instanceof Promise ? (this.#served = await this.#served) : this.#served
    return served.driver.open(served.connect, hooks, deadline)
  }

  async ended(deadline: number): Promise<void> {
    await before(deadline, (this.#end ??= this.#endDriver()), null)
  }

  async #endDriver(): Promise<void> {
    if (this.#served instanceof Promise) return
    const { driver, connect } = this.#served
    try {
      await driver.end?.(connect)
    } catch (thrown) {
      hookFailed(`end() of the driver ${driver.name} failed.`, thrown, { engine: this.#engine.name })
    }
  }

  /** It is the only connection. Channels that the one before it listened to are listened to again. */
  async #keep(raw: RawConnection, deadline: number): Promise<void> {
    this.#last = { raw, baseline: this.#lastBaseline }
    if (this.#listening !== '') {
      this.#setBaseline(this.#last)
      const failure: Failure = { kind: 'timeout', outcome: 'not_started' }
      if (!(await raw.reset(Dirty.listen, deadline))) throw failure as unknown
    }
    this.#engine.listening?.resumed()
  }

  keepListening(sql: string): void {
    this.#listening = sql
    if (this.#last !== null) this.#setBaseline(this.#last)
  }

  #setBaseline({ raw, baseline }: Kept): void {
    raw.setBaseline(baseline, this.#listening)
  }

  #trouble(failure: Failure, lost: boolean): void {
    const host = this.#host()
    if (host !== null) this.#engine.hosts?.noteTrouble(host, failure, lost)
  }

  /** Gives the notice once. No connection prepares statements from then on. */
  #unprepared(): void {
    if (this.#toldUnprepared) return
    this.#toldUnprepared = true
    notice('statements-unprepared', unprepared, {
      engine: this.#engine.name,
      places: [this.#where ?? this.#engine.options.describe()],
    })
  }

  /** Gives the notice once for each engine, however many hosts it has. */
  #untyped(message: string): void {
    if (untyped.has(this.#engine)) return
    untyped.add(this.#engine)
    notice('types-unknown', message, { engine: this.#engine.name, places: [this.#engine.options.describe()] })
  }

  /** A message of the server that answers nothing, such as NOTICE or WARNING. */
  #said(raw: RawConnection | null, fields: ServerMessage & Readonly<Record<string, string>>): void {
    if (this.#engine.dialect.replication?.unconfirmed(fields) === true)
      raw?.destroy({ kind: 'lost', outcome: 'unknown', fields })
    this.#publish(raw, fields)
  }

  #publish(raw: RawConnection | null, { severity = '', code = '', message = '', detail, hint }: ServerMessage): void {
    if (!serverMessageChannel.hasSubscribers) return
    const connection = raw?.id ?? null
    serverMessageChannel.publish({ engine: this.#engine.name, connection, severity, code, message, detail, hint })
  }

  classify(failure: Failure): ReturnType<Driver['classify']> {
    const served = this.#served
    return failure.cause instanceof UsageError || served instanceof Promise ? 'config' : served.driver.classify(failure)
  }

  explain(error: ErrorFields): Meaning {
    return this.#engine.dialect.explain(error)
  }

  closed(raw: RawConnection, failure: Failure | null): void {
    if (raw === this.#last?.raw) this.#engine.listening?.interrupted()
    if (!this.#open.delete(raw)) return
    const lost = failure === null || failure.kind === 'closed' ? null : failure
    const event = lost === null ? 'close' : 'lost'
    reportConnection(this.#engine, { connection: raw.id, event, since: raw.born, failure: lost, host: this.#where })
    if (lost !== null) this.#trouble(lost, true)
  }

  cleaned(raw: RawConnection, since: number): void {
    reportConnection(this.#engine, { connection: raw.id, event: 'reset', since, host: this.#where })
  }

  get observed(): boolean {
    return leaseChannel.hasSubscribers || waitChannel.hasSubscribers
  }

  lent(raw: RawConnection, event: LeaseEvent['event'], waitMs: number, useMs: number, recalled: boolean): void {
    const host = this.#where
    reportLease(
      this.#engine,
      { connection: raw.id, event, waitMs, useMs, ...(host === undefined ? {} : { host }) },
      recalled,
    )
  }

  queued(event: 'begin' | 'end', waiting: number, waitMs: number): void {
    if (!waitChannel.hasSubscribers) return
    const host = this.#where
    waitChannel.publish({
      engine: this.#engine.name,
      event,
      waiting,
      waitMs,
      ...(host === undefined ? {} : { host }),
    })
  }

  leftOpen(raw: RawConnection): void {
    const what =
      raw.status === 'prepared'
        ? 'a transaction that was prepared: it keeps its locks until it is committed or rolled back by its name, from any connection.'
        : 'an open transaction; it was rolled back.'
    notice('connection-closed-dirty', `A connection came back with ${what}`, {
      engine: this.#engine.name,
      places: [`connection ${raw.id}`],
    })
  }

  waitsToClose(holders: readonly string[], cursor: boolean): void {
    notice(
      'waiting-to-close',
      cursor
        ? 'close() waits for a cursor that nobody reads. If the code that called close() is the loop that reads it, leave the loop first.'
        : 'close() has been waiting for a second for connections that are still lent.',
      { engine: this.#engine.name, places: holders, warn: cursor },
    )
  }

  /** Sets the isolation level and runs `onConnect`, if there are any. */
  async #setUp(member: Member, raw: RawConnection, deadline: number): Promise<void> {
    const { onConnect, pooler, isolation } = this.#engine.options
    if ((pooler !== undefined || isolation === undefined) && onConnect === undefined) return
    setUp ??= (await inRoot(() => import('./set-up.ts'))).setUp
    this.#lastBaseline = await setUp(this.#engine, this.#db, member, raw, deadline)
  }

  /** Statements that were baked are parsed before the first use, behind `onConnect`, which may set where names are looked up. */
  async #prebake(raw: RawConnection, deadline: number): Promise<void> {
    const engine = this.#engine
    if (!engine.options.prebake || raw.prepare === undefined) return
    const statements = new Set<Compiled>()
    for (const { plans } of engine.bakeries)
      for (const plan of plans)
        if (plan.dialect.family === engine.dialect.family && plan.parameters <= mostDescribed)
          statements.add(plan.on(engine.statements))
    if (statements.size === 0) return
    const refused = await raw.prepare([...statements], deadline)
    if (refused === null) {
      const failure: Failure = { kind: raw.alive ? 'timeout' : 'lost', outcome: 'not_started' }
      throw failure as unknown
    }
    for (const { stmt, failure } of refused)
      notice(
        'prebake-failed',
        `A baked statement could not be prepared on a new connection (${failure.fields?.['message'] ?? failure.kind}). It is ` +
          'prepared when it is used.',
        { engine: engine.name, places: [shortText(stmt)] },
      )
  }
}

/** Why a connection was not opened; code of the user may throw anything. */
function notOpened(thrown: unknown): Failure {
  return isFailure(thrown) ? thrown : { kind: 'lost', outcome: 'not_started', cause: thrown }
}
