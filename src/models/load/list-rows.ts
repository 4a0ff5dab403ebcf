// Lists as rows of their own: the objects of a query and the rows of its lists come one after another, in columns side by side, and
// are put together here. The server then makes no array and no record of them, which takes it longer than to find them. For queries
// whose rows are all read at once, and for lists without lists of their own. They are put together by the ordinal of the object; or,
// where the members of a list are those that have a whole number of the object, by that number. Objects are then kept while their lists
// are read, unless there is one, whose key is a parameter: that finds the rows of its lists.
import type { Column } from 'drizzle-orm'
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import type { Expression } from '../meta/expressions.ts'
import { SqlText } from '../meta/sql-text.ts'
import { writeConditions, writeFurtherConditions } from '../query/compile/condition.ts'
import { outside } from './belonging.ts'
import { decodeExpression } from '../meta/decode.ts'
import { wholeMode } from '../values/key-order.ts'
import type { Values } from './instances.ts'
import type { Level, List } from './level.ts'
import { type Around, bare, everyRow, firstGroup, ordinal, writeNamed } from './list-sql.ts'

/** Whether the lists of these rows can come so. A list that is put in order by the server has one that an index cannot give it. */
export function comeAsRows({ lists }: Level, indexed: (list: List) => boolean): boolean {
  return (
    lists.length > 0 &&
    lists.every((list) => list.level.lists.length === 0 && list.limit === null && (list.sortsHere || !indexed(list)))
  )
}

/** The SQL around the query of the objects. `text` has what stands before, and the parameters. */
export function writeRows(text: SqlText, root: Level): Around {
  const open = `with ${firstGroup} as materialized (select q.*, row_number() over () as ${ordinal} from (`
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
  close.add(` from ${firstGroup} as ${alias}${joins.text}`)
  lists.forEach((list, n) => writeArm(close.add(' union all '), root, list, n))
  return { open, close }
}

function writeArm(text: SqlText, root: Level, list: List, n: number): void {
  const { alias, lists } = root
  const { level } = list
  text.add(`${isOrdered(list) ? '(' : ''}select ${alias}.${ordinal} * ${lists.length + 1} + ${n + 1}`)
  root.items.forEach((_, at) => text.add(`, ${missing(root.outer(at))}`))
  lists.forEach(({ level: { items } }, other) =>
    items.forEach((expression, at) => {
      if (other === n) text.add(', ').sql(bare(expression))
      else text.add(`, ${nameIn(other, at)}`)
    }),
  )
  text.add(` from ${firstGroup} as ${alias} inner join `)
  level.joins.writeOperand(text)
  text.add(' on ').sql(outside(root, list))
  lists.forEach(({ level: { items, joins } }, other) => {
    if (other === n) return
    writeTyped(text.add(' left join (select '), items)
    joins.writeFrom(text.add(' from '))
    text.add(` where false) as "genever t${other}" on true`)
  })
  if (list.where.length > 0) writeConditions(text.add(' where '), list.where)
  finishArm(text, list)
}

/** Whether the server puts the rows in order, for which their part stands in brackets. */
function isOrdered({ orderBy, sortsHere }: List): boolean {
  return orderBy.length > 0 && !sortsHere
}

/** The list's own order, and the end of its part. */
function finishArm(text: SqlText, list: List): SqlText {
  const { orderBy } = list
  return isOrdered(list) ? text.add(' order by ').expressions(orderBy).add(` limit ${everyRow})`) : text
}

/** Where the columns are in the rows of objects and of a list that are equal. */
export interface Pair {
  readonly own: number
  readonly at: number
}

/** The SELECT of the rows of a list: the text before and behind the condition that says to which object they belong. */
export interface Arm {
  readonly before: string
  readonly after: string
  /** The columns that are equal. */
  readonly child: string
  readonly parent: string
}

export interface ByKey extends Around {
  /** The values of the objects. */
  readonly items: string
  readonly arms: readonly Arm[]
}

/**
 * Whether each list has the rows whose column is equal to one of the object, both declared as whole numbers that are read alike: then it
 * depends on that number alone, however many objects have it. The catalogue has to say the same.
 */
export function havePlainKeys({ lists }: Level): boolean {
  return lists.every(({ pairs, on, parent }) => {
    const [[one, another], [other]] = [pairs?.parent ?? [], pairs?.child ?? []]
    if (on !== null || parent.isQuery || one === undefined || another !== undefined || other === undefined) return false
    const mode = wholeMode(one)
    return (mode === 'number' || mode === 'bigint') && mode === wholeMode(other)
  })
}

/** Whether this column of the query's own table pairs each list. */
export function areOfKey({ source, lists }: Level, key: Column): boolean {
  return lists.every((list) => list.parent.id === source.id && keysOf(list)[0] === key)
}

/** Selects the columns that rows are paired by. */
export function settleKeys({ lists }: Level): void {
  for (const list of lists) {
    const [, child] = keysOf(list)
    if (list.level.find(child) === undefined) list.level.add(child)
  }
}

export function pairsOf(root: Level): Pair[] {
  return root.lists.map((list) => {
    const [parent, child] = keysOf(list)
    return { own: root.find(parent) as number, at: list.level.find(child) as number }
  })
}

function keysOf({ pairs }: List): [parent: Column, child: Column] {
  return [pairs?.parent[0] as Column, pairs?.child[0] as Column]
}

/**
 * The SQL around the query of the objects, which are kept while the rows of their lists are read, and paired with these by keys. Where
 * only one object is wanted, no row of a list is found for two.
 */
