// The session state of a slot: what its statements have set and left there. The connection is kept for it, because its user may rely on
// it.
import { capturePlace, type Place } from '../../observe/place.ts'
import type { Lease } from '../../pool/lease.ts'
import { type Compiled, Dirty, Pin } from '../../sql/compiled.ts'
import type { EngineCore } from '../core.ts'
import { draws } from '../functions.ts'

export abstract class SlotSession {
  readonly engine: EngineCore
  lease: Lease | null = null
  /** Session state the user relies on: `Pin` bits. */
  pins = 0
  /** A statement that may have left something in the session which no text shows. */
  leftBy: Compiled | null = null
  /** It was recalled since it last wrote: the numbers of its sequences are in another session. */
  moved = false
  /** How often it has written, which may have had effects on the session by triggers. */
  writes = 0
  /** It has drawn numbers of sequences on this connection, as far as anybody knows. */
  drew = false
  /** The last statement it ran that may have drawn numbers. */
  #drewBy: Compiled | null = null
  /** One of the doubts calls a function that nobody knows: it may be relied on. */
  #doubtsCall = false
  /** Statements of which it is not known yet whether they have left something. */
  doubts: Set<Compiled> | null = null
  /** It changes functions, triggers or views, which others do not see before its transaction ends. */
  changes = false
  /** False: the connection goes back after each statement, whatever that leaves. */
  keeps = true
  #pinnedBy = ''
  #pinnedAt: Place | null = null

  constructor(engine: EngineCore) {
    this.engine = engine
  }

  /** The innermost transaction open on it. */
  abstract get top(): object | null

  /** It keeps its connection from now on. */
  noteHeld(): void {
    this.lease?.noteHeld()
  }

  /** Its session has state that its user relies on, or may have. */
  get keepsSession(): boolean {
    if (this.doubts !== null) this.#settleDoubts(this.doubts)
    return this.pins !== 0 || this.leftBy !== null || (this.doubts !== null && this.#doubtsCall) || this.#wasTold
  }

  /** The server has said that something in the session was changed. */
  get #wasTold(): boolean {
    return this.keeps && this.lease !== null && (this.lease.raw.dirty & Dirty.told) !== 0
  }

  /** The user relies on a change of the session. */
  pin(bits: number, by: string, tells = true): void {
    if (!this.keeps) return
    if (this.pins === 0) {
      this.#pinnedBy = by
      this.#pinnedAt = capturePlace()
    }
    this.pins |= bits
    if (tells) this.noteHeld()
  }

  /** The connection is kept, because functions that the statement called may rely on it. */
  noteLeftover(stmt: Compiled): void {
    this.moved = false
    if (this.leftBy !== null || !this.keeps) return
    this.leftBy = stmt
    this.noteHeld()
  }

  /** Whether it left something is found out later. */
  doubt(stmt: Compiled): void {
    if (stmt.leaves === true) this.noteDraw(stmt)
    if (!this.keeps) return
    this.#doubtsCall = (this.doubts !== null && this.#doubtsCall) || stmt.leaves === true
    this.doubts ??= new Set()
    this.doubts.add(stmt)
    this.noteHeld()
  }

  /** Judges what could not be judged when it was sent, if that is known now. */
  #settleDoubts(doubts: Set<Compiled>): void {
    const { functions } = this.engine
    if (this.changes || !functions.read) return
    this.doubts = null
    for (const stmt of doubts) {
      const reach = functions.reachOf(stmt)
      // A function that is not known after all of the catalogue was read stays unknown.
      if (reach === null) this.leftBy ??= stmt
      else if (reach.stateful.length > 0) this.pin(Pin.functions, reach.stateful[0] as string, false)
    }
  }

  /** Nothing that it did to its session counts any more: it has no connection. */
  protected forgetSession(): void {
    this.pins = 0
    this.leftBy = null
    this.doubts = null
    this.drew = false
    this.settleChanges()
  }

  /** Its changes of functions hold for all, if its transaction has ended. */
  protected settleChanges(): void {
    if (!this.changes || this.top !== null || this.lease?.raw.status === 'tx') return
    this.changes = false
    this.engine.functions.forget()
  }

  /** A statement is sent that may write, and draw numbers of sequences, which are in this session then. */
  noteWrite(stmt: Compiled): void {
    this.writes++
    if (draws(stmt)) this.noteDraw(stmt)
    else this.drew ||= stmt.verb === 'UPDATE' || stmt.verb === 'DELETE'
  }

  noteDraw(stmt: Compiled): void {
    this.writes++
    this.moved = false
    this.drew = true
    this.#drewBy = stmt
    const { numbers, numbered } = this.engine.functions
    if (!numbers) return
    if (this.lease !== null) this.lease.raw.dirty |= Dirty.sequences
    if (!numbered.has(stmt.origin ?? stmt)) return
    this.pin(Pin.sequences, stmt.verb)
    this.engine.functions.tellOfNumbers(stmt)
  }

  /** Somebody asks for numbers that were drawn: the statement that drew them keeps its connection from now on. */
  noteNumbersAsked(): void {
    const { functions } = this.engine
    functions.numbers = true
    if (this.#drewBy !== null) functions.numbered.add(this.#drewBy.origin ?? this.#drewBy)
  }

  /** Why the connection is kept, for messages; empty: for nothing in its session. */
  protected sessionKept(): string {
    if (this.pins !== 0)
      return `session pinned by ${this.#pinnedBy}${this.#pinnedAt === null ? '' : ` at ${this.#pinnedAt}`}`
    if (this.leftBy !== null) return `session kept for what ${this.leftBy.verb} may have left in it`
    if (this.#wasTold) return 'session kept for what a trigger or a function has set in it'
    return this.doubts === null ? '' : 'session kept until it is known what its functions leave'
  }
}
