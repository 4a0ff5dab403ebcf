// Of which tables in a FROM clause there is one row at most for each row of another: by the columns that conditions of joins
// compare, by the foreign keys that a loader follows, and where a loader says so by `on()`.
import { Column, is, Param, SQL, StringChunk } from 'drizzle-orm'
import { chunkText } from '../../builder/drizzle/core/kinds.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import { isView, uniqueKeys } from '../meta/table.ts'
import { columnsIn } from './columns.ts'
import { isUnique, type Join, keysOf } from './joins.ts'
import { qualifierOf, type Source } from './source.ts'

/** A column and what it is equal to in every row of a join. */
interface Equality {
  readonly column: Column
  readonly to: unknown
}

/** One row of the second for a row of the first, by the names of both. */
export type OneFor = readonly [from: string, to: string]

export class Multiplicity {
  readonly #sources: readonly Source[]
  readonly #equalities: readonly Equality[]
  readonly #declared: readonly OneFor[]

  constructor(root: Source, joins: readonly Join[], declared: readonly OneFor[]) {
    this.#sources = [root, ...joins.map(({ source }) => source)]
    this.#equalities = joins.flatMap(({ on }) => equalitiesIn(on).found)
    this.#declared = declared
  }

  /** The tables that have one row at most for each row of the source. The columns in `by` tell rows apart, too. */
  oneFor(source: Source, by: readonly Column[] = []): ReadonlySet<string> {
    const known = new Set([source.id])
    const names = by.map((column) => render(column).sql)
    const fixed = ({ column, to }: Equality): boolean => {
      const own = qualifierOf(column)
      return columnsIn(to).every((each) => {
        const id = qualifierOf(each)
        return id !== own && (known.has(id) || names.includes(render(each).sql))
      })
    }
    for (let grew = true; grew;) {
      grew = false
      for (const each of this.#sources) {
        if (known.has(each.id)) continue
        const equal = this.#equalities.filter((equality) => qualifierOf(equality.column) === each.id && fixed(equality))
        const columns = new Set(
          [...by.filter((column) => qualifierOf(column) === each.id), ...equal.map(({ column }) => column)].map(
            ({ name }) => name,
          ),
        )
        if (
          !this.#declared.some(([from, to]) => to === each.id && known.has(from)) &&
          !this.#isUnique(each, columns, known)
        )
          continue
        known.add(each.id)
        grew = true
      }
    }
    return known
  }

  #isUnique(source: Source, columns: ReadonlySet<string>, known: ReadonlySet<string>): boolean {
    if (columns.size === 0) return false
    // A subquery may have one for each; its table does not say.
    if (source.isQuery) return true
    const keys = isView(source.table) ? [] : [...uniqueKeys(source.table)]
    if (source.meta !== null && source.meta.primaryKey.length > 0)
      keys.push(source.meta.primaryKey.map(({ key }) => (source.columns[key] as Column).name))
    for (const other of this.#sources)
      if (known.has(other.id)) for (const { child } of keysOf(other, source)) keys.push(child.map(({ name }) => name))
    return keys.some((key) => key.length > 0 && key.every((name) => columns.has(name)))
  }
}

/** Whether a condition is a foreign key of the child to the parent and no more, and the key is not unique: a row has many. */
export function isManyBy(on: SQL, parent: Source, child: Source): boolean {
  if (child.isQuery) return false
  const { found, whole } = equalitiesIn(on)
  if (!whole) return false
  const pairs = new Set(found.filter(({ to }) => is(to, Column)).map(({ column, to }) => pairOf(column, to as Column)))
  return keysOf(child, parent).some(({ parent: from, child: to }) => {
    return (
      pairs.size === from.length * 2 &&
      from.every((column, at) => pairs.has(pairOf(column, to[at] as Column))) &&
      !isUnique(child, from)
    )
  })
}

function pairOf(one: Column, other: Column): string {
  return `${render(one).sql} = ${render(other).sql}`
}

interface Equalities {
  readonly found: readonly Equality[]
  /** The condition says nothing else. */
  readonly whole: boolean
}

/** Equalities that hold where a condition does. */
function equalitiesIn(condition: SQL): Equalities {
  return equalitiesOf([...tokensOf(condition)])
}

function equalitiesOf(tokens: readonly unknown[]): Equalities {
  const parts: unknown[][] = [[]]
  let open = 0
  for (const token of tokens) {
    if (token === '(') open++
    if (token === ')') open--
    if (open === 0 && typeof token === 'string' && otherwise.has(token)) return nothing
    if (open === 0 && token === 'and') parts.push([])
    else parts.at(-1)?.push(token)
  }
  if (parts.length > 1) {
    const made = parts.map(equalitiesOf)
    return { found: made.flatMap(({ found }) => found), whole: made.every(({ whole }) => whole) }
  }
  if (tokens[0] === '(' && closesAt(tokens) === tokens.length - 1) return equalitiesOf(tokens.slice(1, -1))
  const [one, sign, other] = tokens
  if (tokens.length !== 3 || sign !== '=') return nothing
  const found: Equality[] = []
  if (is(one, Column) && isOperand(other)) found.push({ column: one, to: other })
  if (is(other, Column) && isOperand(one)) found.push({ column: other, to: one })
  return { found, whole: found.length === 2 }
}

const nothing: Equalities = { found: [], whole: false }
/** Words beside which an AND does not say that both sides hold. */
const otherwise = new Set(['or', 'xor', 'between', 'case'])

/** A column, or a value that is the same for all rows. */
function isOperand(token: unknown): boolean {
  return (
    is(token, Column) || is(token, Param) || (typeof token === 'string' && /^(?:'|\d+$|(?:true|false)$)/.test(token))
  )
}

/** Where the bracket closes that the tokens begin with. */
function closesAt(tokens: readonly unknown[]): number {
  let open = 0
  return tokens.findIndex((token) => {
    if (token === '(') open++
    if (token === ')') open--
    return open === 0
  })
}

/** The words and signs of a condition, and what stands between them. */
function* tokensOf(chunk: unknown): Generator {
  if (is(chunk, StringChunk))
    for (const [token] of chunkText(chunk).matchAll(/'(?:[^']|'')*'|"[^"]*"|`[^`]*`|\w+|\S/g)) yield token.toLowerCase()
  else if (is(chunk, SQL)) for (const each of chunk.queryChunks) yield* tokensOf(each)
  else yield chunk
}
