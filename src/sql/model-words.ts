// How models write for a database, where databases differ: what an INSERT or UPDATE gives back, how a row that is there is met,
// casts, locks, members of JSON. Nothing above knows which database it writes for.
import type { TypedText } from './compiled.ts'

/** Which rows of a query are locked, and what becomes of those that others have locked. */
export interface LockAsked {
  /** The table, as the query names it. */
  readonly name: string
  readonly wait: 'nowait' | 'skip locked' | null
  /** Other tables are in the query. */
  readonly joined: boolean
}

/** What a member of JSON is as SQL. */
export type MemberType = 'text' | 'bigint' | 'double precision' | 'boolean' | 'timestamptz' | 'json'

export interface MemberWords {
  /** What stands around a column that is named twice to read the member of that key; NULL where it is missing or null. */
  read(key: string, type: MemberType): readonly [before: string, between: string, after: string]
  /** What stands around a text as JSON has it, to make it what `read` gives. */
  cast(type: MemberType): readonly [before: string, after: string]
}

/** New rows as lists of the values of their columns, or as JSON. */
export interface RowsAtOnce {
  /**
   * Asks for the types of the columns of a table, and for those that they are domains over. Each row has the name of the column, whether
   * it is a domain, whether it is JSON, schema and name of the type, and whether there are lists of it that are not taken apart.
   */
  types(table: string): string
  /** The type of lists of a type, wide enough for all of its kind. */
  listOf(schema: string, type: string): string
  /** That of lists of instants. */
  readonly instants: string
  /** Behind the columns of an INSERT: the rows of lists of these types, each a parameter. */
  lists(types: readonly string[]): string
  /** The same of JSON, which is the only parameter. */
  json(table: string, columns: string): string
}

/**
 * Lists of objects that one more statement asks for. Keys leave the server as text and come back as they were written, because
 * the server alone knows which are equal.
 */
export interface ListWords {
  /** Lists come in one column of the statement that reads their objects. Null: each list needs one more statement. */
  readonly inColumn: ListColumnWords | null
  /** The driver gives a part of a key as a `TypedText`: the server does not say in SQL which type a column has. */
  readonly typed: boolean
  /** A part of a key as the server's own text, or as the driver makes a text of it. `column` is SQL, `declared` the type in its table. */
  keyText(column: string, declared: string): string
  /** SQL that gives the type of that part as text, or what the type that the driver knows needs behind it, in words that `keys` reads. */
  keyType(column: string, declared: string): string
  /** In the rows of `keys`: the ordinal of each object, from 1. */
  readonly ord: string
  /**
   * The keys of many objects as rows, in one text for any number of them. `columns` has the texts of each part, all of one
   * length, with no NULL. `place` takes a parameter and gives its placeholder, in the order in which they stand in the text.
   */
  keys(types: readonly string[], columns: readonly (readonly string[])[], place: (value: unknown) => string): KeyRows
}

/** Lists in one column. */
export interface ListColumnWords {
  /** One object of a list. `fields` is SQL. */
  object(fields: string): string
  /**
   * Asks the catalogue about so many relations. Each has four parameters: a table, its columns, the table that they are compared with, its
   * columns. Gives `unknown` for each, or some of the words `indexed` and `whole`, with commas in between. `indexed`: an index finds their
   * rows. `whole`: the columns are one whole number each.
   */
  relations(count: number): string
}

export interface KeyRows {
  /** Stands in FROM, under a name that no table has. */
  readonly from: string
  /** The parts of a key, each in its type: an index on what they are compared with serves. */
  readonly parts: readonly string[]
}

/**
 * A key goes into a cursor as a text that says how it is compared: by the type that its column has in the result. The driver gives it as a
 * `TypedText`.
 */
export interface PageKeyWords {
  /**
   * SQL that says of a key what the driver does not know. `declared` is the type of its column, null for an expression.
   * @throws {UsageError} for what is never compared exactly.
   */
  facts(key: string, declared: string | null): string
  /** @throws {UsageError} where the server would not compare it with its column as it orders by that. It names the key. */
  write(key: string, declared: string, value: TypedText, facts: unknown): string
  /** What the key is compared with; undefined for a text that is not of `write`. */
  read(text: string): unknown
}

export interface ModelWords {
  /** Each server gives the rows of INSERT and DELETE; else its sessions tell whether it does. */
  readonly returns: boolean
  /** The rows that an UPDATE has changed come back with it; else they are read again. */
  readonly updateReturns: boolean
  /** `(…) values (…)` of a row without values. */
  readonly emptyRow: string
  /** New rows of one shape in one text, however many they are; null where each row is written out. */
  readonly rowsAtOnce: RowsAtOnce | null
  /** Values of `in (…)` may travel as one array. */
  readonly listAsArray: boolean
  /** An INSERT that meets a row names the unique key that decides; else each unique key of the table does. */
  readonly namesKey: boolean
  /** In an upsert: the value that the new row would have had. */
  incoming(column: string): string
  /** What stands before the changes of a row that is there. */
  readonly onConflict: string
  /** What stands around a value to make it text. */
  readonly text: readonly [before: string, after: string]
  /** What an EXISTS selects. */
  readonly nothing: string
  /** In ascending order NULL stands in front of all other values. */
  readonly nullsFirst: boolean
  /** The place of NULL may be written: `nulls last`. */
  readonly nullsPlaced: boolean
  /** Keys that a cursor of pages holds. Null: as texts, which the server reads as the type of what they are compared with. */
  readonly pageKeys: PageKeyWords | null
  /** `distinct on (…)`. */
  readonly distinctOn: boolean
  /** Whether JSON equals JSON with the same values. */
  readonly equalsJson: boolean
  /** A limit that lets every row through, which has to stand in front of an offset; null where none has to. */
  readonly everyRow: string | null
  /** What stands around JSON and a placeholder to merge the object of the one into the other; null where members are set one by one. */
  patch(json: string): readonly [before: string, after: string] | null
  /** Members of JSON as SQL; null where operators and casts of PostgreSQL read them. */
  readonly member: MemberWords | null
  /** Behind a query: `for update of "users" skip locked`. @throws {UsageError} for what it cannot lock. */
  lock(asked: LockAsked): string
  readonly lists: ListWords
}
