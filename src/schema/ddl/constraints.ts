// Constraints of a table. What the user did not name is called as the kit of the same Drizzle version calls it, so that
// an error of the server names the same constraint in a test as in production.
import { quoteName } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { ColumnParts, ForeignKeyParts, TableParts, UniqueParts } from '../source/parts.ts'
import { tableParts } from '../source/drizzle.ts'
import { expression } from '../text/literal.ts'
import { clip, foreignKeyName, qualified, quoteNames } from '../text/names.ts'

/** Within CREATE TABLE: all but foreign keys. */
export function constraintsSql(table: TableParts): string[] {
  return [
    ...primaryKeySql(table),
    ...uniquesSql(table),
    ...table.checks.map(({ name, value }) => `constraint ${quoteName(name)} check (${expression(value, 'indexes')})`),
  ]
}

const namesOf = (columns: readonly ColumnParts[]): string[] => columns.map(({ name }) => name)

/** Without a name the server takes its own. */
const named = (name: string | undefined): string => (name === undefined ? '' : `constraint ${quoteName(name)} `)

type PrimaryKey = TableParts['primaryKeys'][number]

/** The key that is declared for the table, if there is one, and its columns. @throws {UsageError} for two of them. */
export function primaryKeyOf({ name, columns, primaryKeys: [key, ...others] }: TableParts): {
  readonly key: PrimaryKey | undefined
  readonly columns: readonly ColumnParts[]
} {
  if (others.length > 0) throw new UsageError(`The table "${name}" has two primary keys. Declare one.`)
  if (key !== undefined) return { key, columns: key.columns }
  const primary = columns.filter((column) => column.primary)
  if (primary.length > 1)
    throw new UsageError(
      `The table "${name}" has ${primary.length} columns with primaryKey(): declare primaryKey({ columns }) once for all of them.`,
    )
  return { key, columns: primary }
}

function primaryKeySql(table: TableParts): string[] {
  const { key, columns } = primaryKeyOf(table)
  if (key === undefined && columns.length === 0) return []
  const name = key?.name ?? (key !== undefined && key.isNameExplicit === undefined ? clip(key.getName()) : undefined)
  return [`${named(name)}primary key (${quoteNames(namesOf(columns))})`]
}

/** The columns that are unique by themselves, without those that a constraint of the table makes unique. */
export function uniqueColumnsOf({ columns, uniqueConstraints }: TableParts): readonly ColumnParts[] {
  const alone = new Set(uniqueConstraints.map((unique) => (unique.columns.length === 1 ? unique.columns[0]?.name : '')))
  return columns.filter(({ isUnique, name }) => isUnique && !alone.has(name))
}

function uniquesSql(table: TableParts): string[] {
  const ofColumns = uniqueColumnsOf(table).map((column) => ({
    names: [column.name],
    name: columnUniqueName(table, column),
    nullsNotDistinct: column.uniqueType === 'not distinct',
  }))
  const ofTable = table.uniqueConstraints.map((unique) => ({
    names: namesOf(unique.columns),
    name: uniqueName(table, unique),
    nullsNotDistinct: unique.nullsNotDistinct,
  }))
  return [...ofColumns, ...ofTable].map(
    ({ names, name, nullsNotDistinct }) =>
      `${named(name)}unique ${nullsNotDistinct ? 'nulls not distinct ' : ''}(${quoteNames(names)})`,
  )
}

/** Drizzle 0.45 fills in a name, which then looks like one the user gave. */
function uniqueName({ name: table }: TableParts, { name, columns, isNameExplicit }: UniqueParts): string | undefined {
  const implicit = `${table}_${namesOf(columns).join('_')}_unique`
  if (isNameExplicit === true || (name !== undefined && name !== implicit)) return name
  return isNameExplicit === false && columns.length === 1 ? undefined : clip(implicit)
}

function columnUniqueName({ name: table }: TableParts, { name, uniqueName: given }: ColumnParts): string | undefined {
  const implicit = `${table}_${name}_unique`
  return given === implicit ? clip(implicit) : given
}

/** ALTER TABLE … ADD, so that tables may refer to each other in any order. */
export function foreignKeySql(table: TableParts, key: ForeignKeyParts): string {
  const { columns, foreignColumns, foreignTable } = key.reference()
  const target = tableParts(foreignTable)
  const parts = [
    `alter table ${qualified(table.schema, table.name)} add constraint ${quoteName(nameOf(table, key, target))}`,
    `foreign key (${quoteNames(namesOf(columns))})`,
    `references ${qualified(target.schema, target.name)} (${quoteNames(namesOf(foreignColumns))})`,
    action('on delete', key.onDelete),
    action('on update', key.onUpdate),
  ]
  return parts.filter((part) => part !== '').join(' ')
}

function nameOf(table: TableParts, key: ForeignKeyParts, target: TableParts): string {
  const { name, columns, foreignColumns } = key.reference()
  if (name !== undefined) return name
  if (key.isNameExplicit === undefined) return clip(key.getName())
  return foreignKeyName(table.name, namesOf(columns), target.name, namesOf(foreignColumns))
}

const actions = ['cascade', 'restrict', 'set null', 'set default']

function action(clause: string, given: string | undefined): string {
  if (given === undefined || given === 'no action') return ''
  if (!actions.includes(given)) throw new UsageError(`A foreign key cannot "${given.slice(0, 30)}" ${clause}.`)
  return `${clause} ${given}`
}
