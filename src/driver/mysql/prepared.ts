// The statements that one session has prepared. A statement keeps the database and the sql_mode of its PREPARE, so both are part of its key.
import type { Column } from './packets.ts'
import { decoderOf, type RowDecoder, shapeOf } from './rows.ts'
import type { Conversions } from './types.ts'
import type { RowSpec, Shape } from '../../sql/compiled.ts'

/** With the decoder of its last answer, which fits the next one if columns and specification are the same. */
export class Statement {
  readonly id: number
  readonly parameters: number
  /** `''`: it is closed when it has run. */
  key = ''
  /** Since it was passed over the last time. */
  used = false
  columns: readonly Column[] | null = null
  shape: Shape | null = null
  spec: RowSpec | null = null
  decode: RowDecoder | null = null

  constructor(id: number, parameters: number) {
    this.id = id
    this.parameters = parameters
  }
}

/** A bounded cache with second chance: in the order in which they came, those that were used are passed over once. */
export class PreparedStatements {
  readonly #size: number
  readonly #kept = new Map<string, Statement>()

  constructor(size: number) {
    this.#size = size
  }

  get size(): number {
    return this.#kept.size
  }

  get(key: string): Statement | undefined {
    const known = this.#kept.get(key)
    if (known !== undefined) known.used = true
    return known
  }

  /** Gives those that have to go. */
  add(key: string, statement: Statement): readonly Statement[] {
    const before = this.#kept.get(key)
    const gone: Statement[] = before === undefined ? [] : [before]
    this.#kept.delete(key)
    for (const [first, each] of this.#kept) {
      if (this.#kept.size < this.#size) break
      this.#kept.delete(first)
      if (each.used) this.#enter(each)
      else gone.push(each)
    }
    statement.key = key
    this.#enter(statement)
    return gone
  }

  /** At the end. */
  #enter(statement: Statement): void {
    statement.used = false
    this.#kept.set(statement.key, statement)
  }

  /** The server does not have it any more, or not for long. */
  remove(statement: Statement): void {
    if (this.#kept.get(statement.key) === statement) this.#kept.delete(statement.key)
  }

  /** Gives all there were. */
  clear(): readonly Statement[] {
    const all = [...this.#kept.values()]
    this.#kept.clear()
    return all
  }
}

/** The decoder of rows with these columns: that of the answer before, if it fits. */
export function decoderIn(
  statement: Statement,
  columns: readonly Column[],
  spec: RowSpec | null,
  as: Conversions,
): RowDecoder {
  const same = sameColumns(statement.columns, columns)
  if (!same) statement.shape = shapeOf(columns)
  if (statement.decode !== null && statement.spec === spec && same) return statement.decode
  const made = decoderOf(columns, spec, as, true)
  statement.columns = columns
  statement.spec = spec
  statement.decode = made
  return made
}

/** Whether rows with these columns are read in the same way. */
function sameColumns(one: readonly Column[] | null, other: readonly Column[]): boolean {
  if (one === null || one.length !== other.length) return false
  return one.every((column, i) => {
    const { name, type, flags, length, charset, decimals, json } = other[i] as Column
    return (
      column.name === name &&
      column.type === type &&
      column.flags === flags &&
      column.length === length &&
      column.charset === charset &&
      column.decimals === decimals &&
      column.json === json
    )
  })
}
