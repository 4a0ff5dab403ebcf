// The SQL of lists in PostgreSQL. A list is one column, an array of records, over a subquery of the rows it belongs to, which
// carries conditions, order, limit, offset and lock. Two spellings give the same column: an array of a correlated subquery,
// where an index finds the rows of one list or few lists are asked for; and a join of all rows at once, grouped by the ordinal
// of the row they belong to. Each record is made bytes on its own: while the server writes an array of records, every field of
// them keeps a kilobyte until all are written.
import { type Column, is, SQL } from 'drizzle-orm'
import type { ListColumnWords } from '../../sql/model-words.ts'
import type { Expression } from '../meta/expressions.ts'
import { SqlText } from '../meta/sql-text.ts'
import { writeConditions, writeFurtherConditions } from '../query/compile/condition.ts'
import { beside, outside } from './belonging.ts'
import { isBinary } from './list-fields.ts'
import type { Level, List } from './level.ts'
import type { Source } from './source.ts'

/** Whether a list is read row by row; the others are grouped. */
export type Correlates = (list: List) => boolean

export const ordinal = '"genever n"'
/** The rows of the objects. No table of a user has such a name. */
export const firstGroup = '"genever g0"'
const belongs = '"genever p"'
const place = '"genever k"'

/** A LIMIT that leaves nothing out. An order holds outside of a subquery only where the server may not read that in parallel. */
export const everyRow = '9223372036854775807'

/** A query's text before its rows' own subquery, and after it. */
export interface Around {
  readonly open: string
  readonly close: SqlText
}

/** `text` has what stands before, and the parameters. */
export function writeLists(text: SqlText, root: Level, correlates: Correlates): Around {
  const writer = new ListWriter(text, correlates)
  return writer.around(root)
}

/** Selects the values of a level under their names. */
export function writeNamed(text: SqlText, level: Level): void {
  level.items.forEach((expression, at) => {
    if (at > 0) text.add(', ')
    text.sql(bare(expression)).add(` as ${level.name(at)}`)
  })
}

class ListWriter {
  readonly #correlates: Correlates
  readonly #main: SqlText
  readonly #words: ListColumnWords
  readonly #tables: string[] = []
  #names = 0

  constructor(main: SqlText, correlates: Correlates) {
    this.#main = main
    this.#words = main.dialect.models.lists.inColumn as ListColumnWords
    this.#correlates = correlates
  }

  around(root: Level): Around {
    const { alias } = root
    const columns = this.#text()
    columns.add(root.items.map((_, at) => root.outer(at)).join(', '))
    const joins = this.#lists(root, firstGroup, true, (each) => columns.add(columns.text === '' ? '' : ', ').add(each))
    const types = this.#types(root, columns)
    const grouped = root.lists.some((list) => !this.#correlates(list))
    const select = `select ${columns.text} from `
    const close = this.#text()
    if (!grouped) return { open: `${select}(`, close: close.add(`) as ${alias}${types}`) }
    close.add(
      `) q)${this.#tables.map((each) => `, ${each}`).join('')} ${select}${firstGroup} as ${alias}${joins}${types}`,
    )
    return {
      open: `with ${firstGroup} as materialized (select q.*, row_number() over () as ${ordinal} from (`,
      close: close.add(` order by ${alias}.${ordinal}`),
    }
  }

  /** Gives each list of a level as an expression; the result is what has to be joined to the rows of `table` for it. */
  #lists(level: Level, table: string, isSubquery: boolean, give: (text: string) => void): string {
    let joins = ''
    for (const list of level.lists)
      if (this.#correlates(list)) give(this.#correlated(level, list, isSubquery))
      else {
        const name = `"genever l${++this.#names}"`
        joins += ` left join (${this.#grouped(level, list, table)}) as ${name} on ${name}.n = ${level.alias}.${ordinal}`
        give(`${name}.list`)
      }
    return joins
  }

  #correlated(parent: Level, list: List, isSubquery: boolean): string {
    const { level, where, orderBy, limit, sortsHere } = list
    const text = this.#text()
    const wrapped = limit !== null || level.isShadowed
    text.add(`array(select ${this.#row(level, wrapped)} from `)
    if (wrapped) writeNamed(text.add('(select '), level)
    if (wrapped) text.add(' from ')
    level.joins.writeFrom(text)
    text.add(' where ').sql(isSubquery ? outside(parent, list) : beside(parent, list))
    writeFurtherConditions(text, where)
    if (orderBy.length > 0 && !sortsHere) text.add(' order by ').expressions(orderBy)
    if (limit !== null) text.add(` limit ${limit}`)
    if (wrapped) text.add(`) as ${level.alias}`)
    return text.add(')').text
  }

