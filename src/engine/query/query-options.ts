// Options of one statement, and the defaults that connections and transactions give to theirs.

/** Options of one statement. */
export interface QueryOptions {
  /**
   * The time from the call to the answer, waiting for a connection included, in milliseconds; default: that of the
   * transaction, else of the connection or scope, else of the engine, else none. The caller is told at this deadline; the
   * statement is cancelled on the server.
   */
  readonly timeoutMs?: number | undefined
  /** Rejects with `AbortedError` when it aborts; a running statement is cancelled on the server. */
  readonly signal?: AbortSignal | undefined
}

/** Defaults for the statements of a connection or transaction. */
export interface QueryDefaults {
  readonly timeoutMs?: number | undefined
}
