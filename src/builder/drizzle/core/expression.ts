// The commonest of Drizzle's expressions written straight to a text: columns, operators, values and what is put together of
// them. Drizzle's own way through them takes several times as long. What else there is (subqueries, views, placeholders,
// JSON) is left to Drizzle. Both versions.
import { hasMethod } from '../../../sql/foreign.ts'
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

const kinds = ['StringChunk', 'SQL', 'Name', 'Column', 'Param', 'Table', 'other'] as const
/** `data` is no class of Drizzle's. */
type Kind = (typeof kinds)[number] | 'data'

interface Chunk {
  readonly value: unknown
  readonly queryChunks: readonly unknown[]
  readonly shouldInlineParams?: boolean
  readonly encoder: Encoder
  readonly name: string
  readonly table: object
  readonly isAlias?: boolean
}

interface Encoder {
  readonly columnType?: string
  mapToDriverValue(value: unknown): unknown
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
      for (let i = 0; i < queryChunks.length; i++) if (!write(queryChunks[i], into)) return false
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

/** JSON is written in another way by each version. */
function writeParam({ value, encoder }: Chunk, into: Growing): boolean {
  if (encoder.columnType === 'PgJsonb' || encoder.columnType === 'PgJson') return false
  if (kindOf(value) !== 'data') return false
  const encoded: unknown = value === null ? null : encoder.mapToDriverValue(value)
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

const entityKind = Symbol.for('drizzle:entityKind')
const classes = new WeakMap<object, Kind>()

function kindOf(value: unknown): Kind {
  if (typeof value !== 'object' || value === null) return 'data'
  // Subqueries are proxies, which hide what they are from all but this.
  const prototype = Object.getPrototypeOf(value) as { readonly constructor?: unknown } | null
  const constructor = prototype?.constructor
  if (typeof constructor !== 'function') return 'data'
  let kind = classes.get(constructor)
  if (kind === undefined) {
    kind = kindOfClass(constructor)
    classes.set(constructor, kind)
  }
  return kind
}

function kindOfClass(given: object): Kind {
  let kind: Kind = 'data'
  for (let of: object | null = given; of !== null; of = Object.getPrototypeOf(of) as object | null) {
    if (!Object.hasOwn(of, entityKind)) continue
    const name = (of as Record<symbol, unknown>)[entityKind]
    const found = kinds.find((each) => each === name)
    if (found !== undefined) return found
    kind = 'other'
  }
  return kind
}
