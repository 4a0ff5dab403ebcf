// Operations of the engine itself that travel in front of a user's statement in the same unit: BEGIN, SAVEPOINT and
// the settings of a frame. When one fails the statement is skipped, and its caller gets this failure.
import type { Failure, Op, RawConnection } from '../../driver/driver.ts'
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import { Dirty, Pin, standsAlone, type Compiled } from '../../sql/compiled.ts'
import { notice } from '../../observe/channels.ts'
import type { Link } from '../context/chain.ts'
import type { Handle } from '../context/frame.ts'
import type { Lease } from '../../pool/lease.ts'
import { InternalOp } from '../internal-op.ts'
import { engineStatement } from '../query/engine-statement.ts'
import { EngineOp } from '../query/op.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { releases, sendControl } from './sending.ts'
import type { Holding } from './holding.ts'
import { mustBegin, proofOps, switchOps } from '../switching.ts'
import { clock } from '../../util/clock.ts'

class ControlOp extends InternalOp {
  /** The operation that takes back the ones sent before it, when it fails. */
  abandon: string | null = null
  readonly #main: EngineOp
  readonly #transaction: TransactionRecord | null

  constructor(stmt: Compiled, main: EngineOp, transaction: TransactionRecord | null, params?: readonly unknown[]) {
    super(stmt, params)
    this.#main = main
    this.#transaction = transaction
    transaction?.advance('sent')
  }

  protected over(failure: Failure | null): void {
    const main = this.#main
    if (failure === null) {
      this.#transaction?.advance('begun')
      return
    }
    if (this.abandon !== null && main.slot !== null) main.slot.flight.abandon = this.abandon
    if (failure.kind !== 'skipped') main.prefixFailure ??= { ...failure, outcome: 'not_started' }
    this.#transaction?.beginFailed(main.prefixFailure, this.stmt)
  }
}

/** Whether settings go in front of this one: others are in force than it runs with. */
export function isDue(slot: Holding, op: EngineOp): boolean {
  const { raw } = slot.lease as Lease
  if (raw.inForce.isNow(op.wanted)) return false
  // Behind a pooler they are part of each transaction, if it is of one statement.
  return slot.engine.options.pooler === undefined || op.transaction !== null || !op.stmt.hasControl
}

/**
 * The operations that travel in front of a statement in the same unit: RELEASE, BEGIN and SAVEPOINTs not yet sent, and settings that
 * are `due`. Settings go behind BEGIN, whose isolation level has to come before any query, and behind SAVEPOINT, so that settings the
 * server refuses take away no more than that. An error that keeps the unit from being made is returned, not thrown: the code that lends
 * the connection, or was answered just before, has no part in it.
 */
export function prefixOf(slot: Holding, op: EngineOp, due: boolean): Op[] | Error | null {
  try {
    return makePrefix(slot, op, due)
  } catch (error) {
    return error as Error
  }
}

function makePrefix(slot: Holding, op: EngineOp, due: boolean): Op[] | null {
  const begins = op.transaction !== null && op.transaction.unsent
  const switches = (due ? switching(slot, op, op.transaction === null) : null) ?? proving(slot, op)
  const { unreleased } = slot.flight
  if (!begins && unreleased === null) return switches
  const ops = releases(slot, unreleased, op)
  for (let each = begins ? slot.stack.outermost : null; each !== null; each = each.inner) {
    if (each.unsent) {
      open(each, op, ops)
      slot.lease?.raw.inForce.mark(each.savepoint)
      const limit = idleLimit(each)
      if (limit !== null) ops.push(new ControlOp(limit, op, null))
    }
    if (each === op.transaction) break
  }
  return switches === null ? ops : [...ops, ...switches]
}

/** Pins of statements whose effect has to stay with the session. */
const staying = Pin.settings | Pin.role | Pin.temp | Pin.listen | Pin.locks | Pin.cursors | Pin.prepared | Pin.sequences

function proving({ engine, lease }: Holding, op: EngineOp): Op[] | null {
  const { raw } = lease as Lease
  const { cls, pins } = op.stmt
  const leaves = op instanceof Opener || ((pins & staying) !== 0 && cls !== 'multi')
  return leaves && raw.proof ? proofOps(engine, raw, op) : null
}

function switching({ engine, lease }: Holding, op: EngineOp, alone: boolean): Op[] | null {
  return switchOps(engine, (lease as Lease).raw, op.wanted, op, alone)
}

/** Adds what opens it. */
function open(transaction: TransactionRecord, main: EngineOp, ops: Op[]): void {
  const { engine, parent, savepoint, options: asked } = transaction
  const { dialect, statements, options } = engine
  if (parent !== null) {
    ops.push(new ControlOp(statements.compileInternal(dialect.savepoint.set(savepoint)), main, transaction))
    return
  }
  // Else it is what every session starts with.
  const usual = options.pooler === undefined ? undefined : options.isolation
  const { isolation = usual, readOnly, deferrable } = asked
  const { before, begin, abandon } = dialect.begin({ isolation, readOnly, deferrable })
  for (const text of before) ops.push(new ControlOp(statements.compileInternal(text), main, null))
  const op = new ControlOp(statements.compileInternal(begin), main, transaction)
  if (before.length > 0) op.abandon = abandon
  ops.push(op)
}

/** The operation that limits on the server how long it may run no statement. It goes behind the ones that open it. */
function idleLimit({ engine, parent, idleTimeoutMs }: TransactionRecord): Compiled | null {
  const { dialect, statements, options } = engine
  if (parent !== null || idleTimeoutMs === Infinity) return null
  // It would never come back: there is no server whose session could be closed.
  if (options.descriptor.where === 'directory') return null
  const limit = dialect.idleLimit(idleTimeoutMs)
  return limit === null ? null : statements.compileInternal(limit)
}

