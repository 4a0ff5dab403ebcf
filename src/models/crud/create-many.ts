// `Model.createMany`: rows of equal shape travel as one JSON parameter, which PostgreSQL reads by the types of the table
// itself: one text whatever their number. Other rows are VALUES lists. All or nothing.
import type { Executor } from '../../engine/query/executor.ts'
import { UsageError } from '../../errors/index.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready, type Ready } from '../statement/ready.ts'
import { Writer } from '../statement/sink.ts'
import type { CallOptions } from '../types/model.ts'
import { asValues } from '../values/given.ts'
import { prepared } from '../values/hooks.ts'
import { type Cell, cellsOf } from '../values/insert.ts'
import { jsonRows } from '../values/json-row.ts'
import { writable } from '../values/writable.ts'
import { writeCell } from './create.ts'
import { describeType } from '../../util/checks.ts'

/** Rows in one statement: more are several, in a transaction. */
const mostRows = 10_000
/** What node-postgres can describe, with some room. */
const mostParameters = 30_000

/** No rows are no statement. Instances are in the order of the values. */
export async function createAll(model: ModelLike, values: unknown, options?: CallOptions): Promise<object[]> {
  const meta = writable(model, 'createMany()')
  if (!Array.isArray(values)) throw new UsageError(`createMany() takes a list of objects, not ${describeType(values)}.`)
  const rows: Cell[][] = []
  for (const each of values as readonly unknown[]) {
    const given = asValues(each, 'createMany()')
    const checked =
      meta.hooks.validate === undefined && meta.hooks.beforeCreate === undefined
        ? given
        : await prepared(meta, given, 'createMany()')
    rows.push(cellsOf(meta, checked))
  }
  const statements = statementsOf(model, meta, rows)
  const executor = meta.executor(options?.on)
  const [only] = statements
  if (only === undefined) return []
  if (statements.length === 1) return executor.all(only, options)
  const { timeoutMs, signal } = options ?? {}
  return executor.transaction((tx) => inOrder(tx, statements), { timeoutMs, signal })
}

async function inOrder(tx: Executor, statements: readonly Ready<object>[]): Promise<object[]> {
  const made = await Promise.all(statements.map((statement) => tx.all(statement)))
  return made.flat()
}

function statementsOf(model: ModelLike, meta: ModelMeta, rows: readonly (readonly Cell[])[]): Ready<object>[] {
  const [first] = rows
  if (first === undefined) return []
  const spec = meta.specOf(model) as never
  if (rows.every((cells) => alike(cells, first)) && first.length > 0) {
    const text = jsonText(meta, first)
    return chunks(rows, mostRows).map((part) => ready<object>(text, [jsonRows(part)], spec, meta.loaded))
  }
  const columns = meta.columns.filter((column) => rows.some((cells) => cells.some((cell) => cell.column === column)))
  // A row of defaults alone still has to name a column.
  const named = columns.length > 0 ? columns : meta.columns.filter(({ readOnly }) => !readOnly).slice(0, 1)
  const most = Math.max(1, Math.floor(mostParameters / Math.max(1, named.length)))
  return chunks(rows, most).map((part) => {
    const { text, params } = valuesText(meta, named, part)
    return ready<object>(text, params, spec, meta.loaded)
  })
}

/** The same columns, and no SQL. */
function alike(cells: readonly Cell[], first: readonly Cell[]): boolean {
  return (
    cells.length === first.length &&
    cells.every(({ column, isSql }, index) => column === first[index]?.column && !isSql)
  )
}

function jsonText(meta: ModelMeta, cells: readonly Cell[]): string {
  const key = `many${cells.map(({ column }) => column.index).join()}`
  const names = cells.map(({ column }) => column.quoted).join(', ')
  return meta.texts.get(
    key,
    () =>
      `insert into ${meta.sqlName} (${names}) select ${names} from json_populate_recordset(null::${meta.sqlName}, $1::json) returning ${meta.list()}`,
  )
}

function valuesText(meta: ModelMeta, columns: readonly ModelColumn[], rows: readonly (readonly Cell[])[]): Writer {
  const writer = new Writer()
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
  writer.add(` returning ${meta.list()}`)
  return writer
}

function chunks<T>(rows: readonly T[], most: number): (readonly T[])[] {
  const parts: (readonly T[])[] = []
  for (let from = 0; from < rows.length; from += most) parts.push(rows.slice(from, from + most))
  return parts
}
