// A statement that is written once and run with other values each time: its text, where values go, and what it was compiled
// to on each engine. Made by `db.bake` and shared by all its copies. It sends nothing and holds no value of a call.
import { ParameterError } from '../../errors/index.ts'
import type { Compiled } from '../compiled.ts'
import type { StatementCache } from '../compile.ts'
import { bindNamed, checkPositional, parseNamed, refusal } from '../parameters.ts'
import type { Params, Statement } from '../statement.ts'
import { classify } from '../text/classify.ts'
import { Placeholder } from './placeholder.ts'
import { describeType } from '../../util/checks.ts'

const none: readonly unknown[] = Object.freeze([])
const nothing: Readonly<Record<string, unknown>> = Object.freeze({})

export class Plan {
  /** As it was written. */
  readonly text: string
  /** With `$1 …`. */
  readonly sql: string
  /** How many values the server gets. */
  readonly parameters: number
  /** In the order of their first use; null for `$1 …`. */
  readonly names: readonly string[] | null
  /** Of a built query: for each parameter its value, or a placeholder. */
  readonly #slots: readonly unknown[] | null
  /** Every slot is the name at the same place, as it is. */
  readonly #straight: boolean
  readonly #places: ReadonlyMap<string, number>
  /** It may run without values whatever `$1` it holds. */
  readonly #optional: boolean
  /** Of the engine that used it last. Others are looked up. */
  #statements: StatementCache | null = null
  #compiled: Compiled | null = null
  readonly #known = new WeakMap<StatementCache, Compiled>()

  private constructor(
    text: string,
    sql: string,
    count: number,
    names: readonly string[] | null,
    slots: Slots,
    optional = false,
  ) {
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
  static ofText(text: string): Plan {
    const named = parseNamed(text)
    if (named === null) {
      const found = classify(text)
      return new Plan(text, text, found.parameters, null, null, !found.valued)
    }
    return new Plan(text, named.text, named.names.length, named.names, null)
  }

  /** Of a built query, with `Placeholder`s among its parameters. @throws {ParameterError} when they do not fit its text. */
  static ofStatement({ sql, params }: Pick<Statement, 'sql' | 'params'>): Plan {
    const fixed = params.map((value) => (value instanceof Placeholder ? null : value))
    checkPositional(classify(sql).parameters, fixed, sql)
    const names = new Set<string>()
    for (const value of params) if (value instanceof Placeholder) names.add(value.name)
    return new Plan(sql, sql, params.length, [...names], params)
  }

  /** Whether it runs without values. */
  get bare(): boolean {
    return this.names === null ? this.#optional || this.parameters === 0 : this.names.length === 0
  }

  /** Compiled once per engine, under one name on all its connections. @throws {UsageError} for a text with NUL. */
  on(statements: StatementCache): Compiled {
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
   * @throws {ParameterError} when they do not fit the placeholders, or a value is no data.
   */
  values(given: Params | undefined): readonly unknown[] {
    const { names } = this
    if (names === null) return this.#positional(given)
    if (names.length === 0 && Array.isArray(given) && given.length === 0) return this.values(undefined)
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
      throw this.#refused(`an object with ${names.length === 0 ? 'no members' : 'a value for each name'}`, given)
    const slots = this.#slots
    const values = bindNamed(names, (given ?? nothing) as Readonly<Record<string, unknown>>, this.text)
    if (slots === null || this.#straight) return values
    return slots.map((slot) => (slot instanceof Placeholder ? this.#encoded(slot, values) : slot))
  }

  #positional(given: Params | undefined): readonly unknown[] {
    const values = given ?? none
    if (given === undefined && this.#optional) return none
    if (Array.isArray(values)) {
      checkPositional(this.parameters, values as readonly unknown[], this.text)
      return values as readonly unknown[]
    }
    if (this.parameters > 0 || typeof values !== 'object') throw this.#refused('an array for $1 …', values)
    return bindNamed([], values as Readonly<Record<string, unknown>>, this.text)
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
