// The changes of an update: for each column a whole value, SQL, or members of its JSON. Written as `SET` assignments by updates
// and upserts.
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import { type Shape, shapeOf } from '../statement/ready.ts'
import type { Sink } from '../statement/sink.ts'
import { asExpression } from './expression.ts'
import { checkKeys, type Values } from './given.ts'
import { isPlainObject, type Member, writeMerge, writePatch } from './merge.ts'

export interface Change {
  readonly column: ModelColumn
  /** The whole value; undefined when only members change. */
  readonly value: unknown
  readonly expression: SqlLike | undefined
  /** Its JSON properties that change: each with its stored form, or with SQL. */
  readonly members: readonly Member[]
  /** The text depends on nothing but the shape. */
  readonly fixed: boolean
}

/**
 * In the order of the columns; empty when nothing is set. Columns that Drizzle computes on every update are added.
 * @throws {UnknownColumnError} for keys that there are not.
 */
export function changesOf(meta: ModelMeta, values: Values): Change[] {
  checkKeys(meta, values)
  const changes: Change[] = []
  const computed: ModelColumn[] = []
  for (const column of meta.columns) {
    const given = Object.hasOwn(values, column.key) ? values[column.key] : undefined
    const members = membersOf(meta, column, values)
    if (given !== undefined || members.length > 0) changes.push(changeOf(column, given, members))
    else if (column.column.onUpdateFn !== undefined) computed.push(column)
  }
  if (changes.length === 0) return changes
  if (computed.length === 0) return changes
  for (const column of computed) changes.push(changeOf(column, column.column.onUpdateFn?.(), []))
  return changes.toSorted((a, b) => a.column.index - b.column.index)
}

const none: readonly Member[] = []

function membersOf(meta: ModelMeta, column: ModelColumn, values: Values): readonly Member[] {
  const properties = meta.propertiesOf.get(column.key)
  if (properties === undefined) return none
  const members: Member[] = []
  for (const property of properties) {
    const given = Object.hasOwn(values, property.name) ? values[property.name] : undefined
    if (given === undefined) continue
    const expression = asExpression(given)
    members.push({ property, value: expression === undefined ? property.write(given) : undefined, expression })
  }
  return members
}

function changeOf(column: ModelColumn, given: unknown, members: readonly Member[]): Change {
  const expression = asExpression(given) ?? (column.isCustom ? asExpression(column.encode(given)) : undefined)
  if (members.length === 0) return { column, value: given, expression, members, fixed: expression === undefined }
  if (given === undefined || expression !== undefined)
    return { column, value: undefined, expression, members, fixed: expression === undefined && members.every(isFlat) }
  if (!isPlainObject(given))
    throw new UsageError(
      `'${column.key}' was given together with its property '${String(members[0]?.property.name)}', and is not an object that could hold it.`,
    )
  if (members.some(({ expression: sql }) => sql !== undefined))
    throw new UsageError(
      `'${column.key}' was given together with its property '${String(members[0]?.property.name)}' as SQL: set one of them.`,
    )
  const entries = members.map(({ property, value }): [string, unknown] => [property.key, value])
  const value = Object.fromEntries([...Object.entries(given), ...entries])
  return { column, value, expression: undefined, members: [], fixed: true }
}

function isFlat({ property, value, expression }: Member): boolean {
  return expression === undefined && (property.kind.merges !== true || Object(value) !== value)
}

/** Identifies the text of changes: a number where they are values alone. Null where the text depends on more than their columns. */
export function fixedShape(changes: readonly Change[]): Shape | null {
  let whole = true
  for (const { fixed, members } of changes) {
    if (!fixed) return null
    if (members.length > 0) whole = false
  }
  if (whole) return shapeOf(changes)
  return changes.map(({ column, members }) => `${column.index}${membersShape(members)}`).join()
}

/** Each member that is removed may be a parameter by itself. */
function membersShape(members: readonly Member[]): string {
  return members.length === 0 ? '' : `m${members.filter(({ value }) => value === null).length}`
}

/** The parameters of changes that are values alone. */
export function addValues(params: unknown[], changes: readonly Change[]): void {
  for (const { column, value } of changes) params.push(column.encode(value))
}

/**
 * `"name" = $1, "profile" = …`. `ofRow`: the columns that an upsert takes from the row it could not insert.
 * @throws {UsageError} for a property of a json column, which has no operators to merge.
 */
export function writeAssignments(
  sink: Sink,
  meta: ModelMeta,
  changes: readonly Change[],
  ofRow?: ReadonlySet<ModelColumn>,
): void {
  changes.forEach((change, index) => {
    const { column, value, expression, members } = change
    sink.add(`${index === 0 ? '' : ', '}${column.quoted} = `)
    if (ofRow?.has(column) === true) sink.add(meta.dialect.models.incoming(column.quoted))
    else if (members.length > 0) {
      const current = `${meta.sqlName}.${column.quoted}`
      const patch = meta.dialect.models.patch(current)
      if (patch !== null) writePatch(sink, patch, expression, members)
      else {
        checkJsonb(column, members)
        writeMerge(sink, current, expression, members)
      }
    } else if (expression !== undefined) sink.expression(expression)
    else sink.add(sink.place(column.encode(value)))
  })
}

function checkJsonb({ key, column }: ModelColumn, members: readonly Member[]): void {
  if (column.columnType === 'PgJsonb') return
  throw new UsageError(
    `The JSON property '${String(members[0]?.property.name)}' cannot be updated alone: '${key}' is a json column, which PostgreSQL cannot merge. Make it jsonb, or set '${key}' as a whole.`,
  )
}
