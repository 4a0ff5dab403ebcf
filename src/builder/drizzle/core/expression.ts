// A fast writer for the commonest Drizzle expressions: columns, operators, values and combinations of them become text without Drizzle,
// which takes several times as long. Subqueries, views, placeholders and JSON are left to Drizzle. For both versions.
import type { Dialect } from '../../../sql/dialect.ts'
import { hasMethod } from '../../../sql/statement.ts'
import { type ColumnLike, encode } from './codec.ts'
import { type Chunk, chunkText, kindOf } from './kinds.ts'
import { arrayOperator, listAsArray } from './lists.ts'
import { declaredElsewhere, dialectOf, isJsonType, type SqlLike, tableName } from './render.ts'

/** What grows, in the words of a dialect. */
export interface Growing {
  readonly dialect: Dialect
  text: string
  readonly params: unknown[]
}

/** False: there is something in it that only Drizzle can write; nothing was added then. Throws what encoding a value throws. */
export function writeExpression(value: SqlLike, into: Growing): boolean {
  const { text } = into
  const { length } = into.params
  if (write(value, into)) return true
  into.text = text
  into.params.length = length
  return false
}

function write(chunk: unknown, into: Growing): boolean {
  if (chunk === undefined) return true
  if (Array.isArray(chunk)) return writeList(chunk, into)
  if (typeof chunk === 'function') return false
  switch (kindOf(chunk)) {
    case 'StringChunk':
      into.text += chunkText(chunk as Chunk)
      return true
    case 'SQL': {
      const { queryChunks, shouldInlineParams } = chunk as Chunk
      if (shouldInlineParams === true) return false
      for (let i = 0; i < queryChunks.length; i++) {
        if (Array.isArray(queryChunks[i + 1]) && writeArray(queryChunks[i], queryChunks[i + 1] as unknown[], into)) i++
        else if (!write(queryChunks[i], into)) return false
      }
      return true
    }
    case 'Name':
      into.text += into.dialect.quote((chunk as Chunk).value as string)
      return true
    case 'Column': {
      const known = columnText(chunk as Chunk)
      if (known === undefined) return false
      if (known.dialect.family !== into.dialect.family) throw declaredElsewhere(chunk as object, into.dialect)
      into.text += known.text
      return true
    }
    case 'Param':
      return writeParam(chunk as Chunk, into)
    case 'Table': {
      const name = tableName(chunk as object)
      if (dialectOf(chunk as object).family !== into.dialect.family)
        throw declaredElsewhere(chunk as object, into.dialect)
      into.text += name ?? ''
      return name !== undefined
    }
    case 'data':
      if (typeof chunk === 'object' && chunk !== null && hasMethod(chunk, 'getSQL')) return false
      place(chunk, into)
      return true
    case 'other':
      return false
  }
}

function writeList(chunks: readonly unknown[], into: Growing): boolean {
  into.text += '('
  for (let i = 0; i < chunks.length; i++) {
    if (i > 0) into.text += ', '
    if (!write(chunks[i], into)) return false
  }
  into.text += ')'
  return true
}

/** `in (…)` as `= any($1)`. */
function writeArray(before: unknown, list: readonly unknown[], into: Growing): boolean {
  const operator = into.dialect.models.listAsArray ? arrayOperator(before) : undefined
  const array = operator === undefined ? undefined : listAsArray(list)
  if (operator === undefined || array === undefined) return false
  into.text += operator
  place(array, into)
  into.text += ')'
  return true
}

/** JSON is written in another way by each version. */
function writeParam({ value, encoder }: Chunk, into: Growing): boolean {
  if (isJsonType(encoder.columnType)) return false
  if (kindOf(value) !== 'data') return false
  const encoded: unknown =
    value === null
      ? null
      : encoder.columnType === undefined
        ? encoder.mapToDriverValue(value)
        : encode(encoder as ColumnLike, value)
  if (kindOf(encoded) !== 'data') return false
  place(encoded, into)
  return true
}

function place(value: unknown, into: Growing): void {
  into.text += into.dialect.placeholder.text(into.params.push(value) - 1)
}

interface ColumnText {
  readonly text: string
  readonly dialect: Dialect
}

const columns = new WeakMap<object, ColumnText>()

function columnText(column: Chunk): ColumnText | undefined {
  const known = columns.get(column)
  if (known !== undefined) return known
  const table = tableName(column.table)
  if (table === undefined) return undefined
  const dialect = dialectOf(column)
  const name = dialect.quote(column.name)
  const made = { text: column.isAlias === true ? name : `${table}.${name}`, dialect }
  columns.set(column, made)
  return made
}
