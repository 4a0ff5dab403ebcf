// The FROM clause of a query: its table, the joins it was given, and those its loader needs.
import type { Column, SQL, Table } from 'drizzle-orm'
import { render } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { SqlText } from '../meta/sql-text.ts'
import { sqlNameOf } from '../meta/table.ts'
import { columnsIn } from './columns.ts'
import { conditionOfRelation, type Join, type Relation, relationOf, relationOfOne, severalAsOne } from './joins.ts'
import { isManyBy, Multiplicity, type OneFor } from './multiplicity.ts'
import type { ModelNode } from './node.ts'
import { qualifierOf, type Source, sourceOf } from './source.ts'

/**
 * The joins with one more. If several methods join a table by the same condition, that is one join; an inner one if any asks for that.
 * @throws {UsageError} when the query has that table already, by another condition or as its own.
 */
export function joined(
  { source: root, joins }: { readonly source: Source; readonly joins: readonly Join[] },
  join: Join,
): readonly Join[] {
  const { id } = join.source
  const at = joins.findIndex(({ source }) => source.id === id)
  const known = joins[at]
  if (known !== undefined) checkSame(known.source, join.source)
  if (id === root.id || (known !== undefined && !equal(known.on, join.on)))
    throw new UsageError(
      `${id} is in the query already${known === undefined ? '' : ', joined by another condition'}: join an alias('name') of it.`,
    )
  if (known === undefined) return [...joins, join]
  return known.kind === join.kind || join.kind === 'left' ? joins : joins.with(at, join)
}

/** The table between the two of a relation of many to many, joined to the rows of the list. */
export function linkOf(child: Source, through: Source): Join {
  return { kind: 'inner', source: through, on: conditionOfRelation(relationOf(child, through)) }
}

/** @throws {UsageError} for two tables that were given one name. */
function checkSame(known: Source, other: Source): void {
  if (known.isQuery === other.isQuery && sqlNameOf(known.table) === sqlNameOf(other.table)) return
  throw new UsageError(`Two tables of the query have the name ${known.id}: give one of them another alias('name').`)
}

function equal(one: SQL, other: SQL): boolean {
  if (one === other) return true
  const [first, second] = [render(one), render(other)]
  return (
    (first.sql === second.sql || first.sql === turned(second.sql)) &&
    first.params.length === second.params.length &&
    first.params.every((param, index) => Object.is(param, second.params[index]))
  )
}

/** The text of two columns that are equal, the other one first. Each other text as it is. */
function turned(text: string): string {
  return text.replace(
    /^((?:\.?(?:"[^"]+"|`[^`]+`))+) = ((?:\.?(?:"[^"]+"|`[^`]+`))+)$/,
    (_, one: string, other: string) => `${other} = ${one}`,
  )
}

export class Joins {
  readonly #root: Source
  readonly #joins: Join[]
  /** Sources a loader reads into objects; each at one place only. */
  readonly #loaded = new Set<string>()
  /** Pairs of tables of which a loader says that one object of the first has one of the second. */
  readonly #declared: OneFor[] = []

  /** The tables that were joined before any loader was asked. */
  readonly given: readonly Source[]

  constructor(root: Source, given: readonly Join[]) {
    this.#root = root
    this.#joins = [...given]
    this.given = given.map(({ source }) => source)
  }

  /**
   * Joins the source of a loader. `member` is the name under which an object of the parent has it, null if rows have it.
   * @throws {UsageError} when the same source is loaded at two places or joined by two conditions, or several objects are loaded as one.
   */
  add({ source, on }: ModelNode, parent: Source, member: string | null): void {
    if (this.#loaded.has(source.id))
      throw new UsageError(`${source.id} is loaded at two places: use alias('name') for one of them.`)
    this.#loaded.add(source.id)
    if (member !== null && (on === null ? !this.has(source.id) : !isManyBy(on, parent, source)))
      this.#declared.push([parent.id, source.id])
    if (this.has(source.id)) {
      this.#check(source, on)
      if (member !== null && on === null && this.hasSeveral(parent, source.id))
        throw severalAsOne(parent, source, member)
      return
    }
    const relation = (): Relation =>
      member === null ? relationOf(parent, source) : relationOfOne(parent, source, member)
    this.#joins.push({ kind: 'left', source, on: on ?? conditionOfRelation(relation()) })
  }

  #check(given: Source, on: SQL | null): void {
    const { id } = given
    const known = this.#joins.find(({ source }) => source.id === id)
    checkSame(known?.source ?? this.#root, given)
    if (on === null || (known !== undefined && equal(known.on, on))) return
    throw new UsageError(
      known === undefined
        ? `${id} is the table of the query: on() has nothing to join. Use where(), or an alias('name') of it.`
        : `${id} is in the query already, joined by another condition than on() has: use alias('name') for one of them.`,
    )
  }

  /** Joins the table of a column that is selected by itself. @throws {UsageError} as `add`. */
  need(column: Column, member: string | null): void {
    const id = qualifierOf(column)
    if (this.has(id)) return
    const { table } = column as unknown as { readonly table: Table }
    const source = sourceOf(table)
    if (source.id !== id) throw new UsageError(`${id} is not in the query: join it.`)
    const relation = member === null ? relationOf(this.#root, source) : relationOfOne(this.#root, source, member)
    this.#joins.push({ kind: 'left', source, on: conditionOfRelation(relation) })
    if (member !== null) this.#declared.push([this.#root.id, id])
  }

  /** Whether a foreign key that the query joins by has several rows of a table for one row of another. */
  hasSeveral(parent: Source, id: string): boolean {
    const at = this.#joins.findIndex(({ source }) => source.id === id)
    const join = this.#joins[at]
    if (join === undefined || this.multiplicity.oneFor(parent).has(id)) return false
    const before = [this.#root, ...this.#joins.slice(0, at).map(({ source }) => source)]
    return (
      before.some((each) => isManyBy(join.on, each, join.source)) ||
      columnsIn(join.on).some((column) => {
        const other = qualifierOf(column)
        return before.some((each) => each.id === other) && this.hasSeveral(parent, other)
      })
    )
  }

  get multiplicity(): Multiplicity {
    return new Multiplicity(this.#root, this.#joins, this.#declared)
  }

  /** The table that columns with that qualifier are of. */
  find(id: string): Source | undefined {
    return id === this.#root.id ? this.#root : this.#joins.find(({ source }) => source.id === id)?.source
  }

  write(text: SqlText): void {
    this.writeFrom(text.add(' from '))
  }

  /** Writes one operand of a join: in brackets, where it is several tables. */
  writeOperand(text: SqlText): void {
    if (!this.any) this.writeFrom(text)
    else {
      this.writeFrom(text.add('('))
      text.add(')')
    }
  }

  /** Writes the text after FROM. */
  writeFrom(text: SqlText): void {
    text.sql(this.#root.from)
    for (const { kind, source, on } of this.#joins) {
      text.add(kind === 'left' ? ' left join ' : ' inner join ')
      text.sql(source.from)
      text.add(' on ').sql(on)
    }
  }

  get conditions(): readonly SQL[] {
    return this.#joins.map(({ on }) => on)
  }

  /** Whether there is another table than that. */
  get any(): boolean {
    return this.#joins.length > 0
  }

  has(id: string): boolean {
    return id === this.#root.id || this.#joins.some(({ source }) => source.id === id)
  }
}
