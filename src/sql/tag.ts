// The `` sql`…` `` tag: texts in which every interpolated value becomes a parameter, unless it is SQL itself. Called by
// users and by the bound `db.sql`. A fragment is immutable, runs nothing, and is recognised by a private brand, so that
// no data can pose as one.
import { inspect } from 'node:util'
import { ParameterError, UsageError } from '../errors/index.ts'
import { Placeholder } from './baked/placeholder.ts'
import { postgres } from './dialect.ts'
import { refusal } from './parameters.ts'
import { Composition, cut, misused, partsOf, type Piece, placeholdersOf, plain, templateOf } from './parts.ts'
import { embed, isQuery, toStatement, type Statement, type ToStatement } from './statement.ts'
import { assemble } from './text/scan.ts'
import { describeType } from '../util/checks.ts'

/** A piece of SQL with its values: a whole query, or part of one. Made by `sql` and its methods only. */
export interface Fragment<Row = unknown> extends ToStatement<Row> {
  /** The text and how many values it has, never the values. */
  [inspect.custom](): string
}

export interface Sql {
  /**
   * SQL with values: each becomes a parameter, an array one parameter too; fragments and queries are merged.
   *
   * Objects of a query builder are compiled by its adapter, and never sent as parameters.
   *
   * @throws {UsageError} when called as a plain function, when a value stands inside quotes or a comment, when the text
   *   has placeholders of its own or leaves a quote open.
   * @throws {ParameterError} for a value that is no data, by its position: `undefined`, functions, promises, objects of a
   *   builder whose subpath was not imported.
   */
  <Row = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): Fragment<Row>
  /**
   * A quoted name, `"schema"."table"`, that can only ever be that name.
   *
   * @throws {UsageError} for anything but non-empty strings of at most 63 bytes without NUL.
   */
  identifier(...path: readonly string[]): Fragment
  /**
   * Text that becomes SQL as it is. **Unsafe**: anything from outside the program in it is an injection.
   *
   * @throws {UsageError} when it is no string, has placeholders, or leaves a quote or comment open.
   */
  raw(text: string): Fragment
  /**
   * Values or fragments with a separator between them; `, ` by default.
   *
   * @throws {UsageError} for an empty list, and for a separator that is no fragment.
   * @throws {ParameterError} for an item that is no data, by its position.
   */
  join(items: readonly unknown[], separator?: Fragment): Fragment
  /**
   * `($1, $2, …)` for `in ${sql.list(ids)}`. Each length is a statement of its own: `= any(${ids})` is one for all.
   *
   * @throws {UsageError} for an empty list, which SQL has no form for.
   * @throws {ParameterError} for an item that is no data, by its position.
   */
  list(values: readonly unknown[]): Fragment
}

/** The tag. `db.sql` makes the same fragments and binds them to a database. */
export const sql: Sql = Object.assign(
  <Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Fragment<Row> => compose<Row>(strings, values),
  { identifier, raw, join, list },
)

export function isFragment(value: unknown): value is Fragment {
  return typeof value === 'object' && value !== null && pieceOf(value) !== undefined
}

/** The text and values of a fragment. The text of a template without nested SQL is the same string every time. */
export function compileFragment<Row>(fragment: Fragment<Row>): Statement<Row> {
  return fragment[toStatement]()
}

/** What the tag does, for the tags of databases: `values` belong to the fragment from now on. Throws as `Sql` does. */
export function compose<Row>(strings: TemplateStringsArray, values: readonly unknown[]): Fragment<Row> {
  const { texts, uses, text, quoted } = templateOf(strings)
  if (values.length !== uses.length) throw new UsageError(misused)
  let nested: (Piece | undefined)[] | undefined
  for (let index = 0; index < values.length; index++) {
    const piece = nestedPiece(values[index], index, 'Value')
    if (piece !== undefined) (nested ??= [])[index] = piece
    if (quoted.has(index) && (piece === undefined || placeholdersOf(piece) > 0))
      throw new UsageError(`Value ${index + 1} of the template stands inside quotes or a comment: leave those out.`)
  }
  if (nested === undefined) return new SqlFragment<Row>({ texts, uses, params: values }, text)
  const whole = new Composition()
  for (let index = 0; index < texts.length; index++) {
    whole.text(texts[index] ?? '')
    if (index < values.length) add(whole, values[index], nested[index])
  }
  return new SqlFragment<Row>(whole)
}

