// From whatever the user gave (tables, models, a module of them) to the objects a schema consists of, each once, and
// those they cannot be without: the enums of their columns, the schemas they are in. It makes no SQL.
import { checkDrizzle } from '../../builder/drizzle/core/version.ts'
import { UsageError } from '../../errors/index.ts'
import { type DrizzleKind, isEntity, isMysql, kindOf, tableParts, viewParts } from './drizzle.ts'
import type { ColumnParts, EnumParts, PolicyParts, RoleParts, SequenceParts, TableParts, ViewParts } from './parts.ts'
import { describeType } from '../../util/options.ts'

export interface Table {
  readonly source: object
  readonly parts: TableParts
  /** Those declared with the table, and those linked to it. */
  readonly policies: readonly PolicyParts[]
}

export interface View {
  readonly source: object
  readonly parts: ViewParts
  readonly materialized: boolean
}

/** A policy linked to a table that is not among those given. */
export interface LoosePolicy {
  readonly parts: PolicyParts
  readonly table: TableParts
}

export interface Collected {
  readonly dialect: 'postgres' | 'mysql'
  readonly schemas: readonly { readonly name: string; readonly source: object | undefined }[]
  readonly roles: readonly (RoleParts & object)[]
  readonly enums: readonly EnumParts[]
  readonly sequences: readonly SequenceParts[]
  readonly tables: readonly Table[]
  readonly views: readonly View[]
  readonly policies: readonly LoosePolicy[]
}

const advice = 'Give Drizzle tables, models with a table, an array of them, or a module that exports them.'

/** @throws {UsageError} when there is nothing usable in it, two objects have one name, or Drizzle is too old. */
export function collect(given: unknown): Collected {
  checkDrizzle('genever/schema')
  const found = new Map<object, DrizzleKind>()
  if (Array.isArray(given)) given.forEach((item: unknown, index) => addItem(item, `Item ${index + 1}`, found))
  else addItem(given, 'The schema', found)
  if (found.size === 0) throw new UsageError(`There is nothing in the schema. ${advice}`)
  return arrange(found)
}

/** The kind of a single object. @throws {UsageError} when it is no such object, or Drizzle is too old. */
export function collectOne(given: unknown): Collected {
  checkDrizzle('genever/schema')
  const found = new Map<object, DrizzleKind>()
  if (!addObject(given, found)) {
    throw new UsageError(`One table, model, enum, sequence or view is expected here, not ${describeType(given)}.`)
  }
  return arrange(found)
}

function addItem(given: unknown, what: string, found: Map<object, DrizzleKind>): void {
  if (addObject(given, found)) return
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new UsageError(`${what} is ${describeType(given)}, which is not a table. ${advice}`)
  let some = false
  if (!isEntity(given)) for (const value of Object.values(given)) some = addObject(value, found) || some
  if (!some) throw new UsageError(`${what} holds no table, enum, sequence or view. ${advice}`)
}

function addObject(value: unknown, found: Map<object, DrizzleKind>): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const kind = kindOf(value)
  if (kind !== undefined) {
    found.set(value, kind)
    return true
  }
  if (isEntity(value) || !('table' in value)) return false
  const { table } = value
  const inner = kindOf(table)
  if (inner !== 'table' && inner !== 'view' && inner !== 'materialized view') return false
  found.set(table as object, inner)
  return true
}

