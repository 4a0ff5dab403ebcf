// Keyset pagination: the rows after a place in an order. The values of the keys name the place. A cursor holds them as the server
// wrote them, so that no precision is lost on the way: a JavaScript date has milliseconds, a timestamp microseconds.
import { and, Column, eq, gt, is, isNotNull, isNull, lt, or, SQL, sql, StringChunk } from 'drizzle-orm'
import { chunkText } from '../../builder/drizzle/core/kinds.ts'
import { UsageError } from '../../errors/index.ts'
import { render, isSqlLike } from '../../builder/drizzle/core/render.ts'
import type { TypedText } from '../../sql/compiled.ts'
import type { PageKeyWords } from '../../sql/model-words.ts'
import { asTyped } from '../meta/decode.ts'
import type { Expression } from '../meta/expressions.ts'
import { isSelected } from '../meta/selected.ts'
import { columnsIn } from '../load/columns.ts'
import { Joins } from '../load/join-list.ts'
import { titleOf } from '../load/joins.ts'
import { asText, qualifierOf, type Source } from '../load/source.ts'
import { modelName } from '../meta/model-meta.ts'
import type { QueryState } from './state.ts'

/** A key as pages compare by it. */
export interface KeysetKey extends OrderKey {
  /** A column is only known not to be NULL where no join can make it so. */
  readonly nullable: boolean
  /** How its value becomes a text, and a value again. Null: it comes as text, and the server reads it. */
  readonly held: Held | null
  /** NULL stands where the server puts it by itself. */
  readonly usual: boolean
}

/**
 * The keys of the query's order, the primary key last so that no two rows are equal.
 * @throws {UsageError} without a primary key, and where an object would have several places in the order.
 */
