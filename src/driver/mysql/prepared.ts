// The statements that one session has prepared, in the order of their use. A statement keeps the database and the sql_mode of its
// PREPARE, so both are part of its key.
import type { Column } from './packets.ts'
import type { RowDecoder } from './rows.ts'
import type { RowSpec, Shape } from '../../sql/compiled.ts'

/** With the decoder of its last answer, which fits the next one if columns and specification are the same. */
export class Statement {
  readonly id: number
  readonly parameters: number
  columns: readonly Column[] | null = null
  shape: Shape | null = null
  spec: RowSpec | null = null
  decode: RowDecoder | null = null

  constructor(id: number, parameters: number) {
    this.id = id
    this.parameters = parameters
  }
}

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
    if (known === undefined) return undefined
    // The last of the map is the one used last.
    this.#kept.delete(key)
    this.#kept.set(key, known)
    return known
  }

  /** Gives those that have to go. */
  add(key: string, statement: Statement): readonly Statement[] {
    this.#kept.set(key, statement)
    const gone: Statement[] = []
    for (const [oldest, each] of this.#kept) {
      if (this.#kept.size <= this.#size) break
      this.#kept.delete(oldest)
      gone.push(each)
    }
    return gone
  }

  /** Gives all there were. */
  clear(): readonly Statement[] {
    const all = [...this.#kept.values()]
    this.#kept.clear()
    return all
  }
}

/** Whether rows with these columns are read in the same way. */
export function sameColumns(one: readonly Column[] | null, other: readonly Column[]): boolean {
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
