// What an object of a distinct() loader takes from other tables: it is made of one row of all that have its key, so of each
// of them there must be one for the object.
import { UsageError } from '../../errors/index.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import type { Column } from 'drizzle-orm'
import { columnsIn } from './columns.ts'
import { titleOf } from './joins.ts'
import type { Level } from './level.ts'
import type { ModelNode } from './node.ts'
import { qualifierOf, type Source } from './source.ts'

/** A value that is one for the object only where the groups of the query make it so. */
export interface Single {
  /** The tables that the groups must not tell apart; null for any groups. */
  readonly ids: readonly string[] | null
  readonly refuse: () => UsageError
}

/**
 * The values of tables that the query may join to an object several times. `grouped`: the level may have groups.
 * @throws {UsageError} for objects of such tables, and where there are no groups.
 */
export function singleIn(node: ModelNode, by: readonly Column[], level: Level, grouped: boolean): Single[] {
  const { source } = node
  const known = level.joins.multiplicity.oneFor(source, by)
  const names = by.map((column) => render(column).sql)
  const found: Single[] = []
  const several = (columns: readonly Column[]): Source[] =>
    columns
      .filter((column) => !known.has(qualifierOf(column)) && !names.includes(render(column).sql))
      .map((column) => level.joins.find(qualifierOf(column)))
      .filter((each) => each !== undefined)
  const visit = (within: ModelNode): void => {
    for (const { key, node: child, list } of within.children) {
      if (child.kind === 'value') {
        const sources = several(columnsIn(child.expression))
        const [first] = sources
        if (first === undefined) continue
        const refuse = (): UsageError => refused(key, source, first, 'or one value of them by a subquery')
        if (!grouped) throw refuse()
        found.push({ ids: sources.map(({ id }) => id), refuse })
      }
      if (child.kind !== 'model') continue
      if (list !== null) {
        const { level: rows } = level.lists.find((each) => each.key === key && each.parent === within.source) as {
          readonly level: Level
        }
        const [first] = several(columnsIn(child.on).filter((column) => !rows.has(qualifierOf(column))))
        if (first !== undefined) throw refused(key, source, first, 'and compare with the object alone')
        continue
      }
      if (!known.has(child.source.id))
        throw refused(key, source, child.source, 'or say which one it is with .on(condition)')
      visit(child)
    }
  }
  visit(node)
  return found
}

function refused(key: string, source: Source, of: Source, otherwise: string): UsageError {
  const [one, other] = [titleOf(source), titleOf(of)]
  return new UsageError(
    `load({ ${key} }) of a distinct() ${one}: the query may join one ${one} with several of ${other}, and all but one of them would be lost. Use many(${other}) for the list, ${otherwise}.`,
  )
}
