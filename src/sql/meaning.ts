// The meaning of an error of the server, for all layers above: what it is, what it did, whether to try again, what it says of the pool.
// Each dialect has one table of them, and nothing else compares codes. Types only.

/** The meaning of an error of the server. */
export interface Meaning {
  readonly kind: ErrorKind
  /** What the server could not take: the text, with the names in it (`text`), or a value (`value`). */
  readonly about: 'text' | 'value' | 'other'
  /**
   * Its effect on the transaction around it. `ended`: all of it is gone, savepoints too. `kept`: only the statement failed. `unknown`: the
   * server does not know whether the statement took effect.
   */
  readonly transaction: 'kept' | 'failed' | 'ended' | 'unknown'
  /** Whether the same may succeed when it is done again: all of its transaction, which has to be rolled back before. */
  readonly retryable: boolean
  /**
   * Which connections it makes useless: none (`well`), this one (`session`), all because the server goes down (`shutdown`), or all
   * because it takes no writes any more (`standby`).
   */
  readonly health: 'well' | 'session' | 'shutdown' | 'standby'
  /** While connecting: try later (`full`), try again or elsewhere (`endpoint`), do not try (`config`), or not about connecting (`statement`). */
  readonly opening: 'statement' | 'endpoint' | 'full' | 'config'
  /**
   * What it says of the prepared statement that was to run: nothing (`well`), the server does not have it (`missing`) or has it already
   * (`there`), it gives another result than before (`result`), a type that it was made for may be another by now (`types`), or the server
   * keeps no further one (`full`).
   */
  readonly prepared: 'well' | 'missing' | 'there' | 'result' | 'types' | 'full'
  /**
   * Why a server that follows another one refused a read that its primary would run: it can never run it, or could not now. Null: the
   * error has another reason.
   */
  readonly following: 'never' | 'now' | null
}

/**
 * `aborted`: it did not run because an earlier one had failed. `cancelled`: it was asked to stop. `idle-transaction`: the transaction ran
 * nothing for too long. `long-transaction`: the transaction took too long as a whole. `password`: the user has another one. `protocol`: it
 * was sent what it does not expect, which only a pooler in between explains. `lost-statement`: a prepared statement is there that should
 * not be, or is not there that should, so another session answers than the one before. `still-referenced`: other rows refer to the row.
 * `naming`: a table, column or function of the text does not exist, or cannot be used so. `unknown-object`: anything else that it names
 * does not exist. `object-exists`: what it makes is there already. `data`: a value is not of its type, or too large or too long for it. The
 * others are classes of errors.
 */
export type ErrorKind =
  | 'aborted'
  | 'cancelled'
  | 'idle-transaction'
  | 'long-transaction'
  | 'read-only'
  | 'authentication'
  | 'password'
  | 'protocol'
  | 'lost-statement'
  | 'constraint'
  | 'unique'
  | 'foreign-key'
  | 'still-referenced'
  | 'not-null'
  | 'check'
  | 'exclusion'
  | 'serialization'
  | 'deadlock'
  | 'lock-timeout'
  | 'syntax'
  | 'naming'
  | 'unknown-object'
  | 'object-exists'
  | 'stale-plan'
  | 'data'
  | 'other'
