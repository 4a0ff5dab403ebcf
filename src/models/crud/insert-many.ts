// Many rows in few statements, all or nothing. Rows of equal shape travel as one JSON parameter, which PostgreSQL reads by the
// types of the table itself: one text whatever their number. Other rows are VALUES lists. Used by `createMany` and `upsertMany`.
import type { Executor } from '../../engine/query/executor.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready, type Ready } from '../statement/ready.ts'
import { returnsRows } from '../statement/returning.ts'
import { Writer } from '../statement/sink.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { hasStrangeEscape, jsonRows } from '../values/json-row.ts'
import { insertOne, readingOf, writeCell, writeRow } from './create.ts'
import { placeOfNew, writeAndRead, type Written } from './read-back.ts'
import { quoteText } from '../../builder/drizzle/core/render.ts'
import { noOptions, describeType } from '../../util/options.ts'
import { UsageError } from '../../errors/index.ts'
import { asValues, writable } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { checkTarget, ignoring } from './conflict.ts'
import { insertAllUnlessThere } from './unless-there.ts'

/** Rows in one statement: more are several, in a transaction. */
const mostRows = 10_000
/** What node-postgres can describe, with some room. */
const mostParameters = 30_000

type Rows = readonly (readonly Cell[])[]
/** What stands between the rows and RETURNING. */
export type Tail = (writer: Writer) => void

/** Instances are in the order of the rows. */
export async function insertMany(
  model: ModelLike,
  meta: ModelMeta,
  rows: Rows,
  options: CallOptions | undefined,
  tail?: Tail,
): Promise<object[]> {
  const executor = meta.executor(options?.on)
  if (!meta.dialect.models.returns && !(await returnsRows(meta, executor, options))) {
    return writeAndRead(model, meta, executor, writtenRows(model, meta, rows), readingOf(model, meta), options)
  }
  const statements = await insertStatements(model, meta, executor, rows, tail)
  return runAll(executor, statements, options)
}

/** No statement for no rows. */
export async function insertStatements(
  model: ModelLike,
  meta: ModelMeta,
  executor: Executor,
  rows: Rows,
  tail?: Tail,
): Promise<Ready<object>[]> {
  const [first] = rows
  if (first === undefined) return []
  const spec = meta.specOf(model) as never
  const whole = meta.dialect.models.rowsAsJson && first.length > 0
  if (whole && rows.every((cells) => alike(cells, first)) && (await readsJson(meta, executor, first))) {
    const json = chunks(rows, mostRows).map(jsonRows)
    if (!json.some(hasStrangeEscape))
      return json.map((rowsAsJson) => {
        const { text, params } = jsonStatement(meta, first, rowsAsJson, tail)
        return ready<object>(meta, text, params, spec, meta.created)
      })
  }
  const named = namedColumns(meta, rows)
  return chunks(rows, mostOf(named)).map((part) => {
    const writer = valuesStatement(meta, named, part)
    tail?.(writer)
    const { text, params } = writer.add(` returning ${meta.list()}`)
    return ready<object>(meta, text, params, spec, meta.created)
  })
}

/** Where no INSERT gives its rows. Which numbers several rows of one INSERT were given, no server promises. */
function writtenRows(model: ModelLike, meta: ModelMeta, rows: Rows): Written[] {
  const places = rows.map((cells) => placeOfNew(model, meta, cells, 'createMany()'))
  const alone = places.some((place) => place.some(({ byNumber }) => byNumber))
  const named = namedColumns(meta, rows)
  let from = 0
  return chunks(rows, alone ? 1 : mostOf(named)).map((part) => {
    const [first = []] = part
    const { text, params } = part.length === 1 ? writeRow(meta, first) : valuesStatement(meta, named, part)
    return { write: ready(meta, text, params), places: places.slice(from, (from += part.length)) }
  })
}

/** A row of defaults alone still has to name a column. */
function namedColumns(meta: ModelMeta, rows: Rows): readonly ModelColumn[] {
  const columns = meta.columns.filter((column) => rows.some((cells) => cells.some((cell) => cell.column === column)))
  return columns.length > 0 ? columns : meta.columns.filter(({ readOnly }) => !readOnly).slice(0, 1)
}

function mostOf(columns: readonly ModelColumn[]): number {
  return Math.max(1, Math.floor(mostParameters / Math.max(1, columns.length)))
}

/** One statement by itself, several in a transaction. */
export function runAll(
  executor: Executor,
  statements: readonly Ready<object>[],
  options: CallOptions | undefined,
): Promise<object[]> {
  const [only] = statements
  if (only === undefined) return Promise.resolve([])
  if (statements.length === 1) return executor.all(only, options)
  const { timeoutMs, signal } = options ?? {}
  return executor.transaction((tx) => inOrder(tx, statements), { timeoutMs, signal })
}

async function inOrder(tx: Executor, statements: readonly Ready<object>[]): Promise<object[]> {
  const made = await Promise.all(statements.map((statement) => tx.all(statement)))
  return made.flat()
}

/** The same columns, and no SQL. */
function alike(cells: readonly Cell[], first: readonly Cell[]): boolean {
  return (
    cells.length === first.length &&
    cells.every(({ column, isSql }, index) => column === first[index]?.column && !isSql)
  )
}

interface Text {
  readonly text: string
  readonly params: readonly unknown[]
}

