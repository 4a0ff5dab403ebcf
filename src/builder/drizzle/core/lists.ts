// Lists of values in conditions: `in ($1, $2, …)` becomes `= any($1)`. Its text is the same for every length, and the limit of 65,535
// parameters does not apply. And expressions that only Drizzle can write, whose values are encoded here beforehand.
import { arrayText, plainText } from '../../../postgres/text-forms.ts'
import { type ColumnLike, encode, isArrayColumn } from './codec.ts'
import { type Chunk, chunkText, kindOf } from './kinds.ts'

const operators: Readonly<Record<string, string | undefined>> = { ' in ': ' = any(', ' not in ': ' <> all(' }

/** What stands before the array, if the text before a list is its operator. */
export function arrayOperator(before: unknown): string | undefined {
  if (kindOf(before) !== 'StringChunk') return undefined
  return operators[chunkText(before as Chunk)]
}

/** The values of a list as one array; undefined when they are not all data that an array can hold. */
export function listAsArray(list: readonly unknown[]): string | undefined {
  const values: unknown[] = []
  for (const element of list) {
    const value = kindOf(element) === 'Param' ? encoded(element as Chunk) : element
    if (!isScalar(value)) return undefined
    values.push(value)
  }
  return values.length === 0 ? undefined : arrayText(values, plainText)
}

/** Undefined for what has another form in an array. */
function encoded({ value, encoder }: Chunk): unknown {
  if (value === null) return null
  if (kindOf(value) !== 'data' || encoder.columnType === undefined) return undefined
  const column = encoder as ColumnLike
  if (/^PgJsonb?$/.test(column.columnType) || isArrayColumn(column) || column.getSQLType() === 'box') return undefined
  return encode(column, value)
}

function isScalar(value: unknown): boolean {
  if (value === null) return true
  if (typeof value !== 'object') return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
  return value instanceof Date || ArrayBuffer.isView(value)
}

/** The same expression for Drizzle to write, with lists as arrays and values as we send them. */
export function withEncoded(expression: object): object {
  if (kindOf(expression) !== 'SQL') return expression
  const { queryChunks } = expression as Chunk
  const chunks: unknown[] = []
  queryChunks.forEach((chunk, index) => {
    const operator = Array.isArray(chunk) ? arrayOperator(queryChunks[index - 1]) : undefined
    const array = operator === undefined ? undefined : listAsArray(chunk as readonly unknown[])
    if (operator === undefined || array === undefined) chunks.push(inner(chunk))
    else
      chunks.splice(
        -1,
        1,
        copy(queryChunks[index - 1] as object, { value: [operator] }),
        array,
        copy(queryChunks[index - 1] as object, { value: [')'] }),
      )
  })
  return copy(expression, { queryChunks: chunks })
}

function inner(chunk: unknown): unknown {
  if (Array.isArray(chunk)) return chunk.map(inner)
  if (typeof chunk !== 'object' || chunk === null) return chunk
  const kind = kindOf(chunk)
  if (kind === 'SQL') return withEncoded(chunk)
  if (kind !== 'Param') return chunk
  const { value, encoder } = chunk as Chunk
  if (value === null || kindOf(value) !== 'data' || encoder.columnType === undefined) return chunk
  const column = encoder as ColumnLike
  if (!needsUs(column, value)) return chunk
  const own = encode(column, value)
  return kindOf(own) === 'data' ? copy(chunk, { value: own, encoder: asItIs }) : chunk
}

/** Dates and arrays, which Drizzle writes in forms that PostgreSQL does not always read. */
function needsUs(column: ColumnLike, value: unknown): boolean {
  return value instanceof Date || isArrayColumn(column)
}

const asItIs = { mapToDriverValue: (value: unknown) => value }

function copy(of: object, change: object): object {
  return Object.assign(Object.create(Object.getPrototypeOf(of) as object) as object, of, change)
}
