// A statement that is written once and run with other values each time: its text, where values go, and what it was compiled
// to on each engine. Made by `db.bake` and shared by all its copies. It sends nothing and holds no value of a call.
import { ParameterError, UsageError } from '../errors/index.ts'
import type { Compiled, RowSpec } from './compiled.ts'
import type { Dialect } from './dialect.ts'
import { bindNamed, checkPositional, namedForm, placeholderNames, refusal } from './parameters.ts'
import {
  adaptBaked,
  type Decode,
  type Forms,
  type Loading,
  type Params,
  type Planned,
  queryOf,
  type Rows,
  rowsInto,
  type Statement,
  type Statements,
} from './statement.ts'
import { describeType } from '../util/options.ts'
import { Printable } from '../util/thrown.ts'

// What stands in a query for a value that is given later. Made while a query is baked, found by plans among the parameters,
// and nothing that could be sent: whoever computes with it is told at once.

/** Drizzle knows its classes by this name, across copies of itself: so its conditions and columns take ours as one of its own. */
const entityKind: symbol = Symbol.for('drizzle:entityKind')

export class Placeholder extends Printable {
  readonly name: string
  /** What a builder does to the value before it is sent. */
  readonly encode: ((value: unknown) => unknown) | null

  constructor(name: string, encode: ((value: unknown) => unknown) | null = null) {
    super()
    this.name = name
    this.encode = encode
  }

  toJSON(): never {
    throw unknownYet(this.name)
  }

  [Symbol.toPrimitive](): never {
    throw unknownYet(this.name)
  }

  static {
    Object.defineProperty(this, entityKind, { value: 'Placeholder' })
  }

  override toString(): string {
    return `:${this.name}`
  }
}

/** Gives a placeholder for whatever member is read. */
export function placeholders(): object {
  const made = new Map<string, Placeholder>()
  return new Proxy(Object.freeze({}), {
    get(_, name) {
      if (typeof name === 'symbol')
        throw new UsageError('The parameters of a baked query have names: read them one by one, as in (p) => p.id.')
      let placeholder = made.get(name)
      if (placeholder === undefined) made.set(name, (placeholder = new Placeholder(name)))
      return placeholder
    },
  })
}

function unknownYet(name: string): UsageError {
  return new UsageError(
    `The value of :${/^\w{1,40}$/.test(name) ? name : '…'} is not known while the query is being baked, so nothing can be computed with it. ` +
      'Compute in SQL, or before you pass the value.',
  )
}

const none: readonly unknown[] = Object.freeze([])
const nothing: Readonly<Record<string, unknown>> = Object.freeze({})

export class Plan implements Planned {
  /** As it was written. */
  readonly text: string
  readonly dialect: Dialect
  /** With positional placeholders. */
  readonly sql: string
  /** How many values the server gets. */
  readonly parameters: number
  /** One for each value that is sent, in their order; null for positional placeholders. */
  readonly names: readonly string[] | null
  /** Of a built query: for each parameter its value, or a placeholder. */
  readonly #slots: readonly unknown[] | null
  /** Every slot is the name at the same place, as it is. */
  readonly #straight: boolean
  readonly #places: ReadonlyMap<string, number>
  /** It may run without values whatever `$1` it holds. */
  readonly #optional: boolean
  /** Of the engine that used it last. Others are looked up. */
  #statements: Statements | null = null
  #compiled: Compiled | null = null
  readonly #known = new WeakMap<Statements, Compiled>()
  readonly #again: (dialect: Dialect) => Plan
  /** The same for another dialect, once it ran on one. */
  #twin: Plan | null = null

  private constructor(
    dialect: Dialect,
    text: string,
    sql: string,
    count: number,
    names: readonly string[] | null,
    slots: Slots,
    again: (dialect: Dialect) => Plan,
    optional = false,
  ) {
    this.#again = again
    this.dialect = dialect
    this.text = text
    this.sql = sql
    this.parameters = count
    this.names = names
    this.#slots = slots
    this.#places = new Map(names?.map((name, index) => [name, index]))
    this.#optional = optional
    this.#straight = slots === null || slots.every((slot, i) => slot instanceof Placeholder && isPlain(slot, names, i))
  }

  /** @throws {ParameterError} when the text mixes `$1` and `:name`. */
  static ofText(dialect: Dialect, text: string): Plan {
    const again = (other: Dialect): Plan => Plan.ofText(other, text)
    const named = namedForm(dialect, text)
    if (named === null) {
      const found = dialect.classify(text)
      return new Plan(dialect, text, text, found.parameters, null, null, again, !found.valued)
    }
    return new Plan(dialect, text, named.text, named.names.length, named.names, null, again)
  }

