// Database names for columns that were declared without one. Drizzle 0.45 leaves them to the builders of one `drizzle({ casing })`,
// which nothing else can see; here the columns themselves get their names. Drizzle is read by its shape, and not imported.
import { UsageError } from '../../../errors/index.ts'
import { viewConfigOf } from './render.ts'
import { describeType } from '../../../util/options.ts'

/** The form of the names that `inCasing()` gives to columns without one. */
export type Casing = 'snake_case' | 'camelCase'

const casings: Readonly<Record<Casing, (words: readonly string[]) => string>> = {
  snake_case: (words) => words.map((word) => word.toLowerCase()).join('_'),
  camelCase: ([first = '', ...others]) =>
    first.toLowerCase() + others.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join(''),
}

/**
 * Names the columns of tables and views that were declared without a name, in the given casing: `createdAt` becomes
 * `created_at`. It changes the columns themselves, so models, `createAll`, bare SQL and builders agree. It takes a table, a
 * view, or an object or module of them, and returns its argument. Call it where they are declared, before a model is made of
 * them. `drizzle({ casing })` then has nothing left to do. In 1.0 `snakeCase.table()` does the same.
 *
 * @throws {UsageError} for an unknown casing, and when there is no table or view.
 */
export function inCasing<T extends object>(casing: Casing, schema: T): T {
  if (typeof casing !== 'string' || !Object.hasOwn(casings, casing))
    throw new UsageError(`inCasing() takes 'snake_case' or 'camelCase' first, not ${describeType(casing)}.`)
  if (typeof schema !== 'object' || (schema as object | null) === null)
    throw new UsageError(
      `inCasing() takes a pgTable or pgView second, or an object of them, not ${describeType(schema)}.`,
    )
  const own = columnsOf(schema)
  const tables = own === undefined ? Object.values(schema).map(columnsOf) : [own]
  if (tables.every((columns) => columns === undefined))
    throw new UsageError('inCasing() takes a pgTable or pgView second, or an object or module of them.')
  for (const columns of tables) for (const column of columns ?? []) rename(column, casings[casing])
  return schema
}

interface NamedColumn {
  name: string
  keyAsName?: boolean
}

function rename(column: NamedColumn, inWords: (words: readonly string[]) => string): void {
  if (column.keyAsName !== true) return
  // As Drizzle cuts words.
  const words = column.name.replaceAll(/['\u2019]/g, '').match(/[\da-z]+|[A-Z]+(?![a-z])|[A-Z][\da-z]+/g) ?? []
  if (words.length > 0) column.name = inWords(words)
  column.keyAsName = false
}

const columns = Symbol.for('drizzle:Columns')
const indexed = Symbol.for('drizzle:ExtraConfigColumns')

/** Those that indexes and keys are declared with are others. Undefined for what is no table or view. */
function columnsOf(value: unknown): NamedColumn[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const table = value as Readonly<Record<symbol, Readonly<Record<string, object>> | undefined>>
  const selected = viewConfigOf(value)?.selectedFields
  if (selected === undefined && table[columns] === undefined) return undefined
  return [selected, table[columns], table[indexed]].flatMap((all) => Object.values(all ?? {}) as NamedColumn[])
}
