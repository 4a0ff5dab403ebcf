// Keyset pagination: the rows after a place in an order, told by the values of its keys. A cursor holds them as the server
// wrote them, so that no precision is lost on the way: a JavaScript date has milliseconds, a timestamp microseconds.
import { and, type Column, eq, gt, is, isNotNull, isNull, lt, or, SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import { type OrderKey, orderKeyOf } from './order.ts'
import type { QueryState } from './state.ts'

/** The keys of the query's order, the primary key last so that no two rows are equal. */
export function keysetOf({ orderBy, meta, source, model }: QueryState): OrderKey[] {
  const keys = orderBy.map(orderKeyOf)
  if (meta.primaryKey.length === 0)
    throw new UsageError(`Keyset pagination needs a primary key, and ${model.name} has none.`)
  const known = new Set(keys.map(({ by }) => render(by).sql))
  const descending = keys.at(-1)?.descending ?? false
  for (const { key } of meta.primaryKey) {
    const by = source.columns[key] as Column
    if (!known.has(render(by).sql)) keys.push({ by, descending })
  }
  return keys
}

export function orderOf(keys: readonly OrderKey[]): SQL[] {
  return keys.map(({ by, descending }) => (descending ? sql`${by} desc` : sql`${by} asc`))
}

/** The keys as text, selected beside the rows. */
export function textsOf(keys: readonly OrderKey[]): SQL<string | null>[] {
  return keys.map(({ by }) => sql<string | null>`${by}::text`)
}

/** The rows after a place. NULLs are where PostgreSQL puts them: last in an ascending order, first in a descending one. */
export function afterCondition(keys: readonly OrderKey[], values: readonly (string | null)[]): SQL {
  const steps = keys.map((key, index) =>
    and(
      ...keys.slice(0, index).map((before, at) => same(before, values[at] ?? null)),
      beyond(key, values[index] ?? null),
    ),
  )
  return or(...steps.filter((step) => step !== undefined)) ?? sql`false`
}

function same({ by }: OrderKey, value: string | null): SQL {
  return value === null ? isNull(by) : eq(by as SQL, typed(value))
}

function beyond({ by, descending }: OrderKey, value: string | null): SQL {
  if (value === null) return descending ? isNotNull(by) : sql`false`
  if (descending) return lt(by as SQL, typed(value))
  return is(by, SQL) || !by.notNull ? (or(gt(by as SQL, typed(value)), isNull(by)) as SQL) : gt(by, typed(value))
}

/** A parameter in text form, which the server reads as the type of what it is compared with. */
function typed(value: string): SQL {
  return sql`${value}`
}

const version = 1

/** Opaque, safe in a URL; it holds the keys' values and nothing else. */
export function writeCursor(keys: readonly OrderKey[], values: readonly (string | null)[]): string {
  return Buffer.from(JSON.stringify([version, fingerprint(keys), ...values])).toString('base64url')
}

/** @throws {UsageError} for a text that is no cursor of this order. */
export function readCursor(keys: readonly OrderKey[], cursor: string): (string | null)[] {
  const parts = parse(cursor)
  const [is1, order, ...values] = parts ?? []
  if (
    is1 !== version ||
    values.length !== keys.length ||
    !values.every((value) => value === null || typeof value === 'string')
  )
    throw new UsageError('after() takes the cursor of a page of this query: this text is none.')
  if (order !== fingerprint(keys))
    throw new UsageError('after() was given the cursor of another order: page on with the same orderBy().')
  return values
}

function parse(cursor: string): unknown[] | undefined {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parts) ? (parts as unknown[]) : undefined
  } catch {
    return undefined
  }
}

/** Tells orders apart without showing them. */
function fingerprint(keys: readonly OrderKey[]): string {
  let hash = 5381
  for (const { by, descending } of keys)
    for (const char of `${render(by).sql} ${descending};`) hash = ((hash * 33) ^ char.charCodeAt(0)) >>> 0
  return hash.toString(36)
}