export function writeKept(text: SqlText, root: Level, pairing: 'kept' | 'one kept'): Around {
  const { alias, lists, items } = root
  const beside = (): SqlText => new SqlText(text.dialect, '', text)
  const close = beside().add(`) ${lists.length > 1 ? writeTypes(beside(), root) : ''}select `)
  close.add(items.map((_, at) => root.outer(at)).join(', '))
  for (const { level } of lists) close.add(', null'.repeat(level.items.length))
  close.add(` from ${firstGroup} as ${alias}`)
  lists.forEach((list, n) => {
    const { level } = list
    selectOf(close, root, n)
    if (pairing === 'one kept') {
      level.joins.writeOperand(close.add(` from ${firstGroup} as ${alias} inner join `))
      close.add(' on ').sql(outside(root, list))
      if (list.where.length > 0) writeConditions(close.add(' where '), list.where)
    } else {
      const [parent, child] = keysOf(list)
      level.joins.writeFrom(close.add(' from '))
      close
        .add(' where ')
        .sql(child)
        .add(` in (select ${root.outer(root.find(parent) as number)} from ${firstGroup} as ${alias})`)
      writeFurtherConditions(close, list.where)
    }
    finishArm(close, list)
  })
  return { open: `with ${firstGroup} as materialized (`, close }
}

/**
 * The SQL of objects and lists that are paired by keys. A row of a list has such a key, which tells it from those of others. Where there
 * are several lists, the first arm has no row, and the types of all columns: NULL has none.
 */
export function writeByKey(text: SqlText, root: Level): ByKey {
  const { lists } = root
  const beside = (): SqlText => new SqlText(text.dialect, '', text)
  const own = beside()
  writeNamed(own, root)
  for (const { level } of lists) own.add(', null'.repeat(level.items.length))
  return {
    open: `${lists.length > 1 ? writeTypes(beside(), root) : ''}(`,
    items: own.text,
    close: beside().add(')'),
    arms: lists.map((list, n) => armByKey(beside, root, list, n)),
  }
}

function writeTypes(text: SqlText, { items, lists }: Level): string {
  text.add(`select ${items.map(() => 'null').join(', ')}`)
  lists.forEach(({ level }, n) => level.items.forEach((_, at) => text.add(`, ${nameIn(n, at)}`)))
  lists.forEach(({ level }, n) => {
    writeTyped(text.add(n === 0 ? ' from (select ' : ', (select '), level.items)
    level.joins.writeFrom(text.add(' from '))
    text.add(`) as "genever t${n}"`)
  })
  return text.add(' where false union all ').text
}

function armByKey(beside: () => SqlText, root: Level, list: List, n: number): Arm {
  const before = selectOf(beside(), root, n)
  list.level.joins.writeFrom(before.add(' from '))
  const after = beside()
  writeFurtherConditions(after, list.where)
  finishArm(after, list)
  const keys = keysOf(list)
  const [parent, child] = keys.map((column) => render(column).sql) as [string, string]
  return { before: before.add(' where ').text, after: after.text, child, parent }
}

/** Adds a part that selects the values of one list, and NULL for all others. */
function selectOf(text: SqlText, { items, lists }: Level, n: number): SqlText {
  const bracket = isOrdered(lists[n] as List) ? '(' : ''
  text.add(` union all ${bracket}select ${items.map(() => 'null').join(', ')}`)
  lists.forEach(({ level }, other) => {
    text.add(', ')
    if (other === n) text.expressions(level.items.map(bare))
    else text.add(level.items.map(() => 'null').join(', '))
  })
  return text
}

/** Adds the rows of each list. `where` is the condition of the object: equality of the column that pairs them with a value. */
export function writeArms(text: SqlText, { arms }: ByKey, where: string): void {
  for (const { before, after, child, parent } of arms)
    text
      .add(before)
      .add(child)
      .add(where.slice(` where ${parent}`.length))
      .add(after)
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

/** How such rows are read: where one belongs, if they are numbered, then the columns of the object, then those of each list. */
export function specOfRows(root: Level, own: readonly ColumnSpec[], { numbered }: { numbered: boolean }): RowSpec {
  const { items, lists } = root
  const columns: ColumnSpec[] = own.slice(0, items.length)
  if (numbered) columns.unshift({ path: [], mode: 'number' })
  for (const { level } of lists)
    for (const expression of level.items) columns.push({ path: [], ...decodeExpression(expression) })
  const counts = [items.length, ...lists.map(({ level }) => level.items.length)]
  if (numbered) return { into: 'array', make: null, columns, kinds: { counts, numbered } }
  const whole: number[] = []
  let start = items.length
  pairsOf(root).forEach((pair, n) => {
    whole.push(pair.own, start + pair.at)
    start += counts[n + 1] as number
  })
  return { into: 'array', make: null, columns, kinds: { counts, numbered, whole } }
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

/** The same where rows are paired by keys. */
export function gatherByKey(pairs: readonly Pair[], rows: readonly unknown[]): Values[] {
  const members = pairs.map(() => new Map<unknown, unknown[]>())
  const objects: unknown[][] = []
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n] as unknown[]
    if (row[row.length - 1] !== 0) continue
    row.pop()
    for (let list = 0; list < pairs.length; list++) {
      const key = row[(pairs[list] as Pair).own]
      const lists = members[list] as Map<unknown, unknown[]>
      let found = lists.get(key)
      if (found === undefined) lists.set(key, (found = []))
      row.push(found)
    }
    objects.push(row)
  }
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n] as unknown[]
    const kind = row[row.length - 1]
    if (typeof kind === 'number') members[kind - 1]?.get(row[(pairs[kind - 1] as Pair).at])?.push(row)
  }
  return objects
}