function arrange(found: ReadonlyMap<object, DrizzleKind>): Collected {
  const of = <T>(...kinds: DrizzleKind[]): (T & object)[] =>
    [...found].filter(([, kind]) => kinds.includes(kind)).map(([source]) => source as T & object)
  const given = of<object>('table').map((source) => ({ source, parts: tableParts(source) }))
  const views = of<object>('view', 'materialized view')
    .map((source) => ({
      source,
      parts: viewParts(source),
      materialized: found.get(source) === 'materialized view',
    }))
    .filter(({ parts }) => parts.query !== undefined)
  const sequences = of<SequenceParts>('sequence')
  const enums = new Set<EnumParts>(of<EnumParts>('enum'))
  for (const { parts } of given) for (const column of parts.columns) addEnum(column, enums)
  const { linked, loose } = linkPolicies(of<PolicyParts>('policy'), given)
  const tables = given.map((table) => ({
    ...table,
    policies: [...table.parts.policies, ...(linked.get(table.source) ?? [])],
  }))
  const roles = of<RoleParts>('role').filter(({ _existing }) => _existing !== true)
  const relations = [...tables, ...views].map(({ parts }) => parts)
  unique('relation', [...relations, ...sequences.map(({ seqName, schema }) => ({ name: String(seqName), schema }))])
  unique('enum', distinct(enums))
  const used = [...relations, ...enums, ...sequences].flatMap(({ schema }) => schema ?? [])
  return {
    dialect: dialectOf([...found.keys()]),
    schemas: schemasOf(of('schema'), used),
    roles,
    enums: distinct(enums).map(({ source }) => source),
    sequences,
    tables,
    views,
    policies: loose,
  }
}

/** @throws {UsageError} for parts of both. */
function dialectOf(parts: readonly object[]): Collected['dialect'] {
  const ofMysql = parts.filter(isMysql).length
  if (ofMysql > 0 && ofMysql < parts.length)
    throw new UsageError('The schema has parts for PostgreSQL and parts for MySQL: give those of one database.')
  return ofMysql > 0 ? 'mysql' : 'postgres'
}

function addEnum(column: ColumnParts, enums: Set<EnumParts>): void {
  if (column.baseColumn !== undefined) addEnum(column.baseColumn, enums)
  if (column.enum !== undefined && kindOf(column.enum) === 'enum') enums.add(column.enum)
}

/** Declared twice with the same values an enum is one; with others the second stays, to be refused. */
function distinct(enums: Iterable<EnumParts>): { name: string; schema: string | undefined; source: EnumParts }[] {
  const known = new Map<string, EnumParts>()
  for (const source of enums) known.set(JSON.stringify([source.schema, source.enumName, source.enumValues]), source)
  return [...known.values()].map((source) => ({ name: source.enumName, schema: source.schema, source }))
}

function unique(what: string, objects: readonly { name: string; schema: string | undefined }[]): void {
  const known = new Set<string>()
  for (const { name, schema } of objects) {
    const key = JSON.stringify([schema ?? null, name])
    if (known.has(key))
      throw new UsageError(
        `The schema declares the ${what} ${schema === undefined ? '' : `"${schema}".`}"${name}" twice.`,
      )
    known.add(key)
  }
}

function linkPolicies(
  policies: readonly PolicyParts[],
  tables: readonly { readonly source: object; readonly parts: TableParts }[],
): { linked: Map<object, PolicyParts[]>; loose: LoosePolicy[] } {
  const linked = new Map<object, PolicyParts[]>()
  const loose: LoosePolicy[] = []
  for (const policy of policies) {
    const table = policy._linkedTable
    if (table === undefined) {
      if (tables.some(({ parts }) => parts.policies.includes(policy))) continue
      throw new UsageError(
        `The policy "${policy.name}" belongs to no table: declare it with its table, or link() it to one.`,
      )
    }
    if (tables.some(({ source }) => source === table)) linked.set(table, [...(linked.get(table) ?? []), policy])
    else loose.push({ parts: policy, table: tableParts(table) })
  }
  return { linked, loose }
}

interface SchemaParts {
  readonly schemaName: string
  readonly isExisting?: boolean
}

/** Those declared, and those anything is in; but never `public`, nor one that is declared as existing. */
function schemasOf(declared: readonly (SchemaParts & object)[], used: readonly string[]): Collected['schemas'] {
  const sources = new Map<string, object | undefined>()
  for (const name of used) sources.set(name, undefined)
  for (const source of declared) sources.set(source.schemaName, source)
  for (const { schemaName, isExisting } of declared) if (isExisting === true) sources.delete(schemaName)
  sources.delete('public')
  return [...sources].map(([name, source]) => ({ name, source }))
}