/** Set by the class body, the only code that sees the private field. */
let pieceOf: (value: object) => Piece | undefined

class SqlFragment<Row> implements Fragment<Row> {
  readonly #piece: Piece
  #text: string | undefined

  static {
    pieceOf = (value) => (#piece in value ? value.#piece : undefined)
  }

  constructor(piece: Piece, text?: string) {
    this.#piece = piece
    this.#text = text
  }

  [toStatement](): Statement<Row> {
    const { texts, uses, params } = partsOf(this.#piece)
    this.#text ??= assemble(texts, uses)
    return { sql: this.#text, params }
  }

  [inspect.custom](): string {
    const { sql: text, params } = this[toStatement]()
    return `Fragment { ${text} } with ${params.length === 1 ? '1 value' : `${params.length} values`}`
  }
}

/** The fragment behind a query that was made on an executor, so that it is taken as it is. Throws where the query may not run. */
export const asFragment: unique symbol = Symbol('genever.fragment')

/** What a value that is SQL itself is made of; `undefined` for a parameter. */
function nestedPiece(value: unknown, index: number, kind: 'Value' | 'Item'): Piece | undefined {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
    const piece = pieceOf(value)
    if (piece !== undefined) return piece
    if (value instanceof Placeholder) return undefined
    if (isQuery(value)) return queryPiece(value)
    const statement = embed(value)
    if (statement !== undefined) return cut(statement)
  }
  const reason = refusal(value)
  if (reason === undefined) return undefined
  throw new ParameterError(`${kind} ${index + 1} of the ${kind === 'Value' ? 'template' : 'list'} ${reason}.`)
}

function queryPiece(query: ToStatement & { [asFragment]?: () => unknown }): Piece {
  const fragment = query[asFragment]?.()
  return (isFragment(fragment) ? pieceOf(fragment) : undefined) ?? cut(query[toStatement]())
}

function add(whole: Composition, value: unknown, piece: Piece | undefined): void {
  if (piece === undefined) whole.value(value)
  else whole.piece(piece)
}

function identifier(...path: readonly string[]): Fragment {
  if (path.length === 0) throw new UsageError('sql.identifier needs a name.')
  return new SqlFragment(plain(path.map((name) => postgres.quoteIdentifier(name)).join('.')))
}

function raw(text: string): Fragment {
  if (typeof text !== 'string') throw new UsageError(`sql.raw takes a string, not ${describeType(text)}.`)
  return new SqlFragment(plain(text))
}

const comma: Fragment = new SqlFragment(plain(', '))

function join(items: readonly unknown[], separator: Fragment = comma): Fragment {
  return new SqlFragment(joined(items, separator))
}

function list(values: readonly unknown[]): Fragment {
  const whole = new Composition()
  whole.text('(')
  whole.piece(joined(values, comma))
  whole.text(')')
  return new SqlFragment(whole)
}

function joined(items: readonly unknown[], separator: Fragment): Piece {
  const between = isFragment(separator) ? pieceOf(separator) : undefined
  if (between === undefined) throw new UsageError('The separator of sql.join is a fragment: write sql` and `.')
  if (!Array.isArray(items))
    throw new UsageError(`A list of values or fragments is an array, not ${describeType(items)}.`)
  if (items.length === 0)
    throw new UsageError(
      'An empty list has no SQL: leave the clause out, or compare with = any(${array}), which may be empty.',
    )
  const whole = new Composition()
  for (let index = 0; index < items.length; index++) {
    if (index > 0) whole.piece(between)
    add(whole, items[index], nestedPiece(items[index], index, 'Item'))
  }
  return whole
}
