// ON CONFLICT: the unique key that decides, and what changes in a row that is there. Columns stand in it without their table,
// and its condition without parameters: PostgreSQL compares it with that of the index before it knows any value.
import { Column, is } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { expression } from '../../schema/text/literal.ts'
import { describeType } from '../../util/options.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { partialKey, uniqueKeys } from '../meta/table.ts'
import { unknownKeys } from '../query/compile/condition.ts'
import type { Writer } from '../statement/sink.ts'
import type { ConflictTarget } from '../types/model.ts'
import { type Change, writeAssignments } from '../values/changes.ts'
import { asExpression } from '../values/expression.ts'

/** A unique key, as an upsert decides by it. */
export interface Target {
  /** Its columns; its expressions are only in the text. */
  readonly columns: readonly ModelColumn[]
  /** Columns that need a value. */
  readonly needed: readonly ModelColumn[]
  /** ` on conflict ("email") where …`. */
  readonly text: string
  /** @throws {UsageError} when another key may decide for a row with these columns. */
  check(given: ReadonlySet<ModelColumn>): void
}

/**
 * The key that was named, else the primary key. One that is unique only for some rows brings the condition it was declared with.
 * @throws {UnknownColumnError} for a column the table has not.
 * @throws {UsageError} when there is no key, or the condition is none.
 */
export function targetOf(
  model: ModelLike,
  meta: ModelMeta,
  { target, targetWhere }: ConflictTarget<string>,
  method: string,
): Target {
  if (target !== undefined && !Array.isArray(target))
    throw new UsageError(`The target of ${method} is a list of keys, such as ['email'], not ${describeType(target)}.`)
  if (target === undefined && targetWhere !== undefined)
    throw new UsageError(`targetWhere of ${method} needs a target: the columns of the partial unique index.`)
  if (!meta.dialect.models.namesKey) return anyKey(model, meta, { target, targetWhere }, method)
  const elements = target === undefined ? meta.primaryKey : target.map((element) => elementOf(meta, element, method))
  if (elements.length === 0)
    throw new UsageError(`${method} of ${modelName(model)} needs a target: the columns of a unique key.`)
  const columns = elements.filter((element) => typeof element !== 'string')
  const where =
    targetWhere ?? (columns.length === elements.length ? partialKey(meta.table, columns, method) : undefined)
  const names = elements.map((element) => (typeof element === 'string' ? `(${element})` : element.quoted))
  const text = ` on conflict (${names.join(', ')})${where === undefined ? '' : ` where ${whereOf(where)}`}`
  return { columns, needed: columns, text, check: nothing }
}

const nothing = (): void => {}

/**
 * Where each unique key of the table decides: a target is taken only where it is the only one that can. A key that the database numbers
 * cannot, as long as a row has no value for it.
 */
function anyKey(
  model: ModelLike,
  meta: ModelMeta,
  { target, targetWhere }: ConflictTarget<string>,
  method: string,
): Target {
  if (targetWhere !== undefined)
    throw new UsageError(
      `${meta.dialect.title} has no unique keys of some rows alone: leave out targetWhere of ${method}.`,
    )
  if (target === undefined) return { columns: meta.primaryKey, needed: [], text: '', check: nothing }
  const columns = target.map((element) => elementOf(meta, element, method)).filter((each) => typeof each !== 'string')
  const names = new Set(columns.map(({ name }) => name))
  const keys = uniqueKeys(meta.table)
  const isTarget = (key: readonly string[]): boolean =>
    key.length === names.size && key.every((name) => names.has(name))
  if (columns.length !== target.length || !keys.some(isTarget))
    throw new UsageError(
      `The target of ${method} is no unique key that ${modelName(model)} declares: name the columns of one.`,
    )
  const others = keys.filter((key) => !isTarget(key))
  const check = (given: ReadonlySet<ModelColumn>): void => {
    const deciding = others.find((key) => {
      const [first] = key.map((name) => meta.columns.find((column) => column.name === name))
      return key.length > 1 || first === undefined || given.has(first) || !first.isNumbered
    })
    if (deciding !== undefined)
      throw new UsageError(
        `${method} cannot decide by ${[...names].join(', ')} alone: on ${meta.dialect.title} each unique key decides, and ${modelName(model)} has one of ${deciding.join(', ')} too. Leave out the target if any of them may decide.`,
      )
  }
  return { columns, needed: columns, text: '', check }
}

/** Writes that every conflict is ignored, or those of one key. */
export function ignoring(
  model: ModelLike,
  meta: ModelMeta,
  target: ConflictTarget<string>,
  method: string,
): (writer: Writer) => void {
  const given = target.target !== undefined || target.targetWhere !== undefined
  const text = given ? targetOf(model, meta, target, method).text : ' on conflict'
  return (writer) => void writer.add(`${text} do nothing`)
}

/** The target of an insert that leaves out rows that are there, where each unique key decides. Throws as `targetOf`. */
export function checkTarget(
  model: ModelLike,
  meta: ModelMeta,
  target: ConflictTarget<string>,
  cells: readonly { readonly column: ModelColumn }[],
  method: string,
): void {
  targetOf(model, meta, target, method).check(new Set(cells.map(({ column }) => column)))
}

/** With nothing to change a key is set to itself: only an update gives the row that is there. */
export function writeUpdate(
  writer: Writer,
  meta: ModelMeta,
  { columns, text }: Target,
  { changes, ofRow }: { readonly changes: readonly Change[]; readonly ofRow: ReadonlySet<ModelColumn> },
): void {
  writer.add(`${text}${meta.dialect.models.onConflict}`)
  if (changes.length > 0) {
    writeAssignments(writer, meta, changes, ofRow)
    return
  }
  const { quoted } = (columns[0] ?? meta.columns.find(({ readOnly }) => !readOnly)) as ModelColumn
  writer.add(`${quoted} = ${meta.sqlName}.${quoted}`)
}

/** A column, or the text of an expression. */
function elementOf(meta: ModelMeta, element: unknown, method: string): ModelColumn | string {
  if (is(element, Column)) {
    const found = meta.columns.find(({ name }) => name === element.name)
    if (found !== undefined) return found
    throw unknownKeys(meta, [element.name], [...meta.byKey.keys()])
  }
  const sql = asExpression(element)
  if (sql !== undefined) return expression(sql, 'indexes')
  if (typeof element !== 'string')
    throw new UsageError(`The target of ${method} is a list of keys or SQL, not ${describeType(element)}.`)
  const column = meta.byKey.get(element)
  if (column === undefined) throw unknownKeys(meta, [element], [...meta.byKey.keys()])
  return column
}

function whereOf(where: unknown): string {
  const sql = is(where, Column) ? undefined : asExpression(where)
  if (sql === undefined)
    throw new UsageError(
      `targetWhere is the condition of a partial unique index, such as isNull(User.c.deletedAt), not ${describeType(where)}.`,
    )
  return expression(sql, 'indexes')
}
