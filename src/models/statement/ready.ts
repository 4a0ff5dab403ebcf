// A statement of a model, ready to run: what executors are given. One small object for each call.
import type { RowSpec } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { type Statement, toStatement, type ToStatement, type Within } from '../../sql/statement.ts'

export type Decode<R> = (rows: readonly unknown[], within: Within | null) => R[]

/** Its own statement. */
export type Ready<R> = Statement<R> & ToStatement<R>

export function ready<R>(
  { dialect }: { readonly dialect: Dialect },
  sql: string,
  params: readonly unknown[],
  spec?: RowSpec<R>,
  decode?: Decode<R>,
): Ready<R> {
  return new ReadyStatement(dialect, sql, params, spec, decode)
}

class ReadyStatement<R> implements Statement<R>, ToStatement<R> {
  readonly sql: string
  readonly params: readonly unknown[]
  readonly spec: RowSpec<R> | undefined
  readonly decode: Decode<R> | undefined
  readonly dialect: string

  constructor(dialect: Dialect, sql: string, params: readonly unknown[], spec?: RowSpec<R>, decode?: Decode<R>) {
    this.dialect = dialect.family
    this.sql = sql
    this.params = params
    this.spec = spec
    this.decode = decode
  }

  [toStatement](): this {
    return this
  }
}

// Things that are made once for each shape of a statement and kept: texts, row specifications. A shape is a set of columns, so it
// comes from callers: bounded. Holds no values.
const most = 500

/** A number where there is room for it: to look up a text that was just made takes longer. */
export type Shape = string | number

/** Columns with an index up to this have a bit. */
const lastBit = 29

/** Of columns in the order of their table. */
export function shapeOf(parts: readonly { readonly column: { readonly index: number } }[]): Shape {
  let bits = 0
  for (const { column } of parts) {
    if (column.index > lastBit) return parts.map((part) => part.column.index).join()
    bits |= 1 << column.index
  }
  return bits
}

export class Shapes<T> {
  readonly #known = new Map<Shape, T>()

  peek(shape: Shape): T | undefined {
    return this.#known.get(shape)
  }

  get(shape: Shape, make: () => T): T {
    return this.#known.get(shape) ?? this.keep(shape, make())
  }

  keep(shape: Shape, made: T): T {
    if (this.#known.size >= most) this.#known.clear()
    this.#known.set(shape, made)
    return made
  }
}
