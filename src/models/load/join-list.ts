// The FROM clause of a query: its table, the joins it was given, and those its loader needs.
import type { Column, SQL, Table } from 'drizzle-orm'
import { render } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { SqlText } from '../meta/sql-text.ts'
import { conditionOfRelation, type Relation, relationOf, relationOfOne } from './joins.ts'
import type { ModelNode } from './node.ts'
import { qualifierOf, type Source, sourceOf } from './source.ts'

export interface Join {
  readonly kind: 'left' | 'inner'
  readonly source: Source
  readonly on: SQL
}

/**
 * With one more. What several functions join by the same condition is one join, an inner one if any of them asks for that.
 * @throws {UsageError} when the query has that table already, by another condition or as its own.
 */
export function joined(
  { source: root, joins }: { readonly source: Source; readonly joins: readonly Join[] },
  join: Join,
): readonly Join[] {
  const { id } = join.source
  const at = joins.findIndex(({ source }) => source.id === id)
  const known = joins[at]
  if (id === root.id || (known !== undefined && !equal(known.on, join.on)))
    throw new UsageError(
      `${id} is in the query already${known === undefined ? '' : ', joined by another condition'}: join an alias('name') of it.`,
    )
  if (known === undefined) return [...joins, join]
  return known.kind === join.kind || join.kind === 'left' ? joins : joins.with(at, join)
}

function equal(one: SQL, other: SQL): boolean {
  if (one === other) return true
  const [first, second] = [render(one), render(other)]
  return (
    first.sql === second.sql &&
    first.params.length === second.params.length &&
    first.params.every((param, index) => Object.is(param, second.params[index]))
  )
}

export class Joins {
  readonly #root: Source
  readonly #given: readonly Join[]
  readonly #joins: Join[]
  /** Sources a loader reads into objects; each at one place only. */
  readonly #loaded = new Set<string>()
  /** How many lists are joined: with one, rows are more than objects. */
  lists = 0

  constructor(root: Source, given: readonly Join[]) {
    this.#root = root
    this.#given = given
    this.#joins = [...given]
  }

  /** Whether the query itself was given joins. */
  get given(): readonly Join[] {
    return this.#given
  }

  /**
   * Joins what a loader reads; `member` is the name under which an object of the parent has it, null where rows have it.
   * @throws {UsageError} when the same source is loaded at two places, or many are loaded as one.
   */
  add({ source, on }: ModelNode, parent: Source, many: boolean, member: string | null): void {
    if (many) this.lists++
    if (this.#loaded.has(source.id))
      throw new UsageError(`${source.id} is loaded at two places: use alias('name') for one of them.`)
    this.#loaded.add(source.id)
    if (this.#has(source.id)) return
    const relation = (): Relation =>
      many || member === null ? relationOf(parent, source, many) : relationOfOne(parent, source, member)
    this.#joins.push({ kind: 'left', source, on: on ?? conditionOfRelation(relation()) })
  }

  /** Joins the table of a column that is selected by itself. @throws {UsageError} as `add`. */
  need(column: Column, member: string | null): void {
    const id = qualifierOf(column)
    if (this.#has(id)) return
    const { table } = column as unknown as { readonly table: Table }
    const source = sourceOf(table)
    if (source.id !== id) throw new UsageError(`${id} is not in the query: join it.`)
    const relation = member === null ? relationOf(this.#root, source, false) : relationOfOne(this.#root, source, member)
    this.#joins.push({ kind: 'left', source, on: conditionOfRelation(relation) })
  }

  write(text: SqlText): void {
    text.add(' from ')
    this.#root.write(text)
    for (const { kind, source, on } of this.#joins) {
      text.add(kind === 'left' ? ' left join ' : ' inner join ')
      source.write(text)
      text.add(' on ').sql(on)
    }
  }

  /** Whether the text has a column of what is joined. */
  named(text: string): boolean {
    return this.#joins.some(({ source }) => text.includes(`${source.id}.`))
  }

  #has(id: string): boolean {
    return id === this.#root.id || this.#joins.some(({ source }) => source.id === id)
  }
}
