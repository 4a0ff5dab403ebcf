// The nouns of a sandbox: what views share, one operation on their connection, and the knowledge of a database that is needed beside its
// dialect: how its transactions are written, what an error ends, and the state of a session, which each view has for itself.
import { type CopyPort, type Failure, type Op, OpState, type StatementResult } from '../../driver/driver.ts'
import type { EngineCore } from '../../engine/core.ts'
import { InternalOp } from '../../engine/internal-op.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { ControlText } from '../../sql/control-text.ts'

/** A statement that changed settings. */
export interface Setting {
  readonly op: Op
  /** It ends with the transaction. */
  readonly local: boolean
}

/** The last setting in force; null: the session is as it was lent; undefined: not known. */
export type InForce = Setting | null | undefined

export interface Savepoint {
  readonly view: SandboxView
  /** As its view calls it; empty: it stands for BEGIN, or is the sandbox's own. */
  readonly name: string
  /** As the server calls it. */
  readonly known: string
  /** How many settings the view had made before, and which were in force: a rollback brings them back. */
  readonly settings: number
  readonly inForce: InForce
}

/** The transaction the engine believes to be open on a view. */
export interface ViewTransaction {
  /** It stands for BEGIN. Null: nothing of it is on the server, because it is a cursor's, or went with the one around it. */
  savepoint: Savepoint | null
  /** Why only its end is accepted, or the end of a savepoint in it. */
  failed: string | null
  /** The sandbox itself refuses to write in it. */
  readonly readOnly: boolean
  /** The cursor of a transaction without a savepoint, to be closed at its end; empty: there is none. */
  cursor: string
}

/** A view, as far as the connection behind it has to know it. */
export interface SandboxView {
  transaction: ViewTransaction | null
  /** The settings it has made, in order. */
  settings: Setting[]
  /** `Dirty` bits of what it holds in the session beside settings. */
  holds: number
  readonly dirty: number
  /** The driver's own object is lent through it. */
  readonly lent: boolean
  /** A job of it is over, and its operations have their results. */
  answered(job: object): void
  destroy(failure: Failure): void
  /** Its holder, for messages. */
  describe(): string
}

/** The connection behind all views. */
export interface SharedSession {
  readonly engine: EngineCore
  /** That of the driver. */
  readonly raw: object
  readonly views: ReadonlySet<SandboxView>
  /** Whose statement was the last that the server ran; null: one of the sandbox's own. */
  readonly last: SandboxView | null
  /** A statement of the sandbox's own. */
  own(text: string, params?: readonly unknown[]): Step
  /** Sends a unit; settles when it was answered. */
  send(steps: readonly Step[]): Promise<void>
  /** Runs steps all or nothing; false when one of them failed. */
  guarded(steps: readonly Step[]): Promise<boolean>
  /** Takes a job out of the queue. False: it is not in there. */
  remove(job: object): boolean
}

export type Answer = Pick<Step, 'tag' | 'count' | 'shape' | 'insertId' | 'failure'>

/**
 * One operation on the shared connection: a statement of the engine passed on, or one of the sandbox's own. It only keeps what the server
 * answered; scripts read it when the unit is answered, and the job tells the engine.
 */
export class Step extends InternalOp {
  override readonly maxRows: number
  override readonly rows: unknown[]
  readonly results: StatementResult[] | null
  readonly copy: CopyPort | null
  insertId: bigint | number = 0
  failure: Failure | null = null
  /** The engine's operation it stands for. */
  readonly of: Op | null

  constructor(stmt: Compiled, of: Op | null, params: readonly unknown[] = of?.params ?? []) {
    super(stmt, params, of?.spec)
    this.of = of
    this.maxRows = of?.maxRows ?? 0
    this.rows = of?.rows ?? []
    this.results = of?.results ?? null
    this.copy = of?.copy ?? null
  }

  /** The server has answered. */
  get ended(): boolean {
    return this.state === OpState.settled
  }

  get ok(): boolean {
    return this.ended && this.failure === null
  }

  protected over(failure: Failure | null): void {
    this.failure = failure
  }
}

export function allOk(steps: readonly Step[]): boolean {
  return steps.every(({ ok }) => ok)
}

/** The first failure that is a reason, not a consequence of another. */
export function firstFailure(steps: readonly Step[]): Failure | null {
  return steps.find(({ failure }) => failure !== null && failure.kind !== 'skipped')?.failure ?? null
}

/** The failure as a server would have given it. */
export function serverError(code: string, message: string, sqlState?: string): Failure {
  const fields = { severity: 'ERROR', code, message, ...(sqlState === undefined ? {} : { sqlState }) }
  return { kind: 'server', outcome: 'rolled_back', fields }
}

/** It is not sent. */
export function refusedWith(error: unknown): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause: error }
}

export type WordsClass = new (shared: SharedSession) => Words

export abstract class Words {
  abstract readonly control: (text: string) => ControlText
  /** An error ends only its statement, and a savepoint of the same name is gone when another is made. */
  abstract readonly lenient: boolean
  /** The tag of START TRANSACTION. */
  abstract readonly started: string
  /** Gives the isolation level of the transaction, in the last column of its only row. */
  abstract readonly level: string
  /** Makes the rest of a transaction read only; null: the sandbox itself refuses to write there. */
  abstract readonly readOnly: string | null
  /** The settings in force, which a rollback brings back. */
  inForce: InForce = null
  protected readonly shared: SharedSession

  constructor(shared: SharedSession) {
    this.shared = shared
  }

  /** Remembers what the session is like before anything is changed. */
  abstract learn(): Promise<void>
  /** Why a statement cannot run in a sandbox, beside what holds for all databases. */
  abstract refusal(view: SandboxView, op: Op): string | Failure | null
  /** The failure of a statement in a transaction that takes only its end. */
  abstract aborted(message: string): Failure
  /** Goes in front of operations of a view: puts in force what it has set. */
  abstract stepsFor(view: SandboxView, ops: readonly Op[]): Step[]
  /** Those steps have run. */
  abstract applied(view: SandboxView, ops: readonly Op[]): void
  /** A statement of a view has run. */
  abstract note(view: SandboxView, op: Op): void
  /** A view came back: nothing of its session may be left. */
  abstract forget(view: SandboxView, dirty: number): void
  /** No transaction is open: undoes what is left of views that came back. */
  abstract cleanUp(): Promise<void>

  /** The answer to control of a savepoint where no transaction is open; null: that of the server. */
  outside(_kind: string): Failure | null {
    return null
  }

  /** Goes behind operations of a view: takes back what no connection may set for all. */
  behind(_ops: readonly Op[]): Step[] {
    return []
  }

  /** The server went back to a savepoint. */
  restore(_savepoint: Savepoint): void {}

  /** The transaction of a view was released. */
  committed(_view: SandboxView, _outermost: boolean): void {}

  /** Goes behind the outermost BEGIN: constraints that are deferred wait from here on. */
  deferral(): Step[] {
    return []
  }

  /** Goes before the outermost COMMIT: checks them. */
  check(): Step[] {
    return []
  }

  /** Takes all back at the end, and gives what it could not. */
  async rollBack(): Promise<string | null> {
    await this.shared.send([this.shared.own(this.shared.engine.dialect.rollback)])
    return null
  }
}
