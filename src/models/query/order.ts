// ORDER BY as Drizzle writes it, taken apart: keyset pagination compares by the same keys in the same directions.
import { type Column, is, SQL, StringChunk } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { isSqlLike } from '../../builder/drizzle/core/render.ts'

export interface OrderKey {
  readonly by: Column | SQL
  readonly descending: boolean
}

/** A column or expression, or one in `asc()` or `desc()`. @throws {UsageError} for other orders, such as NULLS FIRST. */
export function orderKeyOf(order: Column | SQL): OrderKey {
  if (!is(order, SQL)) return { by: order, descending: false }
  const chunks = order.queryChunks.filter((chunk) => textOf(chunk) !== '')
  const last = textOf(chunks.at(-1))?.trim().toLowerCase()
  if (last === undefined || (last !== 'asc' && last !== 'desc')) {
    if (last !== undefined && /\bnulls\b/.test(last))
      throw new UsageError('Keyset pagination needs the default place of NULLs in orderBy().')
    return { by: order, descending: false }
  }
  const [inner] = chunks
  if (chunks.length !== 2 || !isSqlLike(inner))
    throw new UsageError('Keyset pagination needs orderBy() of columns or expressions, plain or in asc() or desc().')
  return { by: inner as Column | SQL, descending: last === 'desc' }
}

/** The text of a chunk that is nothing else: a list of strings on 0.45, a string on 1.0. */
function textOf(chunk: unknown): string | undefined {
  if (!is(chunk, StringChunk)) return undefined
  const value: unknown = chunk.value
  return Array.isArray(value) ? value.join('') : String(value)
}
