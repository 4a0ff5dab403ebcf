// Many rows in few statements, all or nothing. Rows of equal shape travel as one JSON parameter, which PostgreSQL reads by the
// types of the table itself: one text whatever their number. Other rows are VALUES lists. Used by `createMany` and `upsertMany`.
import type { Executor } from '../../engine/query/executor.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import { ready, type Ready } from '../statement/ready.ts'
import { Writer } from '../statement/sink.ts'
import type { CallOptions } from '../types/model.ts'
import type { Cell } from '../values/insert.ts'
import { hasStrangeEscape, jsonRows } from '../values/json-row.ts'
import { writeCell } from './create.ts'
import { readsJson } from './table-types.ts'

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
  if (first.length > 0 && rows.every((cells) => alike(cells, first)) && (await readsJson(meta, executor, first))) {
    const json = chunks(rows, mostRows).map(jsonRows)
    if (!json.some(hasStrangeEscape))
      return json.map((rowsAsJson) => {
        const { text, params } = jsonStatement(meta, first, rowsAsJson, tail)
        return ready<object>(text, params, spec, meta.created)
      })
  }
  const columns = meta.columns.filter((column) => rows.some((cells) => cells.some((cell) => cell.column === column)))
  // A row of defaults alone still has to name a column.
  const named = columns.length > 0 ? columns : meta.columns.filter(({ readOnly }) => !readOnly).slice(0, 1)
  const most = Math.max(1, Math.floor(mostParameters / Math.max(1, named.length)))
  return chunks(rows, most).map((part) => {
    const { text, params } = valuesStatement(meta, named, part, tail)
    return ready<object>(text, params, spec, meta.created)
  })
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
    const writer = new Writer()
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

function valuesStatement(meta: ModelMeta, columns: readonly ModelColumn[], rows: Rows, tail: Tail | undefined): Text {
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
  tail?.(writer)
  return writer.add(` returning ${meta.list()}`)
}

function chunks<T>(rows: readonly T[], most: number): (readonly T[])[] {
  const parts: (readonly T[])[] = []
  for (let from = 0; from < rows.length; from += most) parts.push(rows.slice(from, from + most))
  return parts
}
