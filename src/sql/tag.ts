// The `` sql`…` `` tag: texts in which every interpolated value becomes a parameter, unless it is SQL itself. Called by
// users and by the bound `db.sql`. A fragment is immutable, runs nothing, and is recognised by a private brand, so that
// no data can pose as one.
import type { inspect } from 'node:util'
import { ParameterError, UsageError } from '../errors/index.ts'
import { Placeholder } from './baked.ts'
import type { Dialect } from './dialect.ts'
import { refusal } from './parameters.ts'
import {
  Composition,
  cut,
  misused,
  type Parts,
  partsOf,
  type Piece,
  place,
  placeholdersOf,
  plain,
  readsAlike,
  Ref,
  templateOf,
} from './parts.ts'
import { embed, isQuery, toStatement, type Statement, type ToStatement } from './statement.ts'
import { describeType } from '../util/options.ts'
import { inspected } from '../util/thrown.ts'

/** A piece of SQL with its values: a whole query or a part of one. Only `sql` and its methods make it. */
export interface Fragment<Row = unknown> extends ToStatement<Row> {
  /** The text and the number of its values, never the values. */
  [inspect.custom](): string
}

/** The `sql` tag, with functions that make parts of a text. */
export interface Sql {
  /**
   * SQL with values. Each value becomes one parameter, and so does an array. Fragments and queries are merged into the text.
   *
   * The adapter of a query builder compiles its objects. They are never sent as parameters.
   *
   * @throws {UsageError} when called as a plain function, when a value stands inside quotes or a comment, and when the text
   *   already has placeholders or leaves a quote open.
   * @throws {ParameterError} for a value that is not data, with its position: `undefined`, functions, promises, objects of a
   *   builder whose subpath was not imported.
   */
  <Row = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): Fragment<Row>
  /**
   * A quoted name such as `"schema"."table"`. It can never be read as other SQL.
   *
   * @throws {UsageError} for anything but non-empty strings of at most 63 bytes without NUL.
   */
  identifier(...path: readonly string[]): Fragment
  /**
   * Text that is used as SQL unchanged. **Unsafe**: input from outside the program makes it an SQL injection.
   *
   * @throws {UsageError} when it is not a string, has placeholders, or leaves a quote or comment open.
   */
  raw(text: string): Fragment
  /**
   * Values or fragments with a separator between them. Default `, `.
   *
   * @throws {UsageError} for an empty list, and for a separator that is not a fragment.
   * @throws {ParameterError} for an item that is not data, with its position.
   */
  join(items: readonly unknown[], separator?: Fragment): Fragment
  /**
   * `($1, $2, …)` for `in ${sql.list(ids)}`. Each length makes a separate statement; `= any(${ids})` is one for all lengths.
   *
   * @throws {UsageError} for an empty list, which SQL cannot express.
   * @throws {ParameterError} for an item that is not data, with its position.
   */
  list(values: readonly unknown[]): Fragment
}

/**
 * The tag of a dialect. It reads texts by the rules of that dialect. `db.sql` makes the same fragments and binds them to a
 * database. A fragment that runs on a database of another dialect is rewritten for that dialect.
 */
export function tagFor(dialect: Dialect): Sql {
  // Made when it is used: a dialect is loaded by programs that never do.
  let commas: Fragment | null = null
  const comma = (): Fragment => (commas ??= new SqlFragment(dialect, plain(dialect, ', ')))
  return Object.assign(
    <Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Fragment<Row> =>
      compose<Row>(dialect, strings, values),
    {
      identifier: (...path: readonly string[]): Fragment => identifier(dialect, path),
      raw: (text: string): Fragment => raw(dialect, text),
      join: (items: readonly unknown[], separator: Fragment = comma()): Fragment =>
        new SqlFragment(dialect, joined(dialect, items, separator)),
      list(values: readonly unknown[]): Fragment {
        const whole = new Composition()
        whole.text('(')
        whole.piece(joined(dialect, values, comma()))
        whole.text(')')
        return new SqlFragment(dialect, whole)
      },
    },
  )
}

export function isFragment(value: unknown): value is Fragment {
  return typeof value === 'object' && value !== null && pieceOf(value) !== undefined
}

/** What a fragment is made of, before it is written for a database. */
export function partsOfFragment(fragment: Fragment): Parts {
  return partsOf(pieceOf(fragment) as Piece)
}

/** What the tag does, for the tags of databases: `values` belong to the fragment from now on. Throws as `Sql` does. */
export function compose<Row>(
  dialect: Dialect,
  strings: TemplateStringsArray,
  values: readonly unknown[],
): Fragment<Row> {
  const { texts, uses, text, quoted } = templateOf(dialect, strings)
  if (values.length !== uses.length) throw new UsageError(misused)
  let nested: (Piece | undefined)[] | undefined
  for (let index = 0; index < values.length; index++) {
    const piece = nestedPiece(dialect, values[index], index, 'Value')
    if (piece !== undefined) (nested ??= [])[index] = piece
    if (quoted.has(index) && (piece === undefined || placeholdersOf(piece) > 0))
      throw new UsageError(`Value ${index + 1} of the template stands inside quotes or a comment: leave those out.`)
  }
  if (nested === undefined) return new SqlFragment<Row>(dialect, { texts, uses, params: values }, text)
  const whole = new Composition()
  for (let index = 0; index < texts.length; index++) {
    whole.text(texts[index] ?? '')
    if (index < values.length) add(whole, values[index], nested[index])
  }
  return new SqlFragment<Row>(dialect, whole)
}

