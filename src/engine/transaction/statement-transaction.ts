// The transaction of a statement, as operations, failures and events know it.
import type { Failure } from '../../driver/driver.ts'
import type { Place } from '../../observe/place.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { Within } from '../../sql/statement.ts'
import type { Enclosing } from '../context/frame.ts'
import type { At, Event } from './state.ts'

/** A cursor that lives in a transaction. */
export interface OpenCursor {
  /** Where it was opened. */
  readonly place: Place
  isLeftOpenBy(transaction: StatementTransaction): boolean
  /** The transaction has ended, or the savepoint it lives in. */
  ended(transaction: StatementTransaction): void
  close(): Promise<void>
}

export interface StatementTransaction extends Enclosing, Within {
  /** For events; 0 until somebody listened to its beginning. */
  readonly id: number
  readonly outermost: StatementTransaction
  readonly options: { readonly readOnly?: boolean | undefined }
  /** Opened for this cursor alone. */
  readonly cursor: object | null
  /** It is on the stack of its slot: it has begun, and has not ended. */
  readonly onStack: boolean
  /** Nothing of it is on the server. */
  readonly unsent: boolean
  /** Nothing that is sent in it now could ever be committed. */
  readonly doomed: boolean
  /** How long the outermost may run no statement, in milliseconds. */
  readonly idleTimeoutMs: number
  advance(event: Event): At
  noteFailure(failure: Failure, op: { readonly stmt: Compiled }): void
  /** The error of a statement that comes after the one that has failed; null while none has. */
  abortedError(stmt: Compiled | null): Error | null
}
