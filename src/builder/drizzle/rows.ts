// The rows of a Drizzle builder, decoded as Drizzle decodes them. Drizzle 1.0 hands over its mapper. Drizzle 0.45 hands over the
// selected fields; its rules are followed here to the letter, the odd one about joined tables included.
import { isA } from './core/kinds.ts'
import type { Capture } from './session.ts'

type Row = Record<string, unknown>
export type Mapper = (rows: readonly unknown[]) => unknown

interface SelectedField {
  readonly path: readonly string[]
  readonly field: object
}

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** What decodes the rows of a captured builder; null when it returns none. */
export function mapperOf({ form, mapper, joinsNotNullableMap }: Capture): Mapper | null {
  if (typeof mapper === 'function') return mapper as Mapper
  return Array.isArray(form) ? fieldsMapper(form as readonly SelectedField[], joinsNotNullableMap) : null
}

/** Whether the captured builder returns anything. */
export function returnsRows({ form, mapper }: Capture): boolean {
  return typeof form === 'string' ? form !== 'raw' : form !== undefined || mapper !== undefined
}

interface Cell {
  readonly path: readonly string[]
  readonly decoder: Decoder
  /** The object that is null when the table it comes from was not joined. */
  readonly group: Group | null
}

interface Group {
  readonly name: string
  readonly table: string
  /** Decided by its first column, and never null when it has columns of several tables. */
  readonly first: number
  mixed: boolean
}

function fieldsMapper(fields: readonly SelectedField[], notNull: Capture['joinsNotNullableMap']): Mapper {
  const groups = new Map<string, Group>()
  const cells = fields.map(({ path, field }, index): Cell => {
    const isColumn = isA(field, 'Column')
    const grouped = notNull !== undefined && isColumn && path.length === 2
    return {
      path,
      decoder: isColumn ? (field as Decoder) : decoderOf(field),
      group: grouped ? groupOf(groups, path[0] as string, tableOf(field), index) : null,
    }
  })
  const nullable = [...groups.values()].filter(({ mixed, table }) => !mixed && notNull?.[table] !== true)
  return (rows) => rows.map((row) => build(cells, nullable, row as readonly unknown[]))
}

function groupOf(groups: Map<string, Group>, name: string, table: string, first: number): Group {
  const known = groups.get(name)
  if (known === undefined) {
    const group = { name, table, first, mixed: false }
    groups.set(name, group)
    return group
  }
  if (known.table !== table) known.mixed = true
  return known
}

function build(cells: readonly Cell[], nullable: readonly Group[], row: readonly unknown[]): Row {
  const result: Row = {}
  const values: unknown[] = []
  for (let index = 0; index < cells.length; index++) {
    const { path, decoder } = cells[index] as Cell
    const raw = row[index]
    const value = raw === null ? null : decoder.mapFromDriverValue(raw)
    values.push(value)
    const last = path.length - 1
    let node = result
    for (let depth = 0; depth < last; depth++) node = memberOf(node, path[depth] as string)
    node[path[last] as string] = value
  }
  for (const { name, first } of nullable) if (values[first] === null) result[name] = null
  return result
}

/** Its own one: each object has a `constructor`. */
function memberOf(node: Row, name: string): Row {
  if (!Object.hasOwn(node, name)) node[name] = {}
  return node[name] as Row
}

function decoderOf(field: object): Decoder {
  if (isA(field, 'SQL')) return (field as { decoder: Decoder }).decoder
  if (isA(field, 'Subquery')) return (field as { _: { sql: { decoder: Decoder } } })._.sql.decoder
  return (field as { sql: { decoder: Decoder } }).sql.decoder
}

function tableOf(column: object): string {
  const { table } = column as { table: Readonly<Record<symbol, unknown>> }
  return String(table[Symbol.for('drizzle:Name')])
}
