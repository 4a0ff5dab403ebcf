// A loader for rows of statements that others wrote: the option `into`. Values are found by the names of fields, or of members where a
// builder has made objects of the rows already. Nothing is joined, and no value is taken for another one: a row that does not fit is an error.
import { Column, is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { dialectOf } from '../../builder/drizzle/core/render.ts'
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Call, Decode, Loading } from '../../sql/statement.ts'
import { columnOf, decodeExpression } from '../meta/decode.ts'
import {
  attachCalled,
  attachRead,
  type Instance,
  instances,
  noModel,
  Places,
  type Read,
  unlessMissing,
} from './instances.ts'
import { callsLast, type ChildNode, type LoadNode, type ModelNode, nodeOf } from './node.ts'
import type { Expression } from '../meta/expressions.ts'
import { metaOf, modelName } from '../meta/model-meta.ts'
import { Shared } from './shared.ts'

/** The values of one model, or one value: those that stand together in a row. */
interface Part {
  /** The model or value that needs them, in messages. */
  readonly of: string
  /** The members in which it stands. */
  readonly path: readonly string[]
  /** The names of its values in the database. */
  readonly names: readonly string[]
  /** Their names in objects. */
  readonly keys: readonly string[]
  readonly decodes: readonly Pick<ColumnSpec, 'mode' | 'map'>[]
}

/** How rows are read whose fields have certain names. */
interface Plan {
  readonly columns: readonly ColumnSpec[]
  /** For each value the field that has it. */
  readonly fields: readonly number[]
}

/** A row as its values came, and the field that has each of them. */
class Found {
  readonly fields: Plan['fields']
  readonly values: readonly unknown[]

  constructor(fields: Plan['fields'], values: readonly unknown[]) {
    this.fields = fields
    this.values = values
  }
}

/** @throws {UsageError} for what is no loader, and for loaders that need a query of the model. */
export function loadingInto(given: unknown): Loading {
  const node = nodeOf(given)
  if (node.kind === 'call') return callingEach(node.call)
  return new Rows(node)
}

function callingEach(call: Call): Loading {
  const decode: Decode = (rows) => {
    const context = {}
    return rows.map((row) => noModel(call(row, context), null))
  }
  return { spec: null, named: null, decode, objects: decode, dialect: null }
}

class Rows implements Loading {
  readonly spec: RowSpec
  readonly named: RowSpec
  dialect: Dialect | null = null
  readonly #parts: Part[] = []
  /** The expressions of the values of all parts, in their order. */
  readonly #items: Expression[] = []
  readonly #places: Places = new Places(this.#items)
  readonly #read: Read

  constructor(node: LoadNode) {
    this.#read = this.#compile(node, [], false)
    this.spec = { into: 'array', make: null, columns: null, byNames: (names) => this.#specOf(names) }
    this.named = { into: 'object', make: null, columns: null, byNames: (names) => this.#namedOf(names) }
  }

  readonly decode: Decode = (rows) => {
    const shared = new Shared()
    return rows.map((row) => {
      if (!(row instanceof Found)) throw notByNames()
      return this.#read(
        row.fields.map((field) => row.values[field]),
        shared,
      )
    })
  }

  readonly objects: Decode = (rows) => {
    const shared = new Shared()
    return rows.map((row) =>
      this.#read(
        this.#parts.flatMap((part) => valuesOf(part, row)),
        shared,
      ),
    )
  }

