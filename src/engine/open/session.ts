// What the engine does to a new connection before the pool lends it: its isolation level and the user's `onConnect`,
// in a frame that owns just this connection. What they set is the baseline that every reset restores.
import type { Driver, Failure, RawConnection } from '../../driver/driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { ConnectionSource } from '../../pool/contract.ts'
import type { Member } from '../../pool/member.ts'
import { leaseChannel, type LeaseEvent, waitChannel } from '../../observe/channels.ts'
import { notice } from '../../observe/notice.ts'
import { type Compiled, Pin } from '../../sql/compiled.ts'
import { Connection } from '../connection.ts'
import { push, runIn } from '../context/chain.ts'
import { Frame } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import { isFailure } from '../query/failure.ts'
import { EngineOp } from '../query/op.ts'
import { reportConnection, reportLease } from '../report.ts'
import { type Item, Slot } from '../slot/slot.ts'
import { clock } from '../../util/clock.ts'

/** Session state a baseline can restore; anything else set in onConnect would be lost at the first reset. */
const restorable = Pin.settings | Pin.role | Pin.raw

/** A description of more parameters is more than drivers can read. */
const mostDescribed = 32_767

export class SessionSource implements ConnectionSource {
  readonly #engine: Engine
  /** The `Db` the engine was opened for. */
  readonly #db: object | null
  readonly #driver: Driver
  readonly #connect: unknown
  /** Connections that were told of as open. */
  readonly #open = new WeakSet<RawConnection>()

  constructor(engine: Engine, db: object | null, driver: Driver, connect: unknown) {
    this.#engine = engine
    this.#db = db
    this.#driver = driver
    this.#connect = connect
  }

