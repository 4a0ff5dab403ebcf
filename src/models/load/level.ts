// The rows of one FROM clause while a loader is compiled: those of the query, or those of a list. It knows the selected
// values, the one-to-one joins, and the lists that each row has.
import { type Column, is, SQL } from 'drizzle-orm'
import { render } from '../../builder/drizzle/core/render.ts'
import type { Condition } from '../query/compile/condition.ts'
import type { Expression } from '../meta/expressions.ts'
import { Places } from './instances.ts'
import type { Joins } from './join-list.ts'
import type { Relation } from './joins.ts'
import type { Source } from './source.ts'

/** A list that each row of a level has. */
export interface List {
  /** The member of the object that it is. */
  readonly key: string
  /** The rows of the list. */
  readonly level: Level
  /** The columns that are equal in a row and in its members, and the given condition. One of the two may be null. */
  readonly pairs: Relation | null
  readonly on: SQL | null
  /** The source that has the list, and the table with the columns of the list's side. */
  readonly parent: Source
  readonly child: Source
  readonly where: readonly Condition[]
  readonly orderBy: readonly (Column | SQL)[]
  /** Its rows are put in order once they are here: the server need not. */
  readonly sortsHere: boolean
  readonly limit: number | null
}

export class Level {
  readonly source: Source
  readonly joins: Joins
  readonly items: Expression[] = []
  readonly lists: List[] = []
  readonly places: Places = new Places(this.items)
  /** The name of a subquery of the rows, for SQL that cannot name their tables. */
  readonly alias: string
  readonly #names: string[] = []

  constructor(source: Source, joins: Joins, alias: string) {
    this.source = source
    this.joins = joins
    this.alias = alias
  }

  /** A list has joined the table of what has it: their columns can only be told apart when these rows are a subquery. */
  get isShadowed(): boolean {
    return this.lists.some(({ level, parent }) => level.has(parent.id))
  }

  /** Gives the place of a value that is selected. */
  add(expression: Expression): number {
    return this.items.push(expression) - 1
  }

  find(column: Column): number | undefined {
    const text = render(column).sql
    const at = this.items.findIndex((item) => !is(item, SQL.Aliased) && render(item).sql === text)
    return at < 0 ? undefined : at
  }

  /** Whether columns of that source can be named. */
  has(id: string): boolean {
    return this.joins.has(id)
  }

  /** How the subquery names a value. */
  name(at: number): string {
    for (let next = this.#names.length; next <= at; next++) {
      const item = this.items[next] as Expression
      const { dialect } = this.source
      const name = is(item, SQL.Aliased) ? dialect.quote(item.fieldAlias) : dialect.quote(`genever ${next}`)
      this.#names.push(this.#names.includes(name) ? dialect.quote(`genever ${next}`) : name)
    }
    return this.#names[at] as string
  }

  /** The value as the subquery has it. */
  outer(at: number): string {
    return `${this.alias}.${this.name(at)}`
  }
}