  #specOf(names: readonly string[]): RowSpec {
    const { columns, fields } = this.#planOf(names)
    const fold = (target: unknown[], row: unknown): void => {
      target.push(new Found(fields, row as Found['values']))
    }
    return { into: 'array', make: null, columns, fold }
  }

  /** Plain objects. Values in members of objects are for their builder to read. */
  #namedOf(names: readonly string[]): RowSpec {
    const decodes = new Map<string, Part['decodes'][number]>()
    for (const part of this.#parts.filter(({ path }) => path.length === 0))
      for (const each of [part.keys, part.names])
        each.forEach((name, at) => decodes.set(name, part.decodes[at] as Part['decodes'][number]))
    const columns = names.map((name): ColumnSpec => ({ path: [name], ...(decodes.get(name) ?? usual) }))
    return { into: 'object', make: null, columns }
  }

  /** @throws {UsageError} for fields that do not fit, also of a result without rows. */
  #planOf(names: readonly string[]): Plan {
    const columns: ColumnSpec[] = names.map(() => unread)
    const fields: number[] = []
    for (const part of this.#parts) {
      const found = fieldsOf(part, names)
      found.forEach((field, at) => (columns[field] = { path: [], ...(part.decodes[at] as Part['decodes'][number]) }))
      fields.push(...found)
    }
    return { columns, fields }
  }

  /** `optional`: it may be missing, as what a join has not found. */
  #compile(node: LoadNode, path: readonly string[], optional: boolean): Read {
    switch (node.kind) {
      case 'model':
        return this.#model(node, path, optional)
      case 'value':
        return this.#value(node.expression, path)
      case 'tuple': {
        const items = node.items.map((item, at) => this.#compile(item, [...path, String(at)], false))
        return (values, shared) => items.map((read) => read(values, shared))
      }
      case 'call':
        throw new UsageError(
          'A function in a tuple has no row with the option into. Give into one function that returns the list.',
        )
      case 'constant':
        return () => node.value
    }
  }

  #model({ source, on, by, children }: ModelNode, path: readonly string[], optional: boolean): Read {
    const { model } = source
    if (model === null) throw new UsageError('A bare table cannot be loaded: load a model of it.')
    const name = modelName(model)
    if (on !== null)
      throw new UsageError(
        `on() says how a query joins ${name}, and the option into is for a statement that has joined already. Leave on() out.`,
      )
    if (by !== null)
      throw new UsageError(
        `distinct() of ${name} needs a query of the model, in which the database tells which are equal. Leave it out of the option into.`,
      )
    const meta = metaOf(model)
    const { columns } = meta
    this.#declared(meta.dialect, name)
    for (const { key } of columns) this.#items.push(source.columns[key] as Column)
    const start = this.#add({
      of: name,
      path,
      names: columns.map((column) => column.name),
      keys: columns.map(({ key }) => key),
      decodes: columns.map(({ decode }) => decode),
    })
    const attach = callsLast(children).map((child) => this.#child(child, path, name))
    const loaded = children.map(({ key }) => key)
    const read: Read<Instance> = instances(model, start, loaded, attach)
    return optional ? unlessMissing(read, meta, start) : read
  }

  #child({ key, node, list }: ChildNode, path: readonly string[], owner: string): ReturnType<typeof attachRead> {
    if (list !== null)
      throw new UsageError(
        `load({ ${key} }) of ${owner} is a list, and the option into makes one object of one row. Load lists by a query of the model: ${owner}.query().load(…).`,
      )
    if (node.kind === 'call') return attachCalled(key, node.call, this.#places)
    return attachRead(key, this.#compile(node, [...path, key], true))
  }

  #value(expression: Column | SQL | SQL.Aliased, path: readonly string[]): Read {
    const own = path.at(-1)
    const column = columnOf(expression)
    if (column !== null) this.#declared(dialectOf(column), `The column "${column.name}"`)
    const { name, key } = own === undefined ? namesOf(expression) : { name: own, key: own }
    this.#items.push(expression)
    const at = this.#add({
      of: 'it',
      path: path.slice(0, -1),
      names: [name],
      keys: [key],
      decodes: [decodeExpression(expression)],
    })
    return (values) => values[at]
  }

  #declared(dialect: Dialect, what: string): void {
    if (this.dialect !== null && this.dialect.family !== dialect.family)
      throw new UsageError(
        `${what} is declared for ${dialect.title}, and the rest of the option into for ${this.dialect.title}. A result comes from one database.`,
      )
    this.dialect = dialect
  }

  /** Gives the place of its first value. */
  #add(part: Part): number {
    const start = this.#parts.reduce((sum, { names }) => sum + names.length, 0)
    this.#parts.push(part)
    return start
  }
}