  #grouped(parent: Level, list: List, table: string): string {
    const { level, orderBy, limit } = list
    const { alias } = parent
    const text = this.#text()
    const nested = level.lists.some((each) => !this.#correlates(each))
    if (!nested && limit === null && !level.isShadowed) {
      text.add(`select ${alias}.${ordinal} as n, array_agg(${this.#row(level, false)}`)
      if (orderBy.length > 0) text.add(' order by ').expressions(orderBy)
      this.#joined(text.add(') as list from '), parent, list, table)
      return text.add(` group by ${alias}.${ordinal}`).text
    }
    const name = `"genever g${++this.#names}"`
    const rows = this.#text()
    rows.add(`${name} as materialized (select q.*, row_number() over () as ${ordinal} from (`)
    rows.add(`select ${alias}.${ordinal} as ${belongs}, row_number() over (partition by ${alias}.${ordinal}`)
    if (orderBy.length > 0) rows.add(' order by ').expressions(orderBy)
    rows.add(`) as ${place}`)
    if (level.items.length > 0) writeNamed(rows.add(', '), level)
    this.#joined(rows.add(' from '), parent, list, table)
    rows.add(`) q${limit === null ? '' : ` where q.${place} <= ${limit}`})`)
    this.#tables.push(rows.text)
    const fields = this.#text()
    const joins = this.#fields(level, true, name, fields)
    const own = level.alias
    text.add(
      `select ${own}.${belongs} as n, array_agg(${this.#words.object(fields.text)} order by ${own}.${place}) as list`,
    )
    return text.add(` from ${name} as ${own}${joins} group by ${own}.${belongs}`).text
  }

  /** The rows of a level with those of its list. */
  #joined(text: SqlText, parent: Level, list: List, table: string): void {
    const { level, where } = list
    text.add(`${table} as ${parent.alias} inner join `)
    level.joins.writeOperand(text)
    text.add(' on ').sql(outside(parent, list))
    if (where.length > 0) writeConditions(text.add(' where '), where)
  }

  #row(level: Level, wrapped: boolean): string {
    const fields = this.#text()
    this.#fields(level, wrapped, '', fields)
    return this.#words.object(fields.text)
  }

  #fields(level: Level, wrapped: boolean, table: string, text: SqlText): string {
    level.items.forEach((expression, at) => {
      if (at > 0) text.add(', ')
      const binary = isBinary(expression)
      if (!binary) text.add('(')
      if (wrapped) text.add(level.outer(at))
      else text.sql(bare(expression))
      if (!binary) text.add(')::text')
    })
    return this.#lists(level, table, wrapped, (each) => text.add(text.text === '' ? '' : ', ').add(each))
  }

  /** Selects NULLs of the types that fields of lists have, level by level. */
  #types(level: Level, columns: SqlText): string {
    let joins = ''
    for (const list of level.lists) {
      const { items, joins: from } = list.level
      const name = `"genever t${++this.#names}"`
      const text = this.#text().add(' left join (select ')
      items.forEach((expression, at) => {
        text
          .add(at > 0 ? ', ' : '')
          .sql(bare(expression))
          .add(` as t${at}`)
        columns.add(`, ${name}.t${at}`)
      })
      from.writeFrom(text.add(' from '))
      joins += text.add(` where false) as ${name} on true`).text + this.#types(list.level, columns)
    }
    return joins
  }

  #text(): SqlText {
    return new SqlText(this.#main.dialect, '', this.#main)
  }
}

export function bare(expression: Expression): Column | SQL {
  return is(expression, SQL.Aliased) ? expression.sql : expression
}

/** A name for the rows of a source that nothing inside of it has. */
export function aliasFor({ name, dialect }: Source, taken: boolean, depth: number): string {
  return taken ? dialect.quote(`genever r${depth}`) : name
}
