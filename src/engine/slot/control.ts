// Operations of the engine itself that travel in front of a user's statement in the same unit: BEGIN, SAVEPOINT and
// the settings of a frame. When one fails the statement is skipped, and its caller gets this failure.
import type { Failure, Op, OpState, RawConnection } from '../../driver/driver.ts'
import { TransactionStateError } from '../../errors/index.ts'
import { Dirty, Pin, type Compiled } from '../../sql/compiled.ts'
import { notice } from '../../observe/notice.ts'
import type { Settings } from '../context/frame.ts'
import type { Lease } from '../../pool/lease.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Slot } from './slot.ts'
import { clock } from '../../util/clock.ts'

export class ControlOp implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: null = null
  readonly maxRows: number = 0
  readonly rows: unknown[] = []
  tag = ''
  count = -1
  state: OpState = 1
  readonly #main: EngineOp
  readonly #transaction: TransactionRecord | null

  constructor(stmt: Compiled, main: EngineOp, transaction: TransactionRecord | null, params: readonly unknown[] = []) {
    this.stmt = stmt
    this.#main = main
    this.#transaction = transaction
    this.params = params
    if (transaction !== null) transaction.wire = 'sent'
  }

  done(): void {
    if (this.state === 3) return
    this.state = 3
    if (this.#transaction !== null) this.#transaction.wire = 'open'
  }

  fail(failure: Failure): void {
    if (this.state === 3) return
    this.state = 3
    const main = this.#main
    if (this.#transaction === null) main.slot?.settingsUndone()
    if (failure.kind !== 'skipped') main.prefixFailure ??= { ...failure, outcome: 'not_started' }
    this.#transaction?.beginFailed(main.prefixFailure, this.stmt)
  }
}

/**
 * What travels in front of a statement in the same unit: settings after a borrow, BEGIN and SAVEPOINTs not yet sent. Settings
 * go behind a BEGIN, whose isolation level has to come before any query. What
 * keeps it from being made is given back: whoever lends the connection, or was answered just before, has no part in it.
 */
export function prefixOf(slot: Slot, op: EngineOp, unset: boolean): Op[] | Error | null {
  try {
    return makePrefix(slot, op, unset)
  } catch (error) {
    return error as Error
  }
}

function makePrefix(slot: Slot, op: EngineOp, unset: boolean): Op[] | null {
  const { settings } = slot
  const pooled = slot.engine.options.pooler !== undefined
  const begins = op.transaction !== null && op.transaction.wire === 'none'
  let ops: Op[] | null = null
  if (settings !== null && !(begins && beginsOutermost(slot)) && areDue(slot, op, unset))
    ops = [settingsOp(slot.engine, (slot.lease as Lease).raw, settings, op, pooled)]
  if (begins) {
    ops ??= []
    for (const transaction of slot.stack) {
      if (transaction.wire === 'none') {
        ops.push(new ControlOp(transaction.opening(), op, transaction))
        const limit = transaction.idleLimit()
        if (limit !== null) ops.push(new ControlOp(limit, op, null))
        if (settings !== null && transaction.parent === null && (pooled || unset))
          ops.push(settingsOp(slot.engine, (slot.lease as Lease).raw, settings, op, pooled))
      }
      if (transaction === op.transaction) break
    }
  }
  return ops
}

function beginsOutermost({ stack }: Slot): boolean {
  return stack[0]?.wire === 'none'
}

/** Whether the settings go in front of this one. Behind a pooler they are part of each transaction, if it is of one statement. */
function areDue({ engine }: Slot, { transaction, stmt }: EngineOp, unset: boolean): boolean {
  return engine.options.pooler === undefined ? unset : transaction === null && !stmt.hasControl
}

/**
 * Whether nothing may stand in front of it in its unit: several statements in one text, what ends transactions by itself or
 * runs in none (DO and CALL may commit), and BEGIN by text, which may ask for an isolation level.
 */
export function standsAlone({ cls, dirties, verb }: Compiled): boolean {
  if (cls === 'multi' || cls === 'control') return true
  return cls === 'alone' || verb === 'DO' || (cls === 'write' && (dirties & Dirty.unknown) !== 0)
}

/**
 * What has to go first, in a unit of its own, in front of a statement that stands alone: null if nothing has. An error where
 * that would be another transaction, and all the statement needs ends with it.
 */
export function openerOf(
  slot: Slot,
  op: EngineOp,
  unset: boolean,
  drop: () => void,
): Opener | TransactionStateError | null {
  const begins = op.transaction?.wire === 'none'
  const { cls, verb } = op.stmt
  const { pooler } = slot.engine.options
  if (begins) return cls === 'multi' ? new Opener(op, drop) : null
  if (slot.settings === null || !areDue(slot, op, unset)) return null
  if (pooler === undefined) return new Opener(op, drop)
  if (cls === 'multi') return settingsApart('several statements in one text are one of their own', op.stmt)
  return cls === 'alone' && verb !== 'COPY' ? settingsApart(`${verb} like this runs in none`, op.stmt) : null
}

function settingsApart(why: string, stmt: Compiled): TransactionStateError {
  return new TransactionStateError(
    `Behind a pooler the settings of a scope are set in each transaction, and ${why}: it would run without them. ` +
      (stmt.cls === 'multi'
        ? 'Run the statements one by one, or inside transaction(work).'
        : 'Run it outside of the scope, where no settings are asked for, or connect to the server itself.'),
    { statement: { sql: stmt.text } },
  )
}

/** Goes first with the prefix of a statement that stands alone. */
export class Opener extends EngineOp {
  readonly #main: EngineOp
  readonly #drop: () => void

  constructor(main: EngineOp, drop: () => void) {
    const { engine, slot, transaction } = main
    super(engine, undefined, null, engine.statements.compileInternal('select 1'), [], null, null, 0, Infinity, null)
    this.slot = slot
    this.transaction = transaction
    this.#main = main
    this.#drop = drop
  }

  override fail(failure: Failure): void {
    super.fail(failure)
    this.#drop()
    this.#main.refuse({ ...(this.prefixFailure ?? failure), outcome: 'not_started' })
  }
}

/**
 * `select set_config(…)` for every setting. For the length of the session, and the reset on return takes them away; or for
 * the transaction alone: without a BEGIN that is all of the unit.
 */
export function settingsOp(
  engine: Engine,
  raw: RawConnection,
  settings: Settings,
  main: EngineOp,
  local: boolean,
): ControlOp {
  const { sql, params } = engine.dialect.setConfig(settings, local)
  if (!local) raw.dirty |= Dirty.settings
  return new ControlOp(engine.statements.compileInternal(sql), main, null, params)
}

/** Lends the driver's own object; nothing is in flight. */
export function lend(slot: Slot): Promise<unknown> {
  const { raw } = slot.lease as Lease
  slot.pin(Pin.raw, 'rawConnection()')
  // Nobody sees what is done with it.
  raw.dirty |= Dirty.unknown
  return raw.lend(slot.engine.options.pool.acquireTimeoutMs)
}

/** Whether users have it. */
export function isLent({ pins }: Slot): boolean {
  return (pins & Pin.raw) !== 0
}

/** Nothing is in flight: what the server says of the transaction is the truth. */
export function noteStatus(slot: Slot, { status }: RawConnection): void {
  if (slot.stack.some(({ wire }) => wire === 'open')) {
    if (status === 'idle') for (const transaction of slot.stack) transaction.endedByServer()
  } else if (status !== 'idle' && !slot.explicit && !isLent(slot) && slot.flight.size === 0) rollBackStray(slot)
}

/**
 * A statement left a transaction open outside of any: it is undone, because nobody would ever end it. A connection on
 * which that fails, or takes longer than a reset may, is closed.
 */
function rollBackStray(slot: Slot): void {
  const { engine } = slot
  const { raw } = slot.lease as Lease
  const give = (): void => raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
  const deadline = clock.now() + engine.options.resetTimeoutMs
  answeredBy(engine, sendControl(slot, 'ROLLBACK'), deadline, give).catch(give)
  notice('connection-closed-dirty', 'A statement outside of any transaction left one open; it was rolled back.', {
    engine: engine.name,
    places: [slot.describeOwner()],
  })
}

/** Sends what a slot owes before anything else. `handle`: that of the transaction to be opened. */
export function sendOwed(slot: Slot, handle: Handle | null): EngineOp {
  const { engine } = slot
  const stmt = engine.statements.compileInternal('select 1')
  const op = new EngineOp(engine, undefined, handle, stmt, [], null, null, 0, Infinity, null)
  slot.send(op)
  return op
}

/** Waits for an operation of the engine; `expire` is called once when that takes too long. Rejects with a `Failure`. */
export async function answeredBy(engine: Engine, op: EngineOp, deadline: number, expire: () => void): Promise<void> {
  const limit = { deadline, expire }
  if (deadline !== Infinity) engine.ticker.add(limit)
  try {
    await op.wait()
  } finally {
    if (deadline !== Infinity) engine.ticker.remove(limit)
  }
}

/** Sends transaction control past the queue; the caller has waited for quiet. Several texts share one unit. */
export function sendControl(slot: Slot, ...texts: readonly string[]): EngineOp {
  const { engine } = slot
  return sendPast(
    slot,
    texts.map((text) => controlOp(engine, text)),
  )
}

/** Sends operations of the engine past the queue, in one unit; the caller has waited for quiet. Gives the last of them. */
export function sendPast(slot: Slot, ops: readonly EngineOp[]): EngineOp {
  const { lease, flight } = slot
  const last = ops[ops.length - 1] as EngineOp
  if (lease === null || !lease.raw.alive) {
    last.refuse({ kind: 'lost', outcome: 'rolled_back' })
    return last
  }
  for (const op of ops) {
    op.slot = slot
    op.starting(lease.raw)
    flight.add(op, op === last)
  }
  lease.raw.submitUnit({ ops })
  return last
}

/** Transaction control that travels on its own. */
function controlOp(engine: Engine, text: string): EngineOp {
  return new EngineOp(
    engine,
    undefined,
    null,
    engine.statements.compileInternal(text),
    [],
    null,
    null,
    0,
    Infinity,
    null,
  )
}