function notByNames(): UsageError {
  return new UsageError(
    'The driver of this database does not read rows by the names of their fields (RowSpec.byNames), which the option into needs for a model. Give it a function of the row.',
  )
}

const usual = { mode: 'default' } as const

/** A field that nobody asks for is not decoded. */
const unread: ColumnSpec = { path: [], mode: 'raw-text' }

/** The fields of all its values, by the names of the database or else by those of members. @throws {UsageError} */
function fieldsOf(part: Part, fields: readonly string[]): number[] {
  const prefix = part.path.map((each) => `${each}.`).join('')
  const lists = [part.names, part.keys].map((names) => names.map((name) => prefix + name))
  const missing = lists.map((names) => names.filter((name) => !fields.includes(name)))
  const at = (missing[0] as string[]).length === 0 ? 0 : 1
  if ((missing[at] as string[]).length > 0) throw lacking(part, fewer(missing), fields)
  const twice = lists[at]?.find((name) => fields.indexOf(name) !== fields.lastIndexOf(name))
  if (twice !== undefined)
    throw new UsageError(
      `Two fields of the statement are named "${twice}", and ${part.of} needs one of them for the option into. Give each a separate name: "member.column" for a column of a member.`,
    )
  return lists[at]?.map((name) => fields.indexOf(name)) as number[]
}

/** The same of an object that a builder has made. */
function valuesOf(part: Part, row: unknown): readonly unknown[] {
  let object = row
  for (const member of part.path) {
    if (object === null) break
    if (typeof object !== 'object' || object === undefined || !(member in object))
      throw lacking(part, [part.path.join('.')], membersOf(row))
    object = (object as Instance)[member]
  }
  if (object === null && part.path.length > 0) return part.keys.map(() => null)
  if (typeof object !== 'object' || object === null) throw lacking(part, part.keys, membersOf(row))
  const target: object = object
  const missing = [part.keys, part.names].map((names) => names.filter((name) => !(name in target)))
  const at = (missing[0] as string[]).length === 0 ? 0 : 1
  if ((missing[at] as string[]).length > 0) throw lacking(part, fewer(missing), membersOf(target))
  return (at === 0 ? part.keys : part.names).map((name) => (target as Instance)[name])
}

function membersOf(row: unknown): readonly string[] {
  return typeof row === 'object' && row !== null ? Object.keys(row) : []
}

function fewer([one = [], other = []]: readonly (readonly string[])[]): readonly string[] {
  return other.length < one.length ? other : one
}

function lacking({ of }: Part, missing: readonly string[], there: readonly string[]): UsageError {
  const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ')
  return new UsageError(
    `The rows of the statement do not fit the option into: ${of} needs ${quoted(missing)}, which ${missing.length === 1 ? 'is' : 'are'} missing. There ${there.length === 1 ? 'is' : 'are'} ${quoted(there) || 'none'}.`,
  )
}

/** @throws {UsageError} for an expression without a name. */
function namesOf(expression: Column | SQL | SQL.Aliased): { readonly name: string; readonly key: string } {
  if (is(expression, SQL.Aliased)) return { name: expression.fieldAlias, key: expression.fieldAlias }
  if (is(expression, Column)) return { name: expression.name, key: keyOf(expression) }
  throw new UsageError("An SQL expression for the option into needs a name: write sql`…`.as('name').")
}

function keyOf(column: Column): string {
  const { table } = column as unknown as { readonly table: Readonly<Record<string, unknown>> }
  return Object.keys(table).find((key) => table[key] === column) ?? column.name
}