function jsonStatement(meta: ModelMeta, cells: readonly Cell[], json: string, tail: Tail | undefined): Text {
  if (tail !== undefined) {
    const writer = new Writer(meta.dialect)
    writer.params.push(json)
    writer.add(jsonText(meta, cells))
    tail(writer)
    return writer.add(` returning ${meta.list()}`)
  }
  const key = `many${cells.map(({ column }) => column.index).join()}`
  return { text: meta.texts.get(key, () => `${jsonText(meta, cells)} returning ${meta.list()}`), params: [json] }
}

function jsonText(meta: ModelMeta, cells: readonly Cell[]): string {
  const names = cells.map(({ column }) => column.quoted).join(', ')
  return `insert into ${meta.sqlName} (${names}) select ${names} from json_populate_recordset(null::${meta.sqlName}, $1::json)`
}

function valuesStatement(meta: ModelMeta, columns: readonly ModelColumn[], rows: Rows): Writer {
  const writer = new Writer(meta.dialect)
  writer.add(`insert into ${meta.sqlName} (${columns.map(({ quoted }) => quoted).join(', ')}) values `)
  rows.forEach((cells, index) => {
    writer.add(index === 0 ? '(' : ', (')
    columns.forEach((column, at) => {
      if (at > 0) writer.add(', ')
      const cell = cells.find((one) => one.column === column)
      if (cell === undefined) writer.add('default')
      else writeCell(writer, cell)
    })
    writer.add(')')
  })
  return writer
}

function chunks<T>(rows: readonly T[], most: number): (readonly T[])[] {
  const parts: (readonly T[])[] = []
  for (let from = 0; from < rows.length; from += most) parts.push(rows.slice(from, from + most))
  return parts
}

// What the database says of a table's types, asked once per model before its first rows travel as JSON. Two kinds of column
// would be read otherwise than as parameters: one of a domain that is left to its default, whose constraints the missing
// member would be held against, and one of JSON that Drizzle does not know as such, whose text would become a JSON string.

/** Columns by their database names. */
interface TableTypes {
  readonly domains: readonly string[]
  /** Of json or jsonb, or a domain over them. */
  readonly json: ReadonlySet<string>
}

const known = new WeakMap<ModelMeta, TableTypes>()

/** Whether rows with these columns are read from JSON as they would be as parameters. */
async function readsJson(meta: ModelMeta, executor: Executor, cells: readonly Cell[]): Promise<boolean> {
  const { domains, json } = known.get(meta) ?? (await ask(meta, executor))
  return (
    domains.every((name) => cells.some(({ column }) => column.name === name)) &&
    cells.every(({ column }) => column.isJson === json.has(column.name))
  )
}

async function ask(meta: ModelMeta, executor: Executor): Promise<TableTypes> {
  const text = `with recursive types (name, type, domain) as (
    select attname, atttypid, false from pg_catalog.pg_attribute
    where attrelid = ${quoteText(meta.sqlName)}::pg_catalog.regclass and attnum > 0 and not attisdropped
    union all select name, typbasetype, true from types join pg_catalog.pg_type on oid = type and typtype = 'd'
  ) select name::text, bool_or(domain), bool_or(type in (114, 3802)) from types
  group by name having bool_or(domain or type in (114, 3802))`
  const rows = await executor.all(ready<readonly [string, boolean, boolean]>(meta, text, [], row))
  const types = {
    domains: rows.filter(([, domain]) => domain).map(([name]) => name),
    json: new Set(rows.filter(([, , json]) => json).map(([name]) => name)),
  }
  known.set(meta, types)
  return types
}

const row = { into: 'array', make: null, columns: null } as const

/** No rows are no statement. Instances are in the order of the values. */
export async function createAll(model: ModelLike, values: unknown, options?: CallOptions): Promise<object[]> {
  const meta = writable(model, 'createMany()')
  return insertMany(model, meta, await rowsOf(meta, values, 'createMany()'), options)
}

/** Instances of the rows that were not there. */
export async function createMissing(
  model: ModelLike,
  values: unknown,
  options: IgnoreOptions<string> = noOptions,
): Promise<object[]> {
  const meta = writable(model, 'createManyOrIgnore()')
  if (!meta.dialect.models.namesKey) {
    const rows = await rowsOf(meta, values, 'createManyOrIgnore()')
    const inserts = rows.map((cells) => {
      checkTarget(model, meta, options, cells, 'createManyOrIgnore()')
      return (tx: Executor): Promise<object> =>
        insertOne(model, meta, tx, cells, undefined, readingOf(model, meta), 'createManyOrIgnore()')
    })
    return insertAllUnlessThere(meta.executor(options.on), inserts, options)
  }
  const tail = ignoring(model, meta, options, 'createManyOrIgnore()')
  return insertMany(model, meta, await rowsOf(meta, values, 'createManyOrIgnore()'), options, tail)
}

async function rowsOf(meta: ModelMeta, values: unknown, method: string): Promise<Cell[][]> {
  const rows: Cell[][] = []
  for (const each of asList(values, method)) {
    const given = asValues(each, method)
    const checked =
      meta.hooks.validate === undefined && meta.hooks.beforeCreate === undefined
        ? given
        : await prepared(meta, given, method)
    rows.push(cellsOf(meta, checked))
  }
  return rows
}

/** @throws {UsageError} for what is no list. */
export function asList(values: unknown, method: string): readonly unknown[] {
  if (Array.isArray(values)) return values as readonly unknown[]
  throw new UsageError(`${method} takes a list of objects, not ${describeType(values)}.`)
}
