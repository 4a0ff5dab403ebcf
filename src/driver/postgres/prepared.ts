// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { Failure, Op } from '../driver.ts'
import type { Compiled, Field, RowSpec, Shape } from '../../sql/compiled.ts'
import { decoderFor, type RowDecoder, shapeKey } from './rows/decoder.ts'
import type { Encoded } from './encode.ts'
import type { Int8 } from './rows/type-table.ts'

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
  /** The server may be asked for types and columns at once, before the parameters. */
  describable = true
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

  /** The server has described the result: what is new of it is kept for this session and for all others. */
  describe(fields: readonly Field[], int8: Int8): void {
    const { stmt } = this.op
    const known = this.entry?.shape ?? stmt.shape
    const params = this.types ?? known?.params ?? []
    const shape = known !== null && sameShape(known, params, fields) ? known : { params, fields, key: shapeKey(fields) }
    if (stmt.cls !== 'multi') stmt.shape = shape
    if (this.entry !== null && this.entry.shape !== shape) {
      this.entry.shape = shape
      this.entry.decoder = null
    }
    this.#decodeAs(shape, int8)
  }

  /** The statement was parsed on this session and its result is known; a changed one fails with 0A000. */
  knowsResult(int8: Int8): boolean {
    const shape = this.entry?.shape ?? null
    if (shape === null || !planned.test(this.op.stmt.verb)) return false
    this.#decodeAs(shape, int8)
    return true
  }

  #decodeAs(shape: Shape, int8: Int8): void {
    const { entry, op } = this
    if (shape.fields.length === 0) return
    if (entry === null || entry.decoder === null || entry.spec !== op.spec) {
      try {
        this.decoder = decoderFor(shape, op.spec, int8)
      } catch (cause) {
        this.failure = { kind: 'decode', outcome: 'unknown', cause }
      }
      if (entry === null) return
      entry.spec = op.spec
      entry.decoder = this.decoder
    } else this.decoder = entry.decoder
  }
}

// Only plans are checked by the server for a changed result; the columns of a FETCH or EXECUTE are asked for every time.
const planned = /^(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)$/

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

  /** Those of a list that can be prepared and are not yet; as many as are kept. */
  unknown(statements: readonly Compiled[], prefix: string): Compiled[] {
    const named = statements.filter(({ name, cls }) => name !== '' && cls !== 'multi')
    return named.filter(({ name }) => !this.#known.has(prefix + name)).slice(0, this.#limit - this.#known.size)
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

/**
 * A type has become another since the statement's parameters got theirs, or is gone, its name perhaps another's. For the latter
 * there is no SQLSTATE of its own; errors that users should never see are not translated.
 */
export function isRetyped({ code, message = '' }: Fields): boolean {
  if (code === 'XX000') return message.startsWith('cache lookup failed for type ')
  return code === '42804' || code === '42883' || code === '42846' || code === '42704'
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
