// Many rows in few statements, all or nothing. Rows of equal shape travel as one list for each column, or as one JSON parameter, which
// PostgreSQL reads by the types of the table itself: one text whatever their number. Other rows are VALUES lists. Used by `createMany`
// and `upsertMany`.
import { exactText } from '../../builder/drizzle/core/exact-time.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { RowsAtOnce } from '../../sql/model-words.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready, type Ready } from '../statement/ready.ts'
import { returnsRows } from '../statement/returning.ts'
import { Writer } from '../statement/sink.ts'
import type { CallOptions, IgnoreOptions } from '../types/model.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { checkTexts, hasStrangeEscape, jsonRows } from '../values/json-row.ts'
import { insertOne, readingOf, writeCell, writeRow } from './create.ts'
import { placeOfNew, writeAndRead, type Written } from './read-back.ts'
import { noOptions, describeType } from '../../util/options.ts'
import { ParameterError, UsageError } from '../../errors/index.ts'
import { asValues, writable } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { checkTarget, ignoring } from './conflict.ts'
import { haveChanged, readsJson, tableTypes, type TableTypes } from './table-types.ts'
import { insertAllUnlessThere } from './unless-there.ts'

/** Rows in one statement: more are several, in a transaction. */
const mostRows = 10_000
/** A little less than the number that node-postgres can describe. */
const mostParameters = 30_000

type Rows = readonly (readonly Cell[])[]
/** Writes the part between the rows and RETURNING. */
export type Tail = (writer: Writer) => void

/** Instances are in the order of the rows. */
async function insertMany(
  model: ModelLike,
  meta: ModelMeta,
  rows: Rows,
  options: CallOptions | undefined,
  tail?: Tail,
): Promise<object[]> {
  const executor = meta.executor(options?.on)
  if (!meta.dialect.models.returns && !(await returnsRows(meta, executor, options))) {
    return writeAndRead(model, executor, writtenRows(model, meta, rows), readingOf(model, meta), options)
  }
  return insertAll(meta, executor, rows, options, () => insertStatements(model, meta, executor, rows, tail))
}

/** Runs what inserts the rows, and once more where the types of the table have changed since it was asked for them. */
export async function insertAll(
  meta: ModelMeta,
  executor: Executor,
  rows: Rows,
  options: CallOptions | undefined,
  statements: () => Promise<Ready<object>[]>,
): Promise<object[]> {
  const written = await statements()
  try {
    return await runAll(executor, written, options)
  } catch (error) {
    // The message names the column.
    if (error instanceof ParameterError) checkTexts(rows)
    if (!(await haveChanged(meta, executor, error))) throw error
  }
  return runAll(executor, await statements(), options)
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
  const words = meta.dialect.models.rowsAtOnce
  if (words !== null && first.length > 0 && rows.every((cells) => alike(cells, first))) {
    const types = await tableTypes(meta, executor)
    const whole = asLists(meta, words, types, first, rows) ?? asJson(meta, words, types, first, rows)
    if (whole !== null)
      return whole.map((part) => {
        const { text, params } = returning(meta, part, tail)
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
  const places = rows.map((cells) => placeOfNew(model, cells, 'createMany()'))
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
function runAll(
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
  /** Equal for equal texts. */
  readonly key: string
  readonly text: () => string
  readonly params: readonly unknown[]
}

function returning(
  meta: ModelMeta,
  { key, text, params }: Text,
  tail: Tail | undefined,
): Pick<Writer, 'text' | 'params'> {
  if (tail === undefined)
    return { text: meta.texts.get(key, () => `${text()} returning ${meta.list()}`), params: [...params] }
  const writer = new Writer(meta.dialect)
  writer.params.push(...params)
  writer.add(text())
  tail(writer)
  return writer.add(` returning ${meta.list()}`)
}

/** Null: there is no list for a column, or a value that is no element. */
function asLists(
  meta: ModelMeta,
  words: RowsAtOnce,
  types: TableTypes,
  cells: readonly Cell[],
  rows: Rows,
): Text[] | null {
  const listed = cells.map(({ column }) => types.lists.get(column.name) ?? '')
  if (listed.includes('')) return null
  const lists = chunks(rows, mostRows).map((part) => columnLists(part, listed, words.instants))
  const text = (): string => `${into(meta, columnsOf(cells))} ${words.lists(listed)}`
  const key = `lists${cells.map(({ column }, at) => `${column.index}${listed[at]}`).join()}`
  return lists.includes(null) ? null : lists.map((params) => ({ key, text, params: params as unknown[][] }))
}

function asJson(
  meta: ModelMeta,
  words: RowsAtOnce,
  types: TableTypes,
  cells: readonly Cell[],
  rows: Rows,
): Text[] | null {
  if (!readsJson(types, cells)) return null
  const json = chunks(rows, mostRows).map(jsonRows)
  if (json.some(hasStrangeEscape)) return null
  const columns = columnsOf(cells)
  const key = `many${cells.map(({ column }) => column.index).join()}`
  const text = (): string => `${into(meta, columns)} ${words.json(meta.sqlName, namesOf(columns))}`
  return json.map((each) => ({ key, text, params: [each] }))
}

function columnsOf(cells: readonly Cell[]): ModelColumn[] {
  return cells.map(({ column }) => column)
}

function into({ sqlName }: ModelMeta, columns: readonly ModelColumn[]): string {
  return `insert into ${sqlName} (${namesOf(columns)})`
}

function namesOf(columns: readonly ModelColumn[]): string {
  return columns.map(({ quoted }) => quoted).join(', ')
}

function valuesStatement(meta: ModelMeta, columns: readonly ModelColumn[], rows: Rows): Writer {
  const writer = new Writer(meta.dialect)
  writer.add(`${into(meta, columns)} values `)
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
        insertOne({ model, meta, cells, reading: readingOf(model, meta), method: 'createManyOrIgnore()' }, tx)
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

/**
 * One list for each column of rows with the same columns, for `unnest`: drivers write lists of common types in binary, and the server
 * reads them for less than anything else. Null: a value is no element of a list.
 * @param types Of the lists.
 * @param instants That of values whose text tells their instant as a list of dates does.
 */
function columnLists(
  rows: readonly (readonly Cell[])[],
  types: readonly string[],
  instants: string,
): unknown[][] | null {
  const lists: unknown[][] = []
  for (let at = 0; at < types.length; at++) {
    const { column } = (rows[0] as readonly Cell[])[at] as Cell
    const dates = types[at] === instants && isDate(column)
    const list: unknown[] = []
    for (const cells of rows) {
      const { value } = cells[at] as Cell
      const element = dates && value instanceof Date && exactText(value) === undefined ? value : column.encode(value)
      if (!isElement(element)) return null
      list.push(element)
    }
    lists.push(list)
  }
  return lists
}

/** Drizzle's own way with dates, not that of a custom type. */
function isDate({ column }: ModelColumn): boolean {
  return (column as { readonly columnType?: string }).columnType === 'PgTimestamp'
}

function isElement(value: unknown): boolean {
  if (typeof value !== 'object') return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
  return value === null || value instanceof Uint8Array || (value instanceof Date && !Number.isNaN(value.getTime()))
}
