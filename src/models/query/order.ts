// ORDER BY as Drizzle writes it, taken apart: keyset pagination compares by the same keys in the same directions.
import { type Column, is, SQL, sql, StringChunk } from 'drizzle-orm'
import { isSqlLike } from '../../builder/drizzle/core/render.ts'

export interface OrderKey {
  readonly by: Column | SQL
  readonly descending: boolean
  readonly nullsFirst: boolean
}

const direction = /^(.*?)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?\s*$/is

/** A column or expression, in `asc()` or `desc()` or with the same written behind it, and with its place of NULLs. */
export function orderKeyOf(order: Column | SQL): OrderKey {
  if (!is(order, SQL)) return { by: order, descending: false, nullsFirst: false }
  const chunks = order.queryChunks.filter((chunk) => textOf(chunk) !== '')
  const [, rest = '', way, nulls] = direction.exec(textOf(chunks.at(-1)) ?? '') ?? []
  const descending = way?.toLowerCase() === 'desc'
  const nullsFirst = nulls === undefined ? descending : nulls.toLowerCase() === 'first'
  if (way === undefined && nulls === undefined) return { by: order, descending, nullsFirst }
  const inner = chunks.slice(0, -1)
  const [only] = inner
  if (inner.length === 1 && rest === '' && isSqlLike(only)) {
    const by = only as Column | SQL
    // `asc(column) nulls first`
    return way === undefined ? { ...orderKeyOf(by), nullsFirst } : { by, descending, nullsFirst }
  }
  return { by: sql.join([...inner.map((chunk) => sql`${chunk}`), sql.raw(rest)]), descending, nullsFirst }
}

/** The text of a chunk that is nothing else: a list of strings on 0.45, a string on 1.0. */
function textOf(chunk: unknown): string | undefined {
  if (!is(chunk, StringChunk)) return undefined
  const value: unknown = chunk.value
  return Array.isArray(value) ? value.join('') : String(value)
}
