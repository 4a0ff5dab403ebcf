// The transaction in which a cursor lives: the one around it, or one that it has opened for itself.
import { TransactionEndedError, UsageError } from '../../errors/index.ts'
import type { Place } from '../../observe/place.ts'
import { type Compiled, Pin } from '../../sql/compiled.ts'
import { type Tags, withComment } from '../../sql/tags.ts'
import type { CursorWords, PartWords } from '../../sql/dialect.ts'
import type { Link } from '../context/chain.ts'
import type { EngineCore, From } from '../core.ts'
import type { OpenCursor } from '../transaction/statement-transaction.ts'
import type { OpenTransaction } from '../slot/slot.ts'
import type { EngineOp } from './op.ts'
import { RowParts } from './row-parts.ts'
import { RowStream } from './row-stream.ts'

/** How long the transaction of a cursor may wait for its turn. */
export interface CursorWait {
  readonly until: number
  readonly signal: AbortSignal | undefined
  /** A replica can do it. */
  readonly reads: boolean
  readonly from: From | null
}

/** A cursor that has no home yet. */
export interface UnplacedCursor extends OpenCursor {
  readonly chain: Link | undefined
}

/** The transaction a cursor was made in, and the savepoint inside of it that it lives in. */
export class CursorTransaction {
  readonly engine: EngineCore
  readonly record: OpenTransaction
  readonly name: string
  /** Opened for the cursor alone. */
  readonly own: boolean
  readonly #finish: (well: boolean) => Promise<void>
  #lives: OpenTransaction

  constructor(
    engine: EngineCore,
    record: OpenTransaction,
    name: string,
    finish: ((well: boolean) => Promise<void>) | null,
  ) {
    this.engine = engine
    this.record = record
    this.name = name
    this.own = finish !== null
    this.#finish = finish ?? (() => Promise.resolve())
    this.#lives = record
  }

  /** It is `record` that decides how long `cursor` lives. */
  moveTo(record: OpenTransaction, cursor: OpenCursor): void {
    this.#lives = record
    record.cursors.add(cursor)
  }

  livesIn(record: OpenTransaction): boolean {
    return this.#lives === record
  }

  leave(cursor: OpenCursor): void {
    this.record.cursors.delete(cursor)
    this.#lives.cursors.delete(cursor)
  }

  check(): void {
    if (!this.#lives.open) throw this.ended()
  }

  ended(): TransactionEndedError {
    return new TransactionEndedError(`The cursor is gone with its transaction. ${this.#lives.endedMessage()}`)
  }

  usable(): boolean {
    const { open, slot } = this.#lives
    return open && slot.lease !== null && (slot.lease.raw.status !== 'failed' || slot.flight.undone !== null)
  }

  /** It is closed in front of whatever its connection sends next. False: there is no such thing, or its client sends too. */
  closesLater(): boolean {
    const { slot } = this.#lives
    const dropped = slot.lease?.raw.dropped
    if (dropped === undefined || (slot.pins & Pin.raw) !== 0) return false
    dropped.push(this.name)
    return true
  }

  /** Sends the statement itself, whose rows are read while they come. */
  stream(op: EngineOp, place: Place, enough: number): RowStream<EngineOp> {
    return new RowStream<EngineOp>(this.record.slot, op, place, enough)
  }

  /**
   * The rows of a read in parts, the first of so many; 0: of none. `inPieces`: nothing is made of all rows of one. `make` makes an
   * operation of it, which gives rows or not, and at most so many unless that is 0. In the transaction of others the statement is
   * prepared, as any statement there.
   */
  parts(
    stmt: Compiled,
    size: number,
    make: (stmt: Compiled, params: readonly unknown[], gives: boolean, maxRows: number, isAhead: boolean) => EngineOp,
    tags: Tags | undefined,
    inPieces: boolean,
  ): RowParts {
    const { engine, own } = this
    const { slot } = this.record
    const tagged = (text: string): string => withComment(text, tags?.comment ?? '')
    const isPortal = size > 0 && stmt.cls === 'read' && slot.lease?.raw.portals === true
    return new RowParts(this.name, partsOf(engine).cursor as CursorWords, isPortal, {
      sendPart(of, params, portal, rows, isAhead) {
        const op = make(of, params, rows > 0, portal === null ? 0 : rows, isAhead)
        op.portal = portal
        slot.send(op)
        return op
      },
      inPieces,
      // In a transaction of others, rows that nobody wants may not be the reason that it fails.
      mayAskAhead: () => own && isPlain(engine, stmt),
      tagged,
      bound: (of) =>
        // Unnamed: no plan can be stale.
        own ? { ...of, text: tagged(of.text), name: '' } : tags === undefined ? of : engine.statements.tag(of, tags),
    })
  }

  /** Whether rows are read while they come: its database has no cursors. */
  get streams(): boolean {
    return this.engine.dialect.parts?.cursor === null
  }

  finish(well: boolean): Promise<void> {
    return this.#finish(well)
  }
}

/**
 * Whether nothing but rows can come of it. While the catalogue, which says so, waits to be read, a further connection is opened for that:
 * the one that is used may not be free before the last row.
 */
function isPlain({ functions, pool }: EngineCore, stmt: Compiled): boolean {
  if (functions.isPlain(stmt)) return true
  if (pool.errands.waiting && pool.idle.length === 0) pool.openForReads()
  return false
}

/** @throws {UsageError} where rows cannot come in parts. */
export function partsOf({ dialect }: EngineCore): PartWords {
  if (dialect.parts !== null) return dialect.parts
  throw new UsageError(`iterate() needs a cursor, and ${dialect.title} has none. Use all(), page by page.`)
}
