// Views, materialized or not, and the order in which they can be made.
import { quoteName } from '../../builder/drizzle/core/render.ts'
import type { View } from '../source/collect.ts'
import type { ViewParts } from '../source/parts.ts'
import { expression } from '../text/literal.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { qualified } from '../text/names.ts'
import { storageSql } from './table.ts'

export function viewSql({ parts, materialized }: View): string {
  const { using, tablespace, withNoData } = parts
  return [
    `create ${materialized ? 'materialized view' : 'view'} ${qualified(parts.schema, parts.name)}`,
    ...(using === undefined ? [] : [`using ${quoteName(using)}`]),
    ...storageSql('with', parts.with),
    ...(tablespace === undefined ? [] : [`tablespace ${quoteName(tablespace)}`]),
    `as (${queryOf(parts)})`,
    ...(withNoData === true ? ['with no data'] : []),
  ].join(' ')
}

const queryOf = ({ query }: ViewParts, dialect?: Dialect): string =>
  query === undefined ? '' : expression(query, undefined, dialect)

/**
 * Each behind those its query names. Names are looked for in the text, as queries may be text: a column called as a view
 * can at worst put a view later than needed, and where two seem to need each other the given order stands.
 */
export function inOrder(views: readonly View[], dialect?: Dialect): View[] {
  const waiting = views.map((view) => ({ view, query: queryOf(view.parts, dialect) }))
  const ordered: View[] = []
  while (waiting.length > 0) {
    const free = waiting.findIndex((one) =>
      waiting.every((other) => other === one || !mentions(one.query, other.view.parts.name)),
    )
    const [next] = waiting.splice(Math.max(free, 0), 1)
    if (next !== undefined) ordered.push(next.view)
  }
  return ordered
}

function mentions(query: string, name: string): boolean {
  const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)
  return new RegExp(String.raw`(?<![\w$])${escaped}(?![\w$])`, 'i').test(query)
}
