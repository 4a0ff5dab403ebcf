// Keyset pagination: the rows after a place in an order, told by the values of its keys. A cursor holds them as the server
// wrote them, so that no precision is lost on the way: a JavaScript date has milliseconds, a timestamp microseconds.
import { and, Column, eq, gt, is, isNotNull, isNull, lt, or, SQL, sql, StringChunk } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import { type OrderKey, orderKeyOf } from './order.ts'
import { qualifierOf, type Source } from '../load/source.ts'
import { modelName } from '../meta/model-meta.ts'
import type { QueryState } from './state.ts'

/** A key as pages compare by it. */
export interface KeysetKey extends OrderKey {
  /** A column is only known not to be NULL where no join can make it so. */
  readonly nullable: boolean
}

/** The keys of the query's order, the primary key last so that no two rows are equal. */
export function keysetOf({ orderBy, meta, source, model }: QueryState): KeysetKey[] {
  if (meta.primaryKey.length === 0)
    throw new UsageError(`Keyset pagination needs a primary key, and ${modelName(model)} has none.`)
  const keys = orderBy.map(orderKeyOf).map((key) => ({ ...key, by: operand(key.by) }))
  const known = new Set(keys.map(({ by }) => render(by).sql))
  const descending = keys.at(-1)?.descending ?? false
  for (const { key } of meta.primaryKey) {
    const by = source.columns[key] as Column
    if (!known.has(render(by).sql)) keys.push({ by, descending, nullsFirst: descending })
  }
  return keys.map((key) => ({ ...key, nullable: meta.view || !isNeverNull(key.by, source) }))
}

function isNeverNull(by: Column | SQL, source: Source): boolean {
  return is(by, Column) && by.notNull && qualifierOf(by) === source.id
}

export function orderOf(keys: readonly OrderKey[]): SQL[] {
  return keys.map(({ by, descending, nullsFirst }) => {
    const nulls = nullsFirst === descending ? '' : ` nulls ${nullsFirst ? 'first' : 'last'}`
    return new SQL([by, new StringChunk(`${descending ? ' desc' : ' asc'}${nulls}`)])
  })
}

/** The keys as text, selected beside the rows. */
export function textsOf(keys: readonly OrderKey[]): SQL<string | null>[] {
  return keys.map(({ by }) => sql<string | null>`${by}::text`)
}

const bracketed = new WeakSet<object>()

/** An expression may end in an operator or begin with one: it stands in brackets, whatever is put beside it. */
function operand(by: Column | SQL): Column | SQL {
  if (is(by, Column) || bracketed.has(by)) return by
  const made = sql`(${by})`
  bracketed.add(made)
  return made
}

/** The rows after a place. */
export function afterCondition(keys: readonly KeysetKey[], values: readonly (string | null)[]): SQL {
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

function beyond({ by, descending, nullsFirst, nullable }: KeysetKey, value: string | null): SQL {
  if (value === null) return nullsFirst ? isNotNull(by) : sql`false`
  const further = descending ? lt(by as SQL, typed(value)) : gt(by as SQL, typed(value))
  return nullable && !nullsFirst ? (or(further, isNull(by)) as SQL) : further
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
    throw new UsageError('after() takes the cursor of a page of this query: this text is none.', { clientError: true })
  if (order !== fingerprint(keys))
    throw new UsageError('after() was given the cursor of another order: page on with the same orderBy().', {
      clientError: true,
    })
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
  for (const { by, descending, nullsFirst } of keys) {
    const { sql: text, params } = render(by)
    for (const char of `${text} ${descending}${nullsFirst === descending ? '' : ' nulls'} ${params.map(String).join()};`)
      hash = ((hash * 33) ^ char.charCodeAt(0)) >>> 0
  }
  return hash.toString(36)
}
