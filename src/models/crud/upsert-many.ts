// `Model.upsertMany`: many rows inserted or changed, all or nothing. Rows for which the same columns change share a statement.
// Members of JSON differ from row to row, so such rows have a statement each.
import { noOptions } from '../../util/options.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { ModelLike } from '../meta/model-meta.ts'
import type { Ready } from '../statement/ready.ts'
import type { UpsertOptions } from '../types/model.ts'
import { writeUpdate } from './conflict.ts'
import { asList, insertAll, insertStatements } from './insert-many.ts'
import { returnsRows } from '../statement/returning.ts'
import type { UpsertRow } from './read-back.ts'
import { Upsert } from './upsert.ts'

const method = 'upsertMany()'

/** No rows are no statement. Instances are in the order of the values. */
export async function upsertAll(
  model: ModelLike,
  values: unknown,
  options: UpsertOptions<string> = noOptions,
): Promise<object[]> {
  const upsert = new Upsert(model, options, method)
  const { meta } = upsert
  const rows: UpsertRow[] = []
  for (const each of asList(values, method)) rows.push(await upsert.row(each))
  const executor = meta.executor(options.on)
  if (!meta.dialect.models.returns && !(await returnsRows(meta, executor, options)))
    return upsert.reading(executor, rows, options)
  const groups = groupsOf(rows)
  const cells = rows.map((row) => row.cells)
  const made = await insertAll(meta, executor, cells, options, async () => {
    const statements: Ready<object>[] = []
    for (const group of groups) {
      const part = group.map((index) => rows[index] as UpsertRow)
      statements.push(...(await statementsOf(upsert, executor, part)))
    }
    return statements
  })
  const order = groups.flat()
  // Triggers may leave rows out.
  if (made.length !== order.length) return made
  const sorted: object[] = Array.from({ length: made.length })
  made.forEach((instance, at) => (sorted[order[at] as number] = instance))
  return sorted
}

async function statementsOf(upsert: Upsert, executor: Executor, rows: readonly UpsertRow[]): Promise<Ready<object>[]> {
  const { model, meta, target } = upsert
  const [first] = rows
  if (first === undefined) return []
  if (rows.length === 1) return [upsert.statement(first)]
  const cells = rows.map((row) => row.cells)
  return insertStatements(model, meta, executor, cells, (writer) => writeUpdate(writer, meta, target, first))
}

/** Positions of rows whose update has one text and one set of values. */
function groupsOf(rows: readonly UpsertRow[]): number[][] {
  const groups = new Map<string, number[]>()
  rows.forEach(({ changes, ofRow, own }, index) => {
    const key = own
      ? `row ${index}`
      : changes.map(({ column }) => `${column.index}${ofRow.has(column) ? '' : '='}`).join()
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [index])
    else group.push(index)
  })
  return [...groups.values()]
}
