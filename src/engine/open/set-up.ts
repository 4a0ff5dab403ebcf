// Sets a new connection up before the pool lends it: its isolation level and the user's `onConnect`, in a frame that owns just this
// connection. Their settings are the baseline that every reset restores. It is loaded with the first connection that needs it.
import type { Failure, RawConnection } from '../../driver/driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { ResolvedOptions } from '../../options/options.ts'
import type { Member } from '../../pool/member.ts'
import { Pin } from '../../sql/compiled.ts'
import { unconverted } from '../../sql/conversions.ts'
import { before, clock } from '../../util/clock.ts'
import { Connection } from '../connection.ts'
import { push, runIn } from '../context/chain.ts'
import { Frame, type Settings } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import { EngineOp } from '../query/op.ts'
import type { Item } from '../slot/holding.ts'
import { Slot } from '../slot/slot.ts'
import { wholeRuntime } from './scope-runtime.ts'

type Hook = (connection: Connection) => unknown

/**
 * Gives the text that a reset has to end with.
 * @param db The `Db` the engine was opened for.
 */
export async function setUp(
  engine: Engine,
  db: object | null,
  member: Member,
  raw: RawConnection,
  deadline: number,
): Promise<string> {
  // `openEngine` resolved the options: their hook takes a connection.
  const { onConnect, pooler, ...options } = engine.options as ResolvedOptions<unknown> as ResolvedOptions<Connection>
  const isolation = pooler === undefined ? options.isolation : undefined
  wholeRuntime()
  const slot = new SetupSlot(engine, null, true, 'onConnect')
  slot.attach(member.lendForSetup(raw, slot))
  const connection = new Connection(engine, slot, undefined, 'owner')
  const timeoutMs = Math.max(0, deadline - clock.now())
  try {
    const level = isolation === undefined ? null : engine.dialect.settings.isolation(isolation)
    if (level !== null) await connection.status(level.sql, level.params, { timeoutMs })
    if (onConnect !== undefined) {
      const frame = new Frame('owner', engine, db, slot, null, null)
      frame.connection = connection
      await inTime(slot, runHook(frame, connection, onConnect), deadline)
      if (!(await raw.reclaim(deadline))) throw { kind: 'timeout', outcome: 'not_started' } satisfies Failure as unknown
      check(engine, slot, raw)
    }
    return await readBaseline(slot, connection, raw, timeoutMs)
  } finally {
    slot.closed = true
    slot.lease = null
    member.endSetup()
  }
}

/** @throws {UsageError} when the hook is not done in time. */
async function inTime(slot: Slot, hook: Promise<void>, deadline: number): Promise<void> {
  if ((await before(deadline, hook, 'late')) !== 'late') return
  // The server would go on with it, although nobody listens any more.
  const running = slot.flight.head
  if (running !== undefined) slot.cancel(running)
  throw new UsageError('onConnect did not finish within pool.connectTimeoutMs. Make it shorter, or give it more time.')
}

/** Runs the user's hook with this connection ambient: `db.…` inside uses it too. */
async function runHook(frame: Frame, connection: Connection, onConnect: Hook): Promise<void> {
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

function check({ dialect }: Engine, slot: Slot, raw: RawConnection): void {
  if (slot.busy || slot.top !== null || raw.status !== 'idle')
    throw new UsageError(
      'onConnect returned while a statement or transaction of it was still open. Await all its work.',
    )
  const { settings, advice } = dialect
  if ((slot.pins & ~(settings.baseline.pins | Pin.raw | Pin.functions)) !== 0)
    throw new UsageError(`${advice.onConnect} at the first reset of the connection. Set them where they are used.`)
}

/** Reads the settings of the session as they are now: every reset ends with them. */
async function readBaseline(
  slot: SetupSlot,
  connection: Connection,
  raw: RawConnection,
  timeoutMs: number,
): Promise<string> {
  // Settings of frames inside of the hook are not part of the baseline.
  if (raw.inForce.any) await connection.scalar('select 1', [], { timeoutMs })
  const { baseline } = slot.engine.dialect.settings
  const { sql, params } = baseline.read([...slot.settingNames])
  const rows = await connection.all<{ name: string; setting: string }>(sql, params, { timeoutMs, ...unconverted })
  raw.inForce.base = settingsFrom(raw.inForce.base, rows)
  const restoring = baseline.restore(rows)
  raw.setBaseline(restoring)
  return restoring
}

/** Above what the driver has set. */
function settingsFrom(base: Settings, rows: readonly { readonly name: string; readonly setting: string }[]): Settings {
  const settings = Object.assign(Object.create(null), base) as Record<string, string>
  for (const { name, setting } of rows) settings[name.toLowerCase()] = setting
  return settings
}

/** Remembers which settings the hook may have made up: the server lists only those it knows. */
class SetupSlot extends Slot {
  readonly settingNames = new Set<string>()

  override send(item: Item): void {
    if (item instanceof EngineOp && (item.stmt.pins & Pin.settings) !== 0)
      for (const text of [item.stmt.text, ...item.params])
        if (typeof text === 'string')
          for (const name of this.engine.dialect.settings.baseline.unlisted(text)) this.settingNames.add(name)
    super.send(item)
  }
}
