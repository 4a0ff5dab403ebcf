// A statement after compilation. The engine, the pool and the drivers share it by reference. It is compiled once for each engine and
// text; the hot path passes these objects, never texts. No I/O, no parameter values.
import type { Conversions } from './conversions.ts'
import type { Reach } from './functions.ts'
import { inOneLine } from '../util/thrown.ts'

/**
 * The class of a statement, from one scan of its text. A statement in doubt is a `write`.
 *
 * - `read`: a SELECT, VALUES or TABLE without a listed side effect. It may be sent again after an innocent failure.
 * - `write`: every other statement that may run in a transaction.
 * - `alone`: a statement that cannot run in a transaction block, such as CALL, VACUUM or one with CONCURRENTLY.
 * - `commits`: a statement that ends a transaction by itself, such as DDL of some databases. It is refused inside a transaction.
 * - `control`: BEGIN, COMMIT, ROLLBACK, SAVEPOINT and similar ones. Allowed only on an explicitly acquired connection.
 * - `multi`: several statements in one text. Allowed only in `status()` and without parameters.
 */
export type StatementClass = 'read' | 'write' | 'alone' | 'commits' | 'control' | 'multi'

/** The effect of a statement of class `control` on the transaction of the session. `prepare` ends it for this session. */
export type Control = 'begin' | 'commit' | 'rollback' | 'prepare' | 'savepoint' | 'release' | 'rollback to'

/** Session state that a reset has to undo before the connection serves another user. */
export const Dirty = {
  settings: 1,
  role: 2,
  temp: 4,
  listen: 8,
  locks: 16,
  cursors: 32,
  prepared: 64,
  unknown: 128,
  /** Numbers drawn from sequences, if a caller may ask for them. */
  sequences: 256,
  /** Only settings of frames, all of them known (`InForce`): the next user changes them. */
  framed: 512,
  /** The server says that a statement changed what its text does not show, as by a trigger. The driver puts it in. */
  told: 1024,
} as const

/**
 * Session state that the user relies on: while such a bit is set, the slot keeps its raw connection. `currval` and `lastval` read
 * `sequences`. `transaction` is not session state: the statement affects only the transaction it runs in.
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
  /** State that functions and triggers may have left, by the catalogue. */
  functions: 4096,
  zone: 8192,
  /** The bits above of statements that change how texts are written and read. */
  reading: 11_264,
  /** The bits above whose state can be looked up in the session. */
  askable: 124,
} as const

/** How a statement may change the meaning of names. Prepared statements keep the meaning they were parsed with. */
export const Names = {
  /** It changes tables, types or functions. */
  catalogue: 1,
  /** It changes the search_path or the role. */
  path: 2,
  /** It begins or ends a transaction or savepoint; a rollback takes such changes back. */
  transaction: 4,
  /** It changes settings by which literals are read. */
  reading: 8,
  /** It may change the columns of tables that others use, or what else gives parameters their types. */
  columns: 16,
} as const

/** A column of a result, as the server describes it. */
export interface Field {
  readonly name: string
  /** The OID of its table; 0 for an expression. */
  readonly table: number
  /** Its number in that table, from 1; 0 for an expression. */
  readonly column: number
  /** The OID of its type; on MySQL the number of it. */
  readonly type: number
  /** The modifier of the type, such as the length of a `varchar`; -1: none. */
  readonly typmod: number
}

/** Parameter and column types of a statement, as the server described them. */
export interface Shape {
  /** The OIDs of the types of its parameters. */
  readonly params: readonly number[]
  readonly fields: readonly Field[]
  /** It gives rows. The rows of `select from t` have no fields. */
  readonly rows: boolean
  /** Equal where names and types of the fields are equal. */
  readonly key: string
  /** The number that the driver gave the search_path. */
  readonly path: number
  /** The number of changes to the catalogue at that time. */
  readonly at: number
}

/** A text, and all that is known of it without its values. Made once for each text, and shared by all connections of an engine. */
export interface Compiled {
  /** As it is sent, with the placeholders of the database. */
  readonly text: string
  /** Its text without the tags behind it; absent where it has none. */
  readonly untagged?: string
  /** The statement that was tagged: one for all tags; absent where it has none. */
  readonly origin?: Compiled
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
   * It may leave something in the session that its text does not show, such as a setting made by a function of the user. The catalogue
   * of functions says whether it does. Absent for statements of the engine.
   */
  readonly leaves?: boolean
  /**
   * A read that may run on any connection with the same settings, beside other such reads: it calls nothing that changes data or
   * asks for the session. Absent for statements of the engine.
   */
  readonly plain?: boolean
  /** True for `control`, and for a `multi` text that has a control statement: both are refused alike. */
  readonly hasControl: boolean
  /** The effect of its first statement on the transaction. */
  readonly control: Control | null
  /** How many statements the text holds, if they were counted. */
  readonly statements?: number
  /** The effects of the functions and triggers it reaches, by reading number `reachAt` of the catalogue. */
  reach?: Reach | null
  /** The number of that reading. */
  reachAt?: number
  /** It may draw numbers of sequences, as far as its text shows; undefined: nobody has asked. */
  draws?: boolean | undefined
  /** Its names mean the same under every search_path, so that it is prepared once on a connection. */
  readonly pathless?: boolean
  /** From the first Describe; shared by all connections of the engine. */
  shape: Shape | null
}