  /** The plan of a built query with `Placeholder`s among its parameters. @throws {ParameterError} when they do not fit its text. */
  static ofStatement(dialect: Dialect, statement: Statement, again: (dialect: Dialect) => Statement): Plan {
    const { sql, params } = statement
    const fixed = params.map((value) => (value instanceof Placeholder ? null : value))
    checkPositional(dialect, dialect.classify(sql).parameters, fixed, sql)
    const names = new Set<string>()
    for (const value of params) if (value instanceof Placeholder) names.add(value.name)
    return new Plan(dialect, sql, sql, params.length, [...names], params, (other) =>
      Plan.ofStatement(other, again(other), again),
    )
  }

  /** The plan for an engine: this one, unless that speaks another dialect than the one it was baked for. */
  for(dialect: Dialect): Plan {
    if (dialect === this.dialect) return this
    if (this.#twin?.dialect !== dialect) this.#twin = this.#again(dialect)
    return this.#twin
  }

  /** Whether it runs without values. */
  get bare(): boolean {
    return this.names === null ? this.#optional || this.parameters === 0 : this.names.length === 0
  }

  /** Compiled once per engine, under one name on all its connections. @throws {UsageError} for a text with NUL. */
  on(statements: Statements): Compiled {
    if (this.#statements === statements) return this.#compiled as Compiled
    let compiled = this.#known.get(statements)
    if (compiled === undefined) this.#known.set(statements, (compiled = statements.bake(this.sql)))
    this.#statements = statements
    this.#compiled = compiled
    return compiled
  }

  /**
   * The values of one call in the order of `$1 …`: an array for `$1 …`, an object for names.
   *
   * @throws {ParameterError} when they do not fit the placeholders, or a value is not data.
   */
  values(given: Params | undefined): readonly unknown[] {
    const { names } = this
    if (names === null) return this.#positional(given)
    if (names.length === 0 && Array.isArray(given) && given.length === 0) return this.values(undefined)
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
      throw this.#refused(`an object with ${names.length === 0 ? 'no members' : 'a value for each name'}`, given)
    const slots = this.#slots
    const values = bindNamed(this.dialect, names, (given ?? nothing) as Readonly<Record<string, unknown>>, this.text)
    if (slots === null || this.#straight) return values
    return slots.map((slot) => (slot instanceof Placeholder ? this.#encoded(slot, values) : slot))
  }

  #positional(given: Params | undefined): readonly unknown[] {
    const values = given ?? none
    if (given === undefined && this.#optional) return none
    if (Array.isArray(values)) {
      checkPositional(this.dialect, this.parameters, values as readonly unknown[], this.text)
      return values as readonly unknown[]
    }
    if (this.parameters > 0 || typeof values !== 'object')
      throw this.#refused(`an array for ${placeholderNames(this.dialect)}`, values)
    return bindNamed(this.dialect, [], values as Readonly<Record<string, unknown>>, this.text)
  }

  #encoded({ name, encode }: Placeholder, values: readonly unknown[]): unknown {
    const value = values[this.#places.get(name) ?? -1]
    if (encode === null || value === null) return value
    let encoded: unknown
    try {
      encoded = encode(value)
    } catch {
      throw this.#error(`The column that parameter :${name} is for cannot take ${describeType(value)}.`)
    }
    const reason = refusal(encoded)
    if (reason !== undefined) throw this.#error(`Parameter :${name}, as its column writes it, ${reason}.`)
    return encoded
  }

  #refused(wanted: string, given: unknown): ParameterError {
    return this.#error(`The parameters of this statement are ${wanted}, not ${describeType(given)}.`)
  }

  #error(message: string): ParameterError {
    return new ParameterError(message, { statement: { sql: this.text } })
  }
}

type Slots = readonly unknown[] | null

const isPlain = ({ name, encode }: Placeholder, names: readonly string[] | null, index: number): boolean =>
  encode === null && names?.[index] === name

// A plan and what its rows become. Executors run it with values of their own, like a text; copies with another loader share
// the plan, and so what was compiled and prepared.
/** How a row is decoded: by a function of the row, a specification for the driver, or a function of a page of rows. */
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
  readonly value: Statement['value']
  readonly maxRows: 0 | undefined
  /** It runs on databases of this family alone. */
  readonly dialect: string | undefined
  readonly loaded: true | undefined
  /** What it is without a loader, and what the loader makes of that. */
  readonly #plain: Recipe
  readonly #load: Load | null
  /** Null: it is written in one way, whoever runs it. */
  readonly #forms: Forms | null
  /** As it is written for others, and how much was known then. */
  readonly #written = new Map<number, Recipe>()
  #version: number

  private constructor(
    plan: Plan,
    { spec, decode, value, maxRows, dialect, loaded }: Rows,
    forms: Forms | null,
    plain?: Recipe,
    load: Load | null = null,
  ) {
    this.plan = plan
    this.#forms = forms
    this.#version = forms?.version() ?? 0
    this.#load = load
    this.spec = spec ?? null
    this.decode = decode ?? null
    this.value = value
    this.maxRows = maxRows
    this.loaded = loaded
    this.dialect = dialect
    this.#plain = plain ?? this
  }

  /**
   * Bakes a text, a built query, or a function that builds one with placeholders. `built`: what it has given.
   *
   * @throws {UsageError} for a value that is not a query. @throws {ParameterError} when its placeholders do not fit.
   */
  static of(dialect: Dialect, query: unknown, built?: unknown): Recipe {
    if (typeof query === 'string') return new Recipe(Plan.ofText(dialect, query), {}, null)
    const baked = (query as { readonly [toRecipe]?: () => Recipe } | null | undefined)?.[toRecipe]
    if (baked !== undefined) return baked.call(query)
    const adapted = (each: Dialect): Statement => adaptBaked(queryOf(query, placeholders), each)
    const statement = built === undefined ? adapted(dialect) : adaptBaked(built, dialect)
    return new Recipe(Plan.ofStatement(dialect, statement, adapted), statement, statement.forms ?? null)
  }

  /** The same query with this loader instead of any other. @throws {UsageError} for a value that is not a loader. */
  loading(loader: RowLoader<never, unknown>): Recipe {
    const plain = this.#plain
    if (typeof loader !== 'function') checkLoader(loader)
    if (typeof loader !== 'function' && 'into' in loader)
      return new Recipe(plain.plan, { spec: loader, loaded: true }, null, plain)
    const own: Decode =
      typeof loader === 'function' ? eachRow(loader) : (rows) => loader.decode(rows as readonly never[])
    const load: Load = (of) => ({ ...decoding(of, own), loaded: true })
    return new Recipe(plain.plan, load(plain), plain.#forms, plain, load)
  }

  /** It, and as others have run it. */
  get plans(): readonly Plan[] {
    return [this.plan, ...[...this.#written.values()].map(({ plan }) => plan)]
  }

  /** Whether it is written in other ways for others. */
  get hasForms(): boolean {
    return this.#forms !== null
  }

  /** As it is written for a caller that can use so many results, 0 for all, and reads them all at once or not. */
  form(most: number, atOnce: boolean): Recipe {
    const forms = this.#forms
    if (forms === null) return this
    const version = forms.version()
    if (version !== this.#version) this.#written.clear()
    this.#version = version
    const key = atOnce ? most : ~most
    let form = this.#written.get(key)
    if (form === undefined) this.#written.set(key, (form = this.#form(forms, most, atOnce)))
    return form
  }

  #form(forms: Forms, most: number, atOnce: boolean): Recipe {
    if (this.#load !== null) {
      const plain = this.#plain.form(most, atOnce)
      return new Recipe(plain.plan, this.#load(plain), null, plain)
    }
    const again = (): Statement => forms.of(most, atOnce)
    const statement = again()
    return new Recipe(Plan.ofStatement(this.plan.dialect, statement, again), statement, null)
  }

  /** The same query with rows that become this, instead of any loader. @throws {UsageError} as `rowsInto`. */
  into(loading: Loading): Recipe {
    const plain = this.#plain
    return new Recipe(plain.plan, { value: plain.value, ...rowsInto(loading, plain) }, null, plain)
  }

  /** The statement with these values, for code that takes any query. */
  statement<R>(plan: Plan, params: readonly unknown[]): Statement<R> {
    const { spec, decode, value, maxRows, dialect, loaded } = this
    return {
      sql: plan.sql,
      params,
      plan,
      spec: (spec ?? undefined) as RowSpec<R> | undefined,
      decode: (decode ?? undefined) as Statement<R>['decode'],
      value,
      maxRows,
      dialect,
      loaded,
    }
  }
}

/** A loader of rows, compiled for a query. */
type Load = (plain: Recipe) => Rows

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

// The plans of one `Db`: what an engine with `prebake` prepares on each new connection. It keeps as many as a program writes
// down; what is baked in a loop is not kept for ever.
const most = 1000

export class Bakery {
  readonly #recipes = new Set<Recipe>()

  add(recipe: Recipe): void {
    if (this.#recipes.size < most) this.#recipes.add(recipe)
  }

  get plans(): Iterable<Plan> {
    return new Set([...this.#recipes].flatMap(({ plans }) => plans))
  }
}
