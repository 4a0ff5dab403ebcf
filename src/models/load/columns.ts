// Columns inside of a condition: which there are, and the same condition with other ones in their places.
import { Column, is, SQL, sql, StringChunk } from 'drizzle-orm'
import { render } from '../../builder/drizzle/core/render.ts'
import { qualifierOf } from './source.ts'

/** Gives what stands in the place of a column, or undefined to leave it. `within` a subquery of the condition. */
export type Replace = (column: Column, within: boolean) => SQL | undefined

/** The condition with other columns, in its subqueries too. Those of tables that a subquery selects from stay as they are. */
export function withColumns(condition: SQL, replace: Replace): SQL {
  return replaced(condition, replace, false) as SQL
}

function replaced(chunk: unknown, replace: Replace, within: boolean): unknown {
  if (Array.isArray(chunk)) return replacedAll(chunk, (each) => replaced(each, replace, within))
  if (typeof chunk !== 'object' || chunk === null) return chunk
  if (is(chunk, Column)) return replace(chunk, within) ?? chunk
  // A subquery has it by its name.
  if (is(chunk, SQL.Aliased)) return within ? chunk : replaced(chunk.sql, replace, within)
  if (isBuilder(chunk)) {
    const query = chunk.getSQL()
    const made = replaced(query, replace, true)
    return made === query ? chunk : sql`(${made as SQL})`
  }
  if (!is(chunk, SQL)) return chunk
  const nesting = new Nesting()
  const ofSubquery = outsideOf(chunk, replace)
  const chunks: readonly unknown[] = chunk.queryChunks
  const made = replacedAll(chunks, (each) => {
    if (nesting.reads(each)) return each
    return nesting.isInside ? replaced(each, ofSubquery, true) : replaced(each, replace, within)
  })
  if (made === chunks) return chunk
  const other = new SQL(made as SQL[])
  return (chunk as unknown as { readonly shouldInlineParams: boolean }).shouldInlineParams
    ? other.inlineParams()
    : other
}

/** The same list where nothing in it was replaced. */
function replacedAll(chunks: readonly unknown[], replace: (chunk: unknown) => unknown): readonly unknown[] {
  const made = chunks.map(replace)
  return made.every((each, at) => each === chunks[at]) ? chunks : made
}

/** Leaves the columns of tables that a subquery selects from. */
function outsideOf(subquery: SQL, replace: Replace): Replace {
  let text: string | undefined
  return (column, within) => {
    text ??= withoutSelected(render(subquery).sql)
    return isNamed(qualifierOf(column), text) ? undefined : replace(column, within)
  }
}

/** Values may be selected under the name of a table. */
function withoutSelected(text: string): string {
  return text.replaceAll(/\bselect\b[^()]*?\bfrom\b/gi, 'from')
}

/** What follows a table in FROM. Other words are a name that the table gets there. */
const following =
  'where|on|using|join|inner|left|right|full|cross|natural|group|having|window|order|limit|offset|fetch|for|union|intersect|except|tablesample'
const unnamed = `(?!\\s*\\.|\\s+as\\s|\\s+["\`]|\\s+(?!(?:${following})\\b)[a-z_])`

/** Whether a text has a name as that of a table: neither before a column, nor before another name that the table gets there. */
function isNamed(name: string, text: string): boolean {
  const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')
  const plain = escaped.replaceAll(/["`]/g, '')
  return new RegExp(`(?:(?<!\\.)${escaped}|\\b(?:from|join)\\s+${plain}\\b)${unnamed}`, 'i').test(text)
}

/** The brackets that are open in a text of SQL, and whether a subquery stands in one of them. */
class Nesting {
  readonly #open = [false]

  get isInside(): boolean {
    return this.#open.includes(true)
  }

  /** False for what is no text. */
  reads(chunk: unknown): boolean {
    const text = textOf(chunk)
    if (text === undefined) return false
    for (const [part] of text.replaceAll(quoted, '').matchAll(/[()]|\bselect\b/gi))
      if (part === '(') this.#open.push(false)
      else if (part !== ')') this.#open[this.#open.length - 1] = true
      else if (this.#open.length > 1) this.#open.pop()
    return true
  }
}

const quoted = /'[^']*'|"[^"]*"|`[^`]*`/g

/** Of a text, as `sql.raw()` gives it too. */
function textOf(chunk: unknown): string | undefined {
  if (is(chunk, StringChunk)) return String(chunk.value)
  if (!is(chunk, SQL)) return undefined
  const texts = chunk.queryChunks.map(textOf)
  return texts.includes(undefined) ? undefined : texts.join('')
}

function isBuilder(chunk: object): chunk is { getSQL(): SQL; toSQL(): unknown } {
  const { getSQL, toSQL } = chunk as { readonly getSQL?: unknown; readonly toSQL?: unknown }
  return typeof getSQL === 'function' && typeof toSQL === 'function'
}

/** The columns of an expression, but not those of subqueries inside of it. */
export function columnsIn(chunk: unknown): Column[] {
  if (Array.isArray(chunk)) return chunk.flatMap(columnsIn)
  if (typeof chunk !== 'object' || chunk === null) return []
  if (is(chunk, Column)) return [chunk]
  if (is(chunk, SQL.Aliased)) return columnsIn(chunk.sql)
  if (!is(chunk, SQL)) return []
  const nesting = new Nesting()
  return chunk.queryChunks.flatMap((each) => (nesting.reads(each) || nesting.isInside ? [] : columnsIn(each)))
}
