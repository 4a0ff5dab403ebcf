// Columns inside of a condition: which there are, and the same condition with other ones in their places.
import { Column, is, Name, SQL, sql, StringChunk, Subquery, Table, View } from 'drizzle-orm'
import { chunkText } from '../../builder/drizzle/core/kinds.ts'
import { quoteName, tableName, viewName } from '../../builder/drizzle/core/render.ts'
import { isSelected } from '../meta/selected.ts'
import { type Place, Scopes } from '../meta/scopes.ts'
import { qualifierOf } from './source.ts'

/** Gives what stands in the place of a column, or undefined to leave it. `within` a subquery of the condition. */
export type Replace = (column: Column, within: boolean) => SQL | undefined

/** The condition with other columns, in its subqueries too. Those of tables that a subquery selects from stay as they are. */
export function withColumns(condition: SQL, replace: Replace): SQL {
  const found = new Walk().through(condition)
  const others = found.map(({ column, place }) =>
    column === null || place.has(qualifierOf(column)) ? undefined : replace(column, place.isInside),
  )
  if (others.every((other) => other === undefined) && !found.some(({ opens }) => opens)) return condition
  let at = 0
  return replaced(condition, () => {
    const { opens } = found[at] as Found
    return { other: others[at++], opens }
  }) as SQL
}

/** The columns of an expression, but not those of subqueries inside of it. */
export function columnsIn(expression: unknown): Column[] {
  const columns: Column[] = []
  for (const { column, place } of new Walk().through(expression))
    if (column !== null && !place.isInside) columns.push(column)
  return columns
}

/** A column, or an expression with a name: whether its own columns are found behind it. */
interface Found {
  readonly column: Column | null
  readonly place: Place
  readonly opens: boolean
}

/** Goes through an expression in the order in which it is written. */
class Walk {
  readonly #found: Found[] = []
  readonly #scopes = new Scopes()

  through(expression: unknown): readonly Found[] {
    this.#visit(expression)
    return this.#found
  }

  #visit(chunk: unknown): void {
    const scopes = this.#scopes
    if (Array.isArray(chunk)) this.#inBrackets(chunk)
    else if (typeof chunk !== 'object' || chunk === null) scopes.skip()
    else if (is(chunk, Column)) {
      this.#found.push({ column: chunk, place: scopes.place, opens: false })
      scopes.skip()
    } else if (is(chunk, StringChunk)) scopes.read(chunkText(chunk))
    else if (is(chunk, SQL)) for (const each of chunk.queryChunks) this.#visit(each)
    else if (is(chunk, SQL.Aliased)) this.#visitNamed(chunk)
    else if (is(chunk, Table)) scopes.read(tableName(chunk) ?? '')
    else if (is(chunk, View)) scopes.read(viewName(chunk) ?? '')
    else if (is(chunk, Subquery)) {
      const { sql: query, alias, isWith } = chunk._
      if (!isWith) this.#inBrackets([query])
      scopes.read(quoteName(alias))
    } else if (is(chunk, Name)) scopes.read(quoteName(chunk.value))
    else if (isBuilder(chunk)) this.#inBrackets([chunk.getSQL()])
    else scopes.skip()
  }

  #inBrackets(chunks: readonly unknown[]): void {
    this.#scopes.read('(')
    chunks.forEach((each, at) => {
      if (at > 0) this.#scopes.read(',')
      this.#visit(each)
    })
    this.#scopes.read(')')
  }

  /** Subqueries, and what selects from one, have it by its name. */
  #visitNamed(chunk: SQL.Aliased): void {
    const { place } = this.#scopes
    const opens = !place.isInside && !isSelected(chunk)
    this.#found.push({ column: null, place, opens })
    if (opens) this.#visit(chunk.sql)
    else this.#scopes.read(quoteName(chunk.fieldAlias))
  }
}

type Next = () => { readonly other: SQL | undefined; readonly opens: boolean }

function replaced(chunk: unknown, next: Next): unknown {
  if (Array.isArray(chunk)) return replacedAll(chunk, next)
  if (typeof chunk !== 'object' || chunk === null) return chunk
  if (is(chunk, Column)) return next().other ?? chunk
  if (is(chunk, SQL.Aliased)) return next().opens ? replaced(chunk.sql, next) : chunk
  if (is(chunk, Subquery)) return replacedSubquery(chunk, next)
  if (!is(chunk, SQL)) {
    if (!isBuilder(chunk) || is(chunk, Table) || is(chunk, View)) return chunk
    const query = chunk.getSQL()
    const made = replaced(query, next)
    return made === query ? chunk : sql`(${made as SQL})`
  }
  const chunks: readonly unknown[] = chunk.queryChunks
  const made = replacedAll(chunks, next)
  if (made === chunks) return chunk
  const other = new SQL(made as SQL[])
  return (chunk as unknown as { readonly shouldInlineParams: boolean }).shouldInlineParams
    ? other.inlineParams()
    : other
}

function replacedSubquery(chunk: Subquery, next: Next): unknown {
  const { sql: query, alias, isWith } = chunk._
  if (isWith) return chunk
  const made = replaced(query, next)
  return made === query ? chunk : sql`(${made as SQL}) ${sql.identifier(alias)}`
}

/** The same list where nothing in it was replaced. */
function replacedAll(chunks: readonly unknown[], next: Next): readonly unknown[] {
  const made = chunks.map((each) => replaced(each, next))
  return made.every((each, at) => each === chunks[at]) ? chunks : made
}

function isBuilder(chunk: object): chunk is { getSQL(): SQL; toSQL(): unknown } {
  const { getSQL, toSQL } = chunk as { readonly getSQL?: unknown; readonly toSQL?: unknown }
  return typeof getSQL === 'function' && typeof toSQL === 'function'
}