export function keysetOf(state: QueryState): KeysetKey[] {
  const { orderBy, meta, source, model, loader } = state
  if (meta.primaryKey.length === 0)
    throw new UsageError(`Keyset pagination needs a primary key, and ${modelName(model)} has none.`)
  checkJoins(state)
  const words = source.dialect.models
  const keys = orderBy.map((by) => orderKeyOf(by, source)).map((key) => ({ ...key, by: operand(key.by) }))
  const known = new Set(keys.map(({ by }) => render(by).sql))
  const distinct = loader?.kind === 'model' ? loader.by : null
  if (distinct !== null) {
    const by = distinct.map((column) => render(column).sql)
    const whole = meta.primaryKey.every(({ key }) => by.includes(render(source.columns[key] as Column).sql))
    const foreign = columnsIn(keys.map((key) => key.by)).find((column) => qualifierOf(column) !== source.id)
    if (!whole || foreign !== undefined)
      throw new UsageError(
        `Pages of a distinct() query need objects that have one place each: ${whole ? `the order by ${render(foreign as Column).sql} gives an object one for each row that it is joined to. Order by columns of ${modelName(model)}, or by one value, as sql\`(select max(…) from … where …)\`` : `give distinct() the primary key of ${modelName(model)}, or nothing`}.`,
      )
  }
  const descending = keys.at(-1)?.descending ?? false
  for (const { key } of meta.primaryKey) {
    const by = source.columns[key] as Column
    if (!known.has(render(by).sql)) keys.push({ by, descending, nullsFirst: descending !== words.nullsFirst })
  }
  return keys.map((key) => ({
    ...key,
    nullable: meta.view || !isNeverNull(key.by, source),
    held: words.pageKeys === null ? null : heldOf(key.by, words.pageKeys),
    usual: key.nullsFirst === (key.descending !== words.nullsFirst),
  }))
}

/** @throws {UsageError} where a join gives an object several times, of which a page would end between two. */
function checkJoins({ joins, source, groupBy, loader }: QueryState): void {
  if (joins.length === 0 || groupBy.length > 0 || (loader?.kind === 'model' && loader.by !== null)) return
  const all = new Joins(source, joins)
  const several = joins.find((join) => all.hasSeveral(source, join.source.id))
  if (several === undefined) return
  const [one, other] = [titleOf(source), titleOf(several.source)]
  throw new UsageError(
    `Pages of ${one} need objects that come once, and the join gives each ${one} once for each ${other} that it has. Ask for those that have some by where(some(${one}, ${other})), or add groupBy() or distinct().`,
  )
}

function isNeverNull(by: Column | SQL, source: Source): boolean {
  return is(by, Column) && by.notNull && qualifierOf(by) === source.id
}

export function orderOf(keys: readonly KeysetKey[]): SQL[] {
  return keys.map(({ by, descending, nullsFirst, usual }) => {
    const nulls = usual ? '' : ` nulls ${nullsFirst ? 'first' : 'last'}`
    return new SQL([by, new StringChunk(`${descending ? ' desc' : ' asc'}${nulls}`)])
  })
}

interface Held {
  readonly words: PageKeyWords
  readonly column: string
  readonly declared: string
  readonly beside: readonly SQL[]
}

/** @throws {UsageError} for what is never compared exactly. */
function heldOf(by: Column | SQL, words: PageKeyWords): Held {
  const column = render(by).sql
  const declared = is(by, Column) ? by.getSQLType() : null
  const facts = words.facts(column, declared)
  return { words, column, declared: declared ?? '', beside: [sql.raw(column).mapWith(asTyped), sql.raw(facts)] }
}

/** The keys, selected beside the rows. */
export function besideOf(keys: readonly KeysetKey[], source: Source): readonly SQL[] {
  return keys.flatMap(({ by, held }) => held?.beside ?? [asText(by, source)])
}

/** The keys of a row as a cursor holds them, from what was selected beside it. */
export function placeOf(keys: readonly KeysetKey[], beside: readonly unknown[]): (string | null)[] {
  let at = 0
  return keys.map(({ held }) => {
    const value = beside[at++]
    if (held === null) return value as string | null
    const facts = beside[at++]
    return value === null ? null : held.words.write(held.column, held.declared, value as TypedText, facts)
  })
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
export function afterCondition(keys: readonly KeysetKey[], cursor: string): SQL {
  const values = readCursor(keys, cursor)
  const steps = keys.map((key, index) =>
    and(...keys.slice(0, index).map((before, at) => same(before, values[at])), beyond(key, values[index])),
  )
  return or(...steps.filter((step) => step !== undefined)) ?? sql`false`
}

function same({ by }: KeysetKey, value: unknown): SQL {
  return value === null ? isNull(by) : eq(by as SQL, typed(value))
}

function beyond({ by, descending, nullsFirst, nullable }: KeysetKey, value: unknown): SQL {
  if (value === null) return nullsFirst ? isNotNull(by) : sql`false`
  const further = descending ? lt(by as SQL, typed(value)) : gt(by as SQL, typed(value))
  return nullable && !nullsFirst ? (or(further, isNull(by)) as SQL) : further
}

/** A parameter, which the server reads as the type of what it is compared with. */
function typed(value: unknown): SQL {
  return sql`${value}`
}

const version = 1

/** Opaque, safe in a URL; it holds the keys' values and nothing else. */
export function writeCursor(keys: readonly OrderKey[], values: readonly (string | null)[]): string {
  return Buffer.from(JSON.stringify([version, fingerprint(keys), ...values])).toString('base64url')
}

/** The values of the keys. @throws {UsageError} for a text that is no cursor of this order. */
function readCursor(keys: readonly KeysetKey[], cursor: string): unknown[] {
  const parts = parse(cursor)
  const [is1, order, ...texts] = parts ?? []
  const values = keys.map(({ held }, at) => valueOf(held, texts[at]))
  if (is1 !== version || texts.length !== keys.length || values.includes(undefined))
    throw new UsageError('after() takes the cursor of a page of this query: this text is not one.', {
      clientError: true,
    })
  if (order !== fingerprint(keys))
    throw new UsageError('after() was given the cursor of another order: page on with the same orderBy().', {
      clientError: true,
    })
  return values
}

/** Undefined for what is none. */
function valueOf(held: Held | null, text: unknown): unknown {
  if (text === null) return null
  if (typeof text !== 'string') return undefined
  return held === null ? text : held.words.read(text)
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

interface OrderKey {
  readonly by: Column | SQL
  readonly descending: boolean
  readonly nullsFirst: boolean
}

const direction = /^(.*?)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?\s*$/is

/**
 * A column or expression, in `asc()` or `desc()` or with the same written behind it, and with its place of NULLs.
 * @throws {UsageError} for several keys in one expression.
 */
export function orderKeyOf(order: Column | SQL, source: Pick<Source, 'dialect'>): OrderKey {
  if (is(order, SQL) && hasSeveral(order))
    throw new UsageError(
      'An order of pages, and of distinct(), has one key in each expression: write orderBy(desc(a), b), not orderBy(sql`a desc, b`).',
    )
  const key = directed(order, source)
  return { ...key, by: withoutName(key.by) }
}

/** A condition cannot use the name that a selected expression has. */
function withoutName(by: Expression): Column | SQL {
  if (is(by, Column) || !is(by, SQL.Aliased)) return by
  return isSelected(by) ? sql`${by}` : by.sql
}

function directed(order: Column | SQL, source: Pick<Source, 'dialect'>): OrderKey {
  const { models: words, title } = source.dialect
  if (!is(order, SQL)) return { by: order, descending: false, nullsFirst: words.nullsFirst }
  const chunks = joinedTexts(order)
  if (chunks.length === 1 && isSqlLike(chunks[0])) return directed(chunks[0] as Column | SQL, source)
  const [, rest = '', way, nulls] = direction.exec(textOf(chunks.at(-1)) ?? '') ?? []
  const descending = way?.toLowerCase() === 'desc'
  if (nulls !== undefined && !words.nullsPlaced)
    throw new UsageError(
      `${title} has no "nulls ${nulls.toLowerCase()}": order by isNull(column) in front of the column instead.`,
    )
  const nullsFirst = nulls === undefined ? descending !== words.nullsFirst : nulls.toLowerCase() === 'first'
  if (way === undefined && nulls === undefined) return { by: order, descending, nullsFirst }
  const inner = chunks.slice(0, -1)
  const [only] = inner
  if (inner.length === 1 && rest === '' && isSqlLike(only)) {
    const by = only as Column | SQL
    // `asc(column) nulls first`
    return way === undefined ? { ...directed(by, source), nullsFirst } : { by, descending, nullsFirst }
  }
  return { by: sql.join([...inner.map((chunk) => sql`${chunk}`), sql.raw(rest)]), descending, nullsFirst }
}

/** Whether a comma stands outside of brackets. */
function hasSeveral(order: SQL): boolean {
  let depth = 0
  const has = (chunk: unknown): boolean => {
    if (is(chunk, SQL)) return chunk.queryChunks.some(has)
    for (const [piece] of (textOf(chunk) ?? '').replaceAll(quoted, '').matchAll(/[()[\],]/g))
      if (piece === ',' && depth === 0) return true
      else if (piece !== ',') depth += piece === '(' || piece === '[' ? 1 : -1
    return false
  }
  return has(order)
}

const quoted = /'[^']*'|"[^"]*"|`[^`]*`/g

/** The chunks, with each text in one: a direction may be `sql.raw(way)`. */
function joinedTexts(order: SQL): unknown[] {
  const chunks: unknown[] = []
  let text = ''
  const end = (): void => {
    if (text !== '') chunks.push(new StringChunk(text))
    text = ''
  }
  for (const chunk of order.queryChunks) {
    const more = textOf(chunk)
    if (more === undefined) {
      end()
      chunks.push(chunk)
    } else text += more
  }
  end()
  return chunks
}

/** The text of a chunk that is nothing else, or of SQL of such chunks. */
function textOf(chunk: unknown): string | undefined {
  if (is(chunk, SQL)) {
    const texts = chunk.queryChunks.map(textOf)
    return texts.includes(undefined) ? undefined : texts.join('')
  }
  return is(chunk, StringChunk) ? chunkText(chunk) : undefined
}