/** Set by the class body, the only code that sees the private field. */
let pieceOf: (value: object) => Piece | undefined

class SqlFragment<Row> implements Fragment<Row> {
  readonly #piece: Piece
  /** By which it was read, and mostly is written. */
  readonly #dialect: Dialect
  /** As that one writes it, where every place is for a value of its own. */
  #text: string | undefined

  static {
    pieceOf = (value) => (#piece in value ? value.#piece : undefined)
  }

  constructor(dialect: Dialect, piece: Piece, text?: string) {
    this.#dialect = dialect
    this.#piece = piece
    this.#text = text
  }

  [toStatement](_most?: number, dialect: Dialect = this.#dialect): Statement<Row> {
    const parts = partsOf(this.#piece)
    if (dialect !== this.#dialect) return this.#foreign(dialect, parts)
    if (this.#text !== undefined) return { sql: this.#text, params: parts.params }
    const made = place(dialect, parts)
    if (made.params === parts.params) this.#text = made.sql
    return made
  }

  /** For a database whose SQL is not the one it was read by. */
  #foreign(dialect: Dialect, parts: Parts): Statement<Row> {
    const made = place(dialect, parts)
    if (readsAlike(dialect, made.sql, placeholdersOf(parts))) return made
    throw new UsageError(
      `This SQL was written before it was known that it runs on ${dialect.title}, which reads its quotes, comments or ` +
        'placeholders differently. Write it with db.sql of that database.',
    )
  }

  [inspected](): string {
    const { sql: text, params } = this[toStatement]()
    return `Fragment { ${text} } with ${params.length === 1 ? '1 value' : `${params.length} values`}`
  }
}

/** The fragment behind a query that was made on an executor, so that it is taken as it is. Throws where the query may not run. */
export const asFragment: unique symbol = Symbol('genever.fragment')

/** What a value that is SQL itself is made of; `undefined` for a parameter. */
function nestedPiece(dialect: Dialect, value: unknown, index: number, kind: 'Value' | 'Item'): Piece | undefined {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
    const piece = pieceOf(value)
    if (piece !== undefined) return piece
    if (value instanceof Placeholder) return undefined
    if (isQuery(value)) return queryPiece(dialect, value)
    const statement = embed(value, dialect)
    if (statement !== undefined) return cut(dialect, statement)
  }
  const reason = refusal(value)
  if (reason === undefined) return undefined
  throw new ParameterError(`${kind} ${index + 1} of the ${kind === 'Value' ? 'template' : 'list'} ${reason}.`)
}

function queryPiece(dialect: Dialect, query: ToStatement & { [asFragment]?: () => unknown }): Piece {
  const fragment = query[asFragment]?.()
  return (isFragment(fragment) ? pieceOf(fragment) : undefined) ?? cut(dialect, query[toStatement](0, dialect))
}

function add(whole: Composition, value: unknown, piece: Piece | undefined): void {
  if (piece === undefined) whole.value(value)
  else whole.piece(piece)
}

function identifier(dialect: Dialect, path: readonly string[]): Fragment {
  if (path.length === 0) throw new UsageError("sql.identifier() needs a name, such as sql.identifier('users').")
  const name = new Ref(path)
  // It is quoted for the database it runs on, and refused here.
  name.quoted(dialect)
  return new SqlFragment(dialect, { texts: ['', ''], uses: [0], params: [name] })
}

function raw(dialect: Dialect, text: string): Fragment {
  if (typeof text !== 'string') throw new UsageError(`sql.raw takes a string, not ${describeType(text)}.`)
  return new SqlFragment(dialect, plain(dialect, text))
}

function joined(dialect: Dialect, items: readonly unknown[], separator: Fragment): Piece {
  const between = isFragment(separator) ? pieceOf(separator) : undefined
  if (between === undefined) throw new UsageError('The separator of sql.join is a fragment: write sql` and `.')
  if (!Array.isArray(items))
    throw new UsageError(`A list of values or fragments must be an array, not ${describeType(items)}.`)
  if (items.length === 0)
    throw new UsageError(
      'An empty list has no SQL: leave the clause out, or compare with = any(${array}), which may be empty.',
    )
  const whole = new Composition()
  for (let index = 0; index < items.length; index++) {
    if (index > 0) whole.piece(between)
    add(whole, items[index], nestedPiece(dialect, items[index], index, 'Item'))
  }
  return whole
}