/** A read of the package itself, which leaves nothing and is not prepared. */
export function ownRead(text: string, verb: string): Compiled {
  return {
    text,
    name: '',
    cls: 'read',
    verb,
    dirties: 0,
    pins: 0,
    names: 0,
    hasControl: false,
    control: null,
    shape: null,
  }
}

/** How one column of a row is decoded and where its value goes. */
export interface ColumnSpec {
  /** Nested objects in one step: `['author', 'name']`. */
  readonly path: readonly string[]
  readonly mode: 'default' | 'string' | 'number' | 'bigint' | 'date' | 'json' | 'buffer' | 'raw-text'
  /** Changes the value that `mode` gives. */
  readonly map?: (wire: unknown) => unknown
  /** The value comes as a `TypedText` instead, where the lists of a dialect are `typed`. */
  readonly typed?: boolean
  /** Its value is often that of the row before, as of the one side of a join. */
  readonly repeats?: boolean
  /** When all columns of a group are NULL the object they would make is `null` (outer joins). */
  readonly nullGroup?: number
  /** A list of rows in one column: each becomes an array of its fields. */
  readonly list?: ListSpec
}

/** A value as text, with the type that its column has in this result. */
export interface TypedText {
  readonly type: string
  readonly text: string
  /** Set where the column does not sort by that text: it says by what kind it does. */
  readonly sortsAs?: 'enum' | 'set' | 'json'
}

/** The rows of a list: an array of records, each in its binary form. */
export interface ListSpec {
  readonly fields: readonly ListField[]
}

/** How one field of a list is decoded. */
export interface ListField extends Pick<ColumnSpec, 'mode' | 'map'> {
  /** The column of the statement that has its type; -1 for a list. */
  readonly type: number
  /** The statement casts it to text; else it comes in the binary form of its type. */
  readonly asText: boolean
  readonly list: ListSpec | null
}

/** Rows of several kinds, whose columns follow one another. All columns of other kinds are NULL. */
export interface Kinds {
  /** How many columns each kind has. */
  readonly counts: readonly number[]
  /**
   * The first column is a number that leaves the kind when it is divided by how many there are. Such a row is an array of the columns of
   * its kind, and that number. Without it the first column that is not NULL tells the kind, the first one if there is none; a row is an
   * array of its columns, and the kind.
   */
  readonly numbered: boolean
  /**
   * The columns that say where a row belongs, if they are whole numbers. Where one of them comes as another type each row is null: the
   * database alone knows which of such values are equal.
   */
  readonly whole?: readonly number[]
}

/** How a row is decoded. Built once per model, builder query or loader; its identity is the key of decoder caches. */
export interface RowSpec<R = unknown> {
  /** Never there: for the type of a row. */
  readonly _row?: R
  /** The form of a row. `scalar`: its first column. */
  readonly into: 'object' | 'array' | 'scalar'
  /** Makes the object that takes the values. Null: a plain one. */
  readonly make: (() => object) | null
  /** `null`: the names of the fields as they come. */
  readonly columns: readonly ColumnSpec[] | null
  /**
   * Replaces the driver's table of types if `columns` are unknown, for rows that another library decodes further. It gives the
   * reader for a type, or null: on PostgreSQL the text is the value, on MySQL the table of the driver stands.
   */
  readonly read?: (type: number) => ((text: string) => unknown) | null
  /** What users have said of types: for rows without `columns` and `read`, and for parameters. */
  readonly conversions?: Conversions | undefined
  /** How many columns after `columns` are always NULL: they only carry the types of the fields of lists. */
  readonly types?: number
  readonly kinds?: Kinds
  /** The format of each column on the wire, 0 for text and 1 for binary; absent: all are text. */
  readonly formats?: readonly number[] | undefined
  /** How rows are read whose fields have these names, where that decides. Everything but `into` and `make` is then of the result. */
  readonly byNames?: (names: readonly string[]) => RowSpec<R>
  /** Replaces the push of a row. What it pushes is whole. */
  readonly fold?: (target: unknown[], row: unknown) => void
}

/** The first column of each row. */
export const firstColumn: RowSpec = { into: 'scalar', make: null, columns: null }

/** The beginning of its text, for messages. */
export function shortText({ text: whole, untagged: text = whole }: Pick<Compiled, 'text' | 'untagged'>): string {
  const line = inOneLine(text.slice(0, 400))
  return line.length > 80 || text.length > 400 ? `${line.slice(0, 77)}…` : line
}

/**
 * Whether nothing may stand in front of it in its unit: several statements in one text, what ends transactions by itself or
 * runs in none (DO and CALL may commit), and BEGIN by text, which may ask for an isolation level.
 */
export function standsAlone({ cls, dirties, verb }: Compiled): boolean {
  if (cls === 'multi' || cls === 'control') return true
  return cls === 'alone' || cls === 'commits' || verb === 'DO' || (cls === 'write' && (dirties & Dirty.unknown) !== 0)
}
