// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { Failure, Op } from '../driver.ts'
import type { Field, RowSpec, Shape } from '../../sql/compiled.ts'
import type { RowDecoder } from './decode.ts'
import type { Encoded } from './encode.ts'

/** The fields of an ErrorResponse by name. */
export type Fields = Readonly<Record<string, string>>

export class Prepared {
  readonly name: string
  /** As described on this very session: another session may see other tables under the same names. */
  shape: Shape | null = null
  /** Looked up since the clock's hand came by. */
  used = true
  /** The decoder of the last run and the specification it was for. */
  spec: RowSpec | null = null
  decoder: RowDecoder | null = null

  constructor(name: string) {
    this.name = name
  }
}

/** One operation and what is known of it during the exchange. */
export class Step {
  readonly op: Op
  /** Null: unnamed. */
  entry: Prepared | null = null
  parse = true
  /** Null until the server has described a statement whose parameters cannot be written without their types. */
  values: Encoded[] | null = null
  asked = false
  declared: readonly number[] | null = null
  types: readonly number[] | null = null
  decoder: RowDecoder | null = null
  received = 0
  failure: Failure | null = null

  constructor(op: Op) {
    this.op = op
  }
}

/** A bounded cache with second chance: a clock's hand passes over what was used and takes the first that was not. */
export class PreparedCache {
  readonly #limit: number
  readonly #known = new Map<string, Prepared>()
  #ring: Prepared[] = []
  #hand = 0
  #closing: string[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The steps of a unit, with room made for what is new in it; when there is none it runs unnamed. */
  plan(ops: readonly Op[], prefix: string): Step[] {
    const known = new Set<Prepared>()
    const fresh = new Map<string, Prepared>()
    const steps = ops.map((op) => {
      const step = new Step(op)
      if (op.stmt.name === '' || op.stmt.cls === 'multi') return step
      const name = prefix + op.stmt.name
      const found = this.#known.get(name)
      step.parse = found === undefined && !fresh.has(name)
      step.entry = found ?? fresh.get(name) ?? new Prepared(name)
      step.entry.used = true
      if (found === undefined) fresh.set(name, step.entry)
      else known.add(found)
      return step
    })
    if (fresh.size === 0 || this.#makeRoom(fresh.size, known)) return steps
    for (const step of steps) {
      if (step.entry === null || !fresh.has(step.entry.name)) continue
      step.entry = null
      step.parse = true
    }
    return steps
  }

  /** The server has parsed it. */
  add(statement: Prepared): void {
    this.#known.set(statement.name, statement)
    this.#ring.push(statement)
  }

  /** It must be parsed again before it runs; the server is told to close it with the next packet. */
  forget(statement: Prepared): void {
    if (this.#known.get(statement.name) !== statement) return
    this.#known.delete(statement.name)
    this.#ring.splice(this.#ring.indexOf(statement), 1)
    this.#closing.push(statement.name)
  }

  /** The server has dropped all of them by itself. */
  clear(): void {
    this.#known.clear()
    this.#ring = []
    this.#hand = 0
    this.#closing = []
  }

  names(): Iterable<string> {
    return this.#known.keys()
  }

  /** The names to close at the head of the next packet, where no failing statement can skip that. */
  takeClosing(): readonly string[] {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    return closing
  }

  /** Passes over those that are about to run. */
  #makeRoom(count: number, spared: ReadonlySet<Prepared>): boolean {
    if (count + spared.size > this.#limit) return false
    while (this.#ring.length + count > this.#limit) {
      if (this.#hand >= this.#ring.length) this.#hand = 0
      const candidate = this.#ring[this.#hand] as Prepared
      if (candidate.used || spared.has(candidate)) {
        candidate.used = false
        this.#hand++
      } else this.forget(candidate)
    }
    return true
  }
}

/** The server no longer has the statement, or no longer with that result. The messages are translated, the routine is not. */
export function isStale({ code, routine }: Fields): boolean {
  return code === '26000' || (code === '0A000' && routine === 'RevalidateCachedQuery')
}

export function sameShape(known: Shape, params: readonly number[], fields: readonly Field[]): boolean {
  const { params: knownParams, fields: knownFields } = known
  if (params.length !== knownParams.length || fields.length !== knownFields.length) return false
  if (params !== knownParams && params.some((type, i) => type !== knownParams[i])) return false
  return fields.every((field, i) => {
    const other = knownFields[i] as Field
    return (
      field.name === other.name &&
      field.type === other.type &&
      field.table === other.table &&
      field.column === other.column
    )
  })
}