/**
 * The operation that has to go first, in a separate unit, in front of a statement that stands alone; null if there is none. An
 * error where that would be another transaction, with which everything ends that the statement needs.
 */
export function openerOf(
  slot: Holding,
  op: EngineOp,
  due: boolean,
  drop: () => void,
): Opener | TransactionStateError | null {
  const begins = op.transaction?.unsent === true
  const { cls, verb, pins } = op.stmt
  const { pooler } = slot.engine.options
  const { raw } = slot.lease as Lease
  if (op instanceof Opener) return null
  if (due && pooler === undefined && raw.status === 'idle' && mustBegin(slot.engine, raw, op.wanted))
    return new Opener(op, drop, null)
  if (cls === 'multi' && (pins & staying) !== 0 && raw.proof) return new Opener(op, drop)
  if (begins) return cls === 'multi' ? new Opener(op, drop) : null
  if (cls === 'multi' && slot.flight.unreleased !== null) return new Opener(op, drop)
  if (!due || !standsAlone(op.stmt)) return null
  if (pooler === undefined) return new Opener(op, drop)
  if (cls === 'multi') return settingsApart('several statements in one text are a separate one', op.stmt)
  return (cls === 'alone' || cls === 'commits') && verb !== 'COPY'
    ? settingsApart(`${verb} like this runs in none`, op.stmt)
    : null
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
class Opener extends EngineOp {
  readonly #main: EngineOp
  readonly #drop: () => void

  constructor(main: EngineOp, drop: () => void, transaction: EngineOp['transaction'] = main.transaction) {
    const { engine, slot } = main
    super(engine, undefined, null, engine.statements.compileInternal('select 1'), [], null, null, 0, Infinity, null)
    this.slot = slot
    this.settings = main.wanted
    this.transaction = transaction
    this.#main = main
    this.#drop = drop
  }

  override around(): readonly object[] {
    return this.#main.around()
  }

  override fail(failure: Failure): void {
    super.fail(failure)
    this.#drop()
    this.#main.refuse({ ...(this.prefixFailure ?? failure), outcome: 'not_started' })
  }
}

/** Lends the driver's own object; nothing is in flight. */
export function lend(slot: Holding): Promise<unknown> {
  const { raw } = slot.lease as Lease
  if (raw.lends === false)
    return Promise.reject(
      new UsageError(
        'rawConnection() has nothing to give: this driver speaks with the database by itself. For a client of node-postgres open ' +
          "the db with driver: 'pg', after npm install pg.",
      ),
    )
  slot.pin(Pin.raw, 'rawConnection()')
  // Nobody sees what is done with it.
  raw.dirty |= Dirty.unknown
  return raw.lend(slot.engine.options.pool.acquireTimeoutMs)
}

/** Whether users have it. */
export function isLent({ pins }: Holding): boolean {
  return (pins & Pin.raw) !== 0
}

/** Nothing is in flight, so the status that the server gives of the transaction is the truth. */
export function noteStatus(slot: Holding, raw: RawConnection): void {
  const { status } = raw
  const { abandon } = slot.flight
  if (abandon !== null && slot.flight.size === 0) {
    slot.flight.abandon = null
    if (raw.alive) sendOrDestroy(slot, abandon)
    return
  }
  if (slot.stack.begun) {
    if (status === 'idle') slot.stack.endedByServer()
  } else if (status !== 'idle' && !slot.explicit && !isLent(slot) && slot.flight.size === 0) rollBackStray(slot)
}

/**
 * A statement left a transaction open outside of any: it is undone, because nobody would ever end it. A connection on
 * which that fails, or takes longer than a reset may, is closed.
 */
function rollBackStray(slot: Holding): void {
  const { engine } = slot
  sendOrDestroy(slot, engine.dialect.rollback)
  notice('connection-closed-dirty', 'A statement outside a transaction left one open; it was rolled back.', {
    engine: engine.name,
    places: [slot.describeOwner()],
  })
}

function sendOrDestroy(slot: Holding, text: string): void {
  const { engine } = slot
  const { raw } = slot.lease as Lease
  raw.inForce.lose()
  const give = (): void => raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
  const deadline = clock.now() + engine.options.resetTimeoutMs
  engine.ticker.within(deadline, sendControl(slot, Infinity, text).wait(), give).catch(give)
}

/** Which settings of frames are in force behind a transaction that has left the stack. */
export function settingsLeft(slot: Holding, { parent, savepoint, committed, past }: TransactionRecord): void {
  const { dialect, options } = slot.engine
  const inForce = slot.lease?.raw.inForce
  const { undone } = dialect.settings
  const sure = undone !== undefined && past.broken === null
  inForce?.unmark(savepoint, undone === true && sure && !committed)
  // Behind a pooler they are of the transaction.
  if (parent === null && options.pooler !== undefined) inForce?.clear()
  else if (!committed && (!sure || isLent(slot))) settingsUndone(slot)
}

/** A rollback may have taken settings back: they belong in front of whatever comes next. */
export function settingsUndone(slot: Holding): void {
  if (slot.lease === null) return
  slot.lease.raw.inForce.lose()
  // The user of the driver's own object relies on them now.
  if (slot.settings !== null && isLent(slot) && slot.top === null) sendPrefix(slot, undefined, null)
}

/** Sends what a slot owes before anything else. `handle`: that of the transaction to be opened, by code with that chain. */
export function sendPrefix(slot: Holding, chain: Link | undefined, handle: Handle | null): EngineOp {
  const { engine } = slot
  const stmt = engine.statements.compileInternal('select 1')
  const op = engineStatement(engine, stmt, { chain, handle })
  slot.send(op)
  return op
}
