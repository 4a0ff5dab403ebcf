// A statement after compilation: what the engine, the pool and the drivers share by reference. Compiled once per
// (engine, text); the hot path passes these objects, never texts. No I/O, no parameter values.

/**
 * What a statement may do, from one scan of its text; in doubt it is a `write`.
 *
 * - `read`: a SELECT, VALUES or TABLE without a listed side effect; may be sent again after an innocent failure.
 * - `write`: everything else that may run in a transaction.
 * - `alone`: CALL, VACUUM, CONCURRENTLY and the like, which refuse to run in a transaction block.
 * - `control`: BEGIN, COMMIT, ROLLBACK, SAVEPOINT, …: allowed only on an explicitly acquired connection.
 * - `multi`: several statements in one text; allowed only in `status()` and without parameters.
 */
export type StatementClass = 'read' | 'write' | 'alone' | 'control' | 'multi'

/** Session state that a reset has to undo before the connection serves somebody else. */
export const Dirty = {
  settings: 1,
  role: 2,
  temp: 4,
  listen: 8,
  locks: 16,
  cursors: 32,
  prepared: 64,
  unknown: 128,
} as const

/**
 * What the user relies on: while a bit of the session is set the slot keeps its raw connection. `sequences` is what
 * `currval` and `lastval` ask for. `transaction` is none of those: the statement has no effect but on the transaction it runs in.
 */
export const Pin = {
  settings: 1,
  role: 2,
  temp: 4,
  listen: 8,
  locks: 16,
  cursors: 32,
  prepared: 64,
  raw: 128,
  transaction: 256,
  sequences: 512,
  encoding: 1024,
  strings: 2048,
} as const

/** What a statement may do to the meaning of names, of which prepared statements keep the one they were parsed with. */
export const Names = {
  /** Tables, types and functions become others. */
  catalogue: 1,
  /** The search_path or the role becomes another. */
  path: 2,
  /** It begins or ends a transaction or savepoint, which takes such changes back. */
  transaction: 4,
} as const

export interface Field {
  readonly name: string
  readonly table: number
  readonly column: number
  readonly type: number
  readonly typmod: number
}

/** Parameter and column types of a statement, as the server described them. */
export interface Shape {
  readonly params: readonly number[]
  readonly fields: readonly Field[]
  /** Whether it gives rows at all: those of `select from t` have no fields. */
  readonly rows: boolean
  readonly key: string
  /** Under which search_path, as drivers number them. */
  readonly path: number
  /** When, by a count of the changes to the catalogue. */
  readonly at: number
}

export interface Compiled {
  readonly text: string
  /** The name under which the statement is prepared on each connection; `''` runs it unnamed. Owned by the engine. */
  readonly name: string
  readonly cls: StatementClass
  /** The first keyword in upper case (`SELECT`, `WITH`, …), `''` when the text has none. */
  readonly verb: string
  /** `Dirty` bits, OR-ed into the connection when the statement is sent, not when it is answered. */
  readonly dirties: number
  /** `Pin` bits; those of the session are OR-ed into the slot. */
  readonly pins: number
  /** `Names` bits. */
  readonly names: number
  /**
   * It may leave something in the session that no text shows, such as what a function of the user's own sets: whoever ran it
   * keeps this connection. Absent for statements of the engine.
   */
  readonly leaves?: boolean
  /**
   * A read that may run on any connection with the same settings, beside others like it: nothing that it calls changes anything
   * or asks for the session. Absent for statements of the engine.
   */
  readonly plain?: boolean
  /** True for `control`, and for a `multi` text that holds a control statement anywhere: both are refused alike. */
  readonly hasControl: boolean
  /** How many statements the text holds, if they were counted. */
  readonly statements?: number
  /** From the first Describe; shared by all connections of the engine. */
  shape: Shape | null
}

/** How one column of a row is decoded and where its value goes. */
export interface ColumnSpec {
  /** Nested objects in one step: `['author', 'name']`. */
  readonly path: readonly string[]
  readonly mode: 'default' | 'string' | 'number' | 'bigint' | 'date' | 'json' | 'buffer' | 'raw-text'
  /** Gets what `mode` gives. */
  readonly map?: (wire: unknown) => unknown
  /** Its value is often that of the row before, as of the one side of a join. */
  readonly repeats?: boolean
  /** When all columns of a group are NULL the object they would make is `null` (outer joins). */
  readonly nullGroup?: number
}

/** What a row becomes. Built once per model, builder query or loader; its identity is the key of decoder caches. */
export interface RowSpec<R = unknown> {
  readonly _row?: R
  readonly into: 'object' | 'array' | 'scalar'
  readonly make: (() => object) | null
  /** `null`: the names of the fields as they come. */
  readonly columns: readonly ColumnSpec[] | null
  /**
   * Replaces the driver's table of types where `columns` are not known, for rows that another library goes on decoding:
   * the reader for a type, or null when its text is the value.
   */
  readonly read?: (type: number) => ((text: string) => unknown) | null
  /** Replaces the push of a row: one-to-many loaders fold rows into what is there. */
  readonly fold?: (target: unknown[], row: unknown) => void
}
