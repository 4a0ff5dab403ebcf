// The slot of a scope that is opened and ended by calls, as plug-ins do for requests. It adds two things to a slot: a signal that
// aborts whatever runs on it, and the state "loose", in which the connection goes back whenever nothing runs, waits or is open on it,
// even if the session was changed. Later statements borrow, run and give back.
import type { Failure } from '../../driver/driver.ts'
import { TransactionStateError } from '../../errors/index.ts'
import type { Settings } from '../context/frame.ts'
import type { EngineCore } from '../core.ts'
import type { EngineOp } from '../query/op.ts'
import type { Item } from './holding.ts'
import { Slot } from './slot.ts'

export class LooseSlot extends Slot {
  readonly #signal: AbortSignal | null
  #loose = false
  /** It was pinned when it became loose. The settings of the session are lost with the connection. */
  #forgetful = false
  #sessionLost = false

  constructor(
    engine: EngineCore,
    settings: Settings | null,
    owner: string | { describe(): string },
    signal: AbortSignal | null,
  ) {
    super(engine, settings, false, owner)
    this.#signal = signal
  }

  /** A request may end before its statements have a connection. Nobody gives them up: they were issued while it ran. */
  protected override get patient(): boolean {
    return true
  }

  /** From now on nothing is held between statements and transactions. Idempotent. */
  loosen(): void {
    if (this.#loose) return
    this.#loose = true
    this.answers = true
    this.#unpin()
    this.addIdler()
    this.#stayAway()
  }

  protected override goesOn(): void {
    super.goesOn()
    if (this.#loose) this.#stayAway()
  }

  /** Whose request is over need not come again for a connection that was recalled, so nobody waits for that. */
  #stayAway(): void {
    this.pool.recall.noteBack(this)
  }

  override send(item: Item): void {
    const signal = this.#signal
    if (signal === null) super.send(item)
    else if (signal.aborted) item.abort(signal.reason)
    else {
      item.listen(signal)
      super.send(item)
    }
  }

  override answered(op: EngineOp): void {
    super.answered(op)
    if (this.#loose) this.#unpin()
  }

  protected override dropLease(): void {
    this.#sessionLost ||= this.#forgetful
    super.dropLease()
  }

  /** Unlike a connection that was lost, which is told once: nothing may go on without the state it was written for. */
  override takeLostSession(item: Item): Failure | null {
    return this.#sessionLost
      ? { kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause: sessionGone() }
      : super.takeLostSession(item)
  }

  #unpin(): void {
    this.leftBy = null
    this.doubts = null
    if (this.pins === 0) return
    this.pins = 0
    this.#forgetful = true
  }
}

function sessionGone(): TransactionStateError {
  return new TransactionStateError(
    'The request of this statement is over. Its connection went back, and with it the state of its session ' +
      '(SET, LISTEN, temporary tables, advisory locks). Finish such work before answering, or start it with detached(work).',
  )
}
