// Lists as rows of their own: the objects of a query and the rows of its lists come one after another, in columns side by side, and
// are put together here by the ordinal of the object. The server then makes no array and no record of them, which takes it longer than
// to find them. For queries whose rows are all read at once, and for lists without lists of their own.
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import type { Expression } from '../meta/expressions.ts'
import { SqlText } from '../meta/sql-text.ts'
import { writeConditions } from '../query/compile/condition.ts'
import { outside } from './belonging.ts'
import { decodeExpression } from '../meta/decode.ts'
import type { Values } from './instances.ts'
import type { Level, List } from './level.ts'
import { type Around, bare, everyRow, ordinal } from './list-sql.ts'

/** Whether the lists of these rows can come so. A list that is put in order by the server has one that an index cannot give it. */
export function comeAsRows({ lists }: Level, indexed: (list: List) => boolean): boolean {
  return (
    lists.length > 0 &&
    lists.every((list) => list.level.lists.length === 0 && list.limit === null && (list.sortsHere || !indexed(list)))
  )
}

/** The SQL around the query of the objects. `text` has what stands before, and the parameters. */
export function writeRows(text: SqlText, root: Level): Around {
  const open = `with "g0" as materialized (select q.*, row_number() over () as ${ordinal} from (`
  const { alias, lists } = root
  const beside = (): SqlText => new SqlText(text.dialect, '', text)
  const close = beside().add(`) q) select ${alias}.${ordinal} * ${lists.length + 1} as "genever k"`)
  const joins = beside()
  root.items.forEach((_, at) => close.add(`, ${root.outer(at)}`))
  lists.forEach(({ level }, n) => {
    level.items.forEach((_, at) => close.add(`, ${nameIn(n, at)}`))
    joins.add(' left join (select ')
    writeTyped(joins, level.items)
    level.joins.writeFrom(joins.add(' from '))
    joins.add(` where false) as "genever t${n}" on true`)
  })
  close.add(` from "g0" as ${alias}${joins.text}`)
  lists.forEach((list, n) => writeArm(close.add(' union all '), root, list, n))
  return { open, close }
}

function writeArm(text: SqlText, root: Level, list: List, n: number): void {
  const { alias, lists } = root
  const { level, where, orderBy, sortsHere } = list
  const ordered = orderBy.length > 0 && !sortsHere
  text.add(`${ordered ? '(' : ''}select ${alias}.${ordinal} * ${lists.length + 1} + ${n + 1}`)
  root.items.forEach((_, at) => text.add(`, ${missing(root.outer(at))}`))
  lists.forEach(({ level: { items } }, other) =>
    items.forEach((expression, at) => {
      if (other === n) text.add(', ').sql(bare(expression))
      else text.add(`, ${nameIn(other, at)}`)
    }),
  )
  text.add(` from "g0" as ${alias} inner join `)
  level.joins.writeFrom(text, true)
  text.add(' on ').sql(outside(root, list))
  lists.forEach(({ level: { items, joins } }, other) => {
    if (other === n) return
    writeTyped(text.add(' left join (select '), items)
    joins.writeFrom(text.add(' from '))
    text.add(` where false) as "genever t${other}" on true`)
  })
  if (where.length > 0) writeConditions(text.add(' where '), where)
  if (ordered) text.add(' order by ').expressions(orderBy).add(` limit ${everyRow})`)
}

/** NULL of the type of a value. */
function missing(value: string): string {
  return `case when false then ${value} end`
}

function writeTyped(text: SqlText, items: readonly Expression[]): void {
  items.forEach((expression, at) => {
    text
      .add(at > 0 ? ', ' : '')
      .sql(bare(expression))
      .add(` as t${at}`)
  })
}

function nameIn(list: number, at: number): string {
  return `"genever t${list}".t${at}`
}

/** How such rows are read: where one belongs, then the columns of the object, then those of each list. */
export function specOfRows({ items, lists }: Level, own: readonly ColumnSpec[]): RowSpec {
  const columns: ColumnSpec[] = [{ path: [], mode: 'number' }, ...own.slice(0, items.length)]
  for (const { level } of lists)
    for (const expression of level.items) columns.push({ path: [], ...decodeExpression(expression) })
  return { into: 'array', make: null, columns, kinds: [items.length, ...lists.map(({ level }) => level.items.length)] }
}

/** The objects with their lists behind their own values, as they come where a list is one column. */
export function gather({ items, lists }: Level, rows: readonly unknown[]): Values[] {
  const kinds = lists.length + 1
  const own = items.length
  const objects: unknown[][] = []
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n] as unknown[]
    const number = row[row.length - 1] as number
    if (number % kinds > 0) continue
    row.pop()
    for (let list = 0; list < lists.length; list++) row.push([])
    objects[number / kinds - 1] = row
  }
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n] as unknown[]
    const number = row[row.length - 1]
    if (typeof number !== 'number') continue
    const kind = number % kinds
    const object = objects[(number - kind) / kinds - 1] as unknown[]
    ;(object[own + kind - 1] as unknown[]).push(row)
  }
  return objects
}
