// Where a cursor lives: in the transaction around it, or in one of its own.
import { TransactionEndedError } from '../../errors/index.ts'
import type { Link } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Cursor, CursorWait } from './cursor.ts'
import type { Executor } from './executor.ts'

/** The transaction a cursor was made in, and the savepoint inside of it that it lives in. */
export class CursorHome {
  readonly engine: Engine
  readonly record: TransactionRecord
  readonly name: string
  /** Opened for the cursor alone. */
  readonly own: boolean
  readonly #finish: (well: boolean) => Promise<void>
  #lives: TransactionRecord

  constructor(
    engine: Engine,
    record: TransactionRecord,
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
  moveTo(record: TransactionRecord, cursor: Cursor<unknown>): void {
    this.#lives = record
    record.cursors.add(cursor)
  }

  livesIn(record: TransactionRecord): boolean {
    return this.#lives === record
  }

  leave(cursor: Cursor<unknown>): void {
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
    return open && slot.lease !== null && slot.lease.raw.status !== 'failed'
  }

  finish(well: boolean): Promise<void> {
    return this.#finish(well)
  }
}

/** `from`: the chain of the code that pulls first. */
export async function openHome(
  engine: Engine,
  executor: Executor,
  cursor: Cursor<unknown>,
  from: Link | undefined,
  options: CursorWait,
): Promise<CursorHome> {
  const slot = executor.slotHere(engine, cursor.chain)
  const handle = executor.handleHere()
  // Not just the top: one that is open inside of it belongs to somebody else and is waited for.
  const around =
    slot?.stack.findLast((record) => record.admitsFrom(cursor.chain, handle)) ??
    slot?.stack.findLast((record) => record.admitsFrom(from, handle))?.outermost
  if (around !== undefined) {
    const refusal = around.refusal()
    if (refusal !== null) throw refusal
    around.cursors.add(cursor)
    return new CursorHome(engine, around, engine.cursorName(), null)
  }
  const { record, finish } = await engine.openCursorTransaction(slot, handle, cursor, options)
  return new CursorHome(engine, record, engine.cursorName(), finish)
}