  async open(member: Member, deadline: number): Promise<RawConnection> {
    const since = deadline - this.#engine.options.pool.connectTimeoutMs
    let raw: RawConnection | null = null
    try {
      raw = await this.#driver.open(this.#connect, member, deadline, 0)
      await this.#prepare(member, raw, deadline)
      await this.#prebake(raw, deadline)
    } catch (thrown) {
      raw?.destroy({ kind: 'closed', outcome: 'not_started' })
      const failure: Failure = isFailure(thrown) ? thrown : { kind: 'lost', outcome: 'not_started', cause: thrown }
      reportConnection(this.#engine, null, 'failed', since, failure)
      throw raw === null ? thrown : failure
    }
    this.#open.add(raw)
    reportConnection(this.#engine, raw.id, 'open', since)
    return raw
  }

  classify(failure: Failure): ReturnType<Driver['classify']> {
    return failure.cause instanceof UsageError ? 'config' : this.#driver.classify(failure)
  }

  closed(raw: RawConnection, failure: Failure | null): void {
    if (!this.#open.delete(raw)) return
    const lost = failure === null || failure.kind === 'closed' ? null : failure
    reportConnection(this.#engine, raw.id, lost === null ? 'close' : 'lost', raw.born, lost)
  }

  cleaned(raw: RawConnection, since: number): void {
    reportConnection(this.#engine, raw.id, 'reset', since)
  }

  get observed(): boolean {
    return leaseChannel.hasSubscribers || waitChannel.hasSubscribers
  }

  lent(raw: RawConnection, event: LeaseEvent['event'], waitMs: number, useMs: number, recalled: boolean): void {
    reportLease(this.#engine, { connection: raw.id, event, waitMs, useMs }, recalled)
  }

  queued(event: 'begin' | 'end', waiting: number, waitMs: number): void {
    if (waitChannel.hasSubscribers) waitChannel.publish({ engine: this.#engine.name, event, waiting, waitMs })
  }

  leftOpen(raw: RawConnection): void {
    notice(
      'connection-closed-dirty',
      'A connection came back with a transaction nobody had ended; it was rolled back.',
      {
        engine: this.#engine.name,
        places: [`connection ${raw.id}`],
      },
    )
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

  async #prepare(member: Member, raw: RawConnection, deadline: number): Promise<void> {
    const { onConnect, pooler, ...options } = this.#engine.options
    const isolation = pooler === undefined ? options.isolation : undefined
    if (isolation === undefined && onConnect === undefined) return
    const engine = this.#engine
    const slot = new SetupSlot(engine, null, true, 'onConnect')
    slot.attach(member.lendForSetup(raw, slot))
    const connection = new Connection(engine, slot, undefined, true)
    const timeoutMs = Math.max(0, deadline - clock.now())
    try {
      if (isolation !== undefined)
        await connection.status("select set_config('default_transaction_isolation', $1, false)", [isolation], {
          timeoutMs,
        })
      if (onConnect !== undefined) {
        await withinDeadline(this.#runHook(slot, connection, onConnect), timeoutMs)
        if (!(await raw.reclaim(deadline)))
          throw { kind: 'timeout', outcome: 'not_started' } satisfies Failure as unknown
        this.#check(slot, raw)
      }
      raw.setBaseline(await readBaseline(connection, slot.settingNames, timeoutMs))
    } finally {
      slot.closed = true
      slot.lease = null
      member.endSetup()
    }
  }

  /** Statements that were baked are parsed before the first use, behind `onConnect`, which may set where names are looked up. */
  async #prebake(raw: RawConnection, deadline: number): Promise<void> {
    const engine = this.#engine
    if (!engine.options.prebake || raw.prepare === undefined) return
    const statements = new Set<Compiled>()
    for (const { plans } of engine.bakeries)
      for (const plan of plans) if (plan.parameters <= mostDescribed) statements.add(plan.on(engine.statements))
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
        { engine: engine.name, places: [stmt.text.length > 80 ? `${stmt.text.slice(0, 77)}…` : stmt.text] },
      )
  }

  /** Runs the user's hook with this connection ambient: `db.…` inside uses it too. */
  async #runHook(slot: Slot, connection: Connection, onConnect: (connection: Connection) => unknown): Promise<void> {
    const frame = new Frame('owner', this.#engine, this.#db, slot, null, null)
    frame.connection = connection
    try {
      await runIn(push(frame, undefined), () => onConnect(connection))
    } catch (cause) {
      // It can be anything, also what looks like a failure of ours.
      const failure: Failure = { kind: 'lost', outcome: 'not_started', cause }
      throw failure as unknown
    } finally {
      frame.end()
    }
  }

  #check(slot: Slot, raw: RawConnection): void {
    if (slot.busy || slot.stack.length > 0 || raw.status !== 'idle')
      throw new UsageError(
        'onConnect returned while a statement or transaction of it was still open. Await all its work.',
      )
    if ((slot.pins & ~restorable) !== 0)
      throw new UsageError(
        'onConnect may set settings and the role; temporary tables, LISTEN, advisory locks, cursors and PREPARE would be lost ' +
          'at the first reset of the connection. Set them where they are used.',
      )
  }
}

async function withinDeadline(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = clock.setTimeout(
      () =>
        reject(
          new UsageError(
            'onConnect did not finish within pool.connectTimeoutMs. Make it shorter, or give it more time.',
          ),
        ),
      timeoutMs,
    )
  })
  try {
    await Promise.race([work, late])
  } finally {
    clock.clearTimeout(timer)
  }
}

/** Remembers which settings the hook may have made up: the server lists only those it knows. */
class SetupSlot extends Slot {
  readonly settingNames = new Set<string>()

  override send(item: Item): void {
    if (item instanceof EngineOp && (item.stmt.pins & Pin.settings) !== 0)
      for (const text of [item.stmt.text, ...item.params])
        if (typeof text === 'string') for (const [name] of text.matchAll(customSetting)) this.settingNames.add(name)
    super.send(item)
  }
}

/** Settings with a dot in their name belong to extensions and applications. */
const customSetting = /[a-z_][\w$]*\.[a-z_][\w$]*/gi

interface SessionSetting {
  readonly name: string
  readonly setting: string
}

/** SQL that sets again what is set in this session, as literals: the reset sends it without parameters. */
async function readBaseline(connection: Connection, custom: ReadonlySet<string>, timeoutMs: number): Promise<string> {
  const settings = await connection.all<SessionSetting>(
    `select name, current_setting(name) as setting from pg_settings
      where source = 'session' and name <> 'role'
      union select name, current_setting(name, true) from unnest($1::text[]) as name
      where current_setting(name, true) is not null
      union select 'role', current_setting('role') where current_setting('role') <> 'none'`,
    [[...custom]],
    { timeoutMs },
  )
  return settings
    .map(({ name, setting }) => `select set_config(${literal(name)}, ${literal(setting)}, false);`)
    .join(' ')
}

function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
