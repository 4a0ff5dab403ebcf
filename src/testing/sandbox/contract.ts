// The knowledge of a database that a sandbox needs beside its dialect: how its transactions are written, what an error ends, and what the
// views share in one session. Also the parts of the sandbox that this knowledge needs.
import type { Failure, Op } from '../../driver/driver.ts'
import type { Engine } from '../../engine/engine.ts'
import type { ControlText } from '../../sql/control-text.ts'
import type { Step } from './wire/step.ts'

/** A statement that changed settings, in the order of running. */
export interface Setting {
  readonly serial: number
  readonly op: Op
  /** It ends with the transaction. */
  readonly local: boolean
}

/** A view, as far as the connection behind it has to know it. */
export interface SessionView {
  /** Its savepoint is empty for a cursor's. */
  transaction: { readonly savepoint: string; failed: boolean } | null
  /** The settings it has made, in order. */
  settings: Setting[]
  /** `Dirty` bits of what it holds in the session beside settings. */
  holds: number
  /** Its holder, for messages. */
  describe(): string
}

export interface Savepoint {
  readonly view: SessionView
  /** As its view calls it; empty: another one has taken its name. */
  name: string
  /** As the server calls it. */
  readonly known: string
  /** How many settings the view had made before, and which were in force: a rollback brings them back. */
  readonly settings: number
  readonly inForce: number
  /** Its view has released it, while something inside kept it from being released on the server. */
  over: boolean
}

/** The connection behind all views. */
export interface SessionWire {
  readonly engine: Engine
  /** That of the driver. */
  readonly raw: object
  readonly views: ReadonlySet<SessionView>
  readonly session: SharedSession
  /** Whose statement was the last that the server ran; null: one of the sandbox's own. */
  readonly last: SessionView | null
  /** A statement of the sandbox's own. */
  own(text: string, params?: readonly unknown[]): Step
  /** Sends a unit; settles when it was answered. */
  send(steps: readonly Step[]): Promise<void>
  /** Runs steps all or nothing; false when one of them failed. */
  guarded(steps: readonly Step[]): Promise<boolean>
}

/** The state of the session, which each view has for itself. */
export interface SharedSession {
  /** A mark of the settings in force, which a rollback brings back; for a database whose settings no rollback takes back, any. */
  inForce: number
  /** Remembers what the session is like before anything is changed. */
  learn(): Promise<void>
  /** Goes in front of operations of a view: puts in force what it has set. */
  stepsFor(view: SessionView, ops: readonly Op[]): Step[]
  /** Those steps have run. */
  applied(view: SessionView, ops: readonly Op[]): void
  /** A statement of a view has run. */
  note(view: SessionView, op: Op): void
  /** The server went back to a savepoint. */
  restore(savepoint: Savepoint): void
  /** The transaction of a view was released. */
  committed(view: SessionView, outermost: boolean): void
  /** A view came back: nothing of its session may be left. */
  forget(view: SessionView, dirty: number): void
  /** No transaction is open: undoes what is left of views that came back. */
  cleanUp(): Promise<void>
  /** Those that wait for COMMIT; null: there are none. */
  readonly constraints: {
    /** Goes behind the outermost BEGIN: they wait from here on. */
    deferral(): Step[]
    /** Goes before the outermost COMMIT: checks them. */
    check(): Step[]
  } | null
}

export interface SandboxWords {
  control(text: string): ControlText
  /** An error ends only its statement, and a savepoint of the same name is gone when another is made. */
  readonly lenient: boolean
  /** Gives the isolation level of the transaction, in the last column of its only row. */
  readonly level: string
  /** Makes the rest of a transaction read only; null: the sandbox itself refuses to write there. */
  readonly readOnly: string | null
  /** The failure of a statement in a transaction that the sandbox itself keeps read only; null: it may run. */
  refusesToWrite(op: Op): Failure | null
  /** The failure of a statement in a transaction that takes only its end. */
  aborted(message: string): Failure
  /** The answer to control of a savepoint where no transaction is open; null: it does nothing. */
  outside(kind: string, name: string): Failure | null
  /** Why a statement cannot run in a sandbox, beside what holds for all databases. */
  refusal(shared: SessionWire, view: SessionView, op: Op): string | null
  session(shared: SessionWire): SharedSession
  /** Takes all back at the end, and gives what it could not. */
  rollBack(shared: SessionWire): Promise<string | null>
}
