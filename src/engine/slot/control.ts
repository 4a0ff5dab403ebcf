// Operations of the engine itself that travel in front of a user's statement in the same unit: BEGIN, SAVEPOINT and
// the settings of a frame. When one fails the statement is skipped, and its caller gets this failure.
import type { Failure, Op, OpState } from '../../driver/driver.ts'
import { TransactionStateError } from '../../errors/index.ts'
import { Dirty, type Compiled } from '../../sql/compiled.ts'
import { notice } from '../../observe/notice.ts'
import type { Settings } from '../context/frame.ts'
import type { Lease } from '../../pool/lease.ts'
import type { Engine } from '../engine.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Slot } from './slot.ts'

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
    this.#transaction?.beginFailed(main.prefixFailure)
  }
}

/**
 * What travels in front of a statement in the same unit: settings after a borrow, BEGIN and SAVEPOINTs not yet sent. What
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
  let ops: Op[] | null = null
  if (settings !== null && areDue(slot, op, unset)) ops = [settingsOp(slot, settings, op, pooled)]
  if (op.transaction !== null && op.transaction.wire === 'none') {
    ops ??= []
    for (const transaction of slot.stack) {
      if (transaction.wire === 'none') {
        ops.push(new ControlOp(transaction.opening(), op, transaction))
        const limit = transaction.idleLimit()
        if (limit !== null) ops.push(new ControlOp(limit, op, null))
        if (pooled && settings !== null && transaction.parent === null) ops.push(settingsOp(slot, settings, op, true))
      }
      if (transaction === op.transaction) break
    }
  }
  return ops
}

/** Whether the settings go in front of this one. Behind a pooler they are part of each transaction, if it is of one statement. */
function areDue({ engine }: Slot, { transaction, stmt }: EngineOp, unset: boolean): boolean {
  return engine.options.pooler === undefined ? unset : transaction === null && !stmt.hasControl
}

/**
 * What has to go first, in a unit of its own, because several statements in one text take no company: null if nothing has.
 * An error where that would be another transaction, and all the text needs ends with it.
 */
export function openerOf(
  slot: Slot,
  op: EngineOp,
  unset: boolean,
  drop: () => void,
): Opener | TransactionStateError | null {
  const begins = op.transaction?.wire === 'none'
  if (!begins && (slot.settings === null || !areDue(slot, op, unset))) return null
  if (begins || slot.engine.options.pooler === undefined) return new Opener(op, drop)
  return new TransactionStateError(
    'Behind a pooler the settings of a scope are set in each transaction, and several statements in one text are one of ' +
      'their own. Run them one by one, or inside transaction(work).',
    { statement: { sql: op.stmt.text } },
  )
}

/** Goes first with the prefix of several statements in one text, which take no company in their unit. */
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
function settingsOp({ engine, lease }: Slot, settings: Settings, main: EngineOp, local: boolean): ControlOp {
  const { sql, params } = engine.dialect.setConfig(settings, local)
  if (!local) (lease as Lease).raw.dirty |= Dirty.settings
  return new ControlOp(engine.statements.compileInternal(sql), main, null, params)
}

/**
 * A statement left a transaction open outside of any: it is undone, because nobody would ever end it. A connection on
 * which that fails, or takes longer than a reset may, is closed.
 */
export function rollBackStray(slot: Slot): void {
  const { engine } = slot
  const { raw } = slot.lease as Lease
  const give = (): void => raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
  const deadline = performance.now() + engine.options.resetTimeoutMs
  answeredBy(engine, sendControl(slot, 'ROLLBACK'), deadline, give).catch(give)
  notice('connection-closed-dirty', 'A statement outside of any transaction left one open; it was rolled back.', {
    engine: engine.name,
    places: [slot.describeOwner()],
  })
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
