// The commonest of Drizzle's expressions written straight to a text: columns, operators, values and what is put together of
// them. Drizzle's own way through them takes several times as long. What else there is (subqueries, views, placeholders,
// JSON) is left to Drizzle. Both versions.
import { hasMethod } from '../../../sql/foreign.ts'
import { type ColumnLike, encode } from './codec.ts'
import { type Chunk, kindOf } from './kinds.ts'
import { arrayOperator, listAsArray } from './lists.ts'
import { quoteName, type SqlLike, tableName } from './render.ts'

/** What grows: a parameter is `$n` for its place in `params`. */
export interface Growing {
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
    case 'StringChunk': {
      const { value } = chunk as Chunk
      into.text += typeof value === 'string' ? value : Array.isArray(value) ? value.join('') : ''
      return true
    }
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
      into.text += quoteName((chunk as Chunk).value as string)
      return true
    case 'Column': {
      const text = columnText(chunk as Chunk)
      into.text += text ?? ''
      return text !== undefined
    }
    case 'Param':
      return writeParam(chunk as Chunk, into)
    case 'Table': {
      const name = tableName(chunk as object)
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
  const operator = arrayOperator(before)
  const array = operator === undefined ? undefined : listAsArray(list)
  if (operator === undefined || array === undefined) return false
  into.text += operator
  place(array, into)
  into.text += ')'
  return true
}

/** JSON is written in another way by each version. */
function writeParam({ value, encoder }: Chunk, into: Growing): boolean {
  if (encoder.columnType === 'PgJsonb' || encoder.columnType === 'PgJson') return false
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
  into.params.push(value)
  into.text += `$${into.params.length}`
}

const columns = new WeakMap<object, string>()

function columnText(column: Chunk): string | undefined {
  const known = columns.get(column)
  if (known !== undefined) return known
  const table = tableName(column.table)
  if (table === undefined) return undefined
  const name = quoteName(column.name)
  const text = column.isAlias === true ? name : `${table}.${name}`
  columns.set(column, text)
  return text
}
