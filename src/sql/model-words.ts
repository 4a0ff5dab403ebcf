// How models write for a database, where databases differ: what an INSERT or UPDATE gives back, how a row that is there is met,
// casts, locks, members of JSON. Nothing above knows which database it writes for.

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
  /**
   * How the value of a key, which came as text, is compared with a column of this type, or an expression: null.
   * @throws {UsageError} where it would not be compared exactly.
   */
  keyValue(type: string | null): (text: string) => unknown
  /** `distinct on (…)`. */
  readonly distinctOn: boolean
  /** A limit that lets every row through, which has to stand in front of an offset; null where none has to. */
  readonly everyRow: string | null
  /** What stands around JSON and a placeholder to merge the object of the one into the other; null where members are set one by one. */
  patch(json: string): readonly [before: string, after: string] | null
  /** Members of JSON as SQL; null where operators and casts of PostgreSQL read them. */
  readonly member: MemberWords | null
  /** Behind a query: `for update of "users" skip locked`. @throws {UsageError} for what it cannot lock. */
  lock(asked: LockAsked): string
}
