// A plan and what its rows become. Executors run it with values of their own, like a text; copies with another loader share
// the plan, and so what was compiled and prepared.
import { UsageError } from '../../errors/index.ts'
import type { RowSpec } from '../compiled.ts'
import { adaptBaked, type Statement, type Within } from '../statement.ts'
import { placeholders } from './placeholder.ts'
import { Plan } from './plan.ts'
import { describeType } from '../../util/checks.ts'

type Decode = (rows: readonly unknown[], within: Within | null) => readonly unknown[]

/** What a row becomes: a function of the row, a specification for the driver, or a function of a page of rows. */
export type RowLoader<Raw, T> =
  | ((row: Raw) => T)
  | RowSpec<T>
  | { readonly decode: (rows: readonly Raw[]) => readonly T[] }

/** How a baked statement gives what it is to executors. */
export const toRecipe: unique symbol = Symbol('genever.recipe')

export class Recipe {
  readonly plan: Plan
  readonly spec: RowSpec | null
  readonly decode: Decode | null
  readonly value: ((rows: readonly unknown[]) => unknown) | undefined
  readonly maxRows: 0 | undefined
  /** What it is without a loader. */
  readonly #plain: Recipe

  private constructor(plan: Plan, { spec, decode, value, maxRows }: Rows, plain?: Recipe) {
    this.plan = plan
    this.spec = spec ?? null
    this.decode = decode ?? null
    this.value = value
    this.maxRows = maxRows
    this.#plain = plain ?? this
  }

  /**
   * Of a text, a built query, or a function that builds one with placeholders.
   *
   * @throws {UsageError} for what is no query. @throws {ParameterError} when its placeholders do not fit.
   */
  static of(query: unknown): Recipe {
    if (typeof query === 'string') return new Recipe(Plan.ofText(query), {})
    const baked = (query as { readonly [toRecipe]?: () => Recipe } | null | undefined)?.[toRecipe]
    if (baked !== undefined) return baked.call(query)
    const statement = adaptBaked(query, placeholders)
    return new Recipe(Plan.ofStatement(statement), statement)
  }

  /** With a loader instead of any other. @throws {UsageError} when it is none. */
  loading(loader: RowLoader<never, unknown>): Recipe {
    const plain = this.#plain
    const rows = typeof loader === 'function' ? decoding(plain, eachRow(loader)) : ofObject(plain, loader)
    return new Recipe(plain.plan, rows, plain)
  }

  /** The statement with these values, for code that takes any query. */
  statement<R>(params: readonly unknown[]): Statement<R> {
    const { plan, spec, decode, value, maxRows } = this
    return {
      sql: plan.sql,
      params,
      plan,
      spec: (spec ?? undefined) as RowSpec<R> | undefined,
      decode: (decode ?? undefined) as Statement<R>['decode'],
      value,
      maxRows,
    }
  }
}

/** What rows become. */
interface Rows {
  readonly spec?: RowSpec | null | undefined
  readonly decode?: Decode | null | undefined
  readonly value?: Statement['value']
  readonly maxRows?: 0 | undefined
}

function ofObject(plain: Recipe, loader: Exclude<RowLoader<never, unknown>, (row: never) => unknown>): Rows {
  checkLoader(loader)
  if ('into' in loader) return { spec: loader }
  return decoding(plain, (rows) => loader.decode(rows as readonly never[]))
}

function decoding({ spec, decode, value, maxRows }: Recipe, own: Decode): Rows {
  return { spec, decode: after(decode, own), value, maxRows }
}

function eachRow(load: (row: never) => unknown): Decode {
  return (rows) => rows.map((row) => load(row as never))
}

function after(first: Decode | null, second: Decode): Decode {
  return first === null ? second : (rows, within) => second(first(rows, within), within)
}

function checkLoader(loader: unknown): void {
  if (typeof loader === 'object' && loader !== null) {
    const { into, decode } = loader as { readonly into?: unknown; readonly decode?: unknown }
    if (into === 'object' || into === 'array' || into === 'scalar' || typeof decode === 'function') return
  }
  throw new UsageError(
    `A loader is a function of a row, a specification of rows or an object with decode(rows), not ${describeType(loader)}.`,
  )
}
