// A statement that a session has prepared, with its shape and its decoder.
import type { RowSpec, Shape } from '../../../sql/compiled.ts'
import type { PooledName } from './pooler.ts'
import type { RowDecoder } from '../rows/row-decoder.ts'

export class Prepared {
  /** On the server. */
  readonly name: string
  /** The engine's name. */
  readonly key: string
  /** What names meant, as name spaces number it, … */
  readonly path: number
  /** … and when, as they count changes of the catalogue. */
  readonly at: number
  /** Behind a pooler that keeps it, else null. */
  readonly pooled: PooledName | null
  /** As described on this very session: another session may see other tables under the same names. */
  shape: Shape | null = null
  /** Looked up since the clock's hand came by. */
  used = true
  /** The server has parsed it; before, it will have done so when what is written behind it comes to its turn. */
  parsed = false
  /** The last unit that used it, as its cache counts them. */
  unit = 0
  /** The decoder of the last run, … */
  #decoder: RowDecoder | null = null
  /** … and the specification it was for, what was known of types, and whether columns could be asked for in binary. */
  #spec: RowSpec | null = null
  #edition = 0
  #binary = false

  constructor(name: string, key: string, path: number, at: number, pooled: PooledName | null = null) {
    this.name = name
    this.key = key
    this.path = path
    this.at = at
    this.pooled = pooled
  }

  /** That of the last run, if it reads this run too. */
  decoderOf(spec: RowSpec | null, edition: number, binary: boolean): RowDecoder | null {
    return this.#spec === spec && this.#edition === edition && this.#binary === binary ? this.#decoder : null
  }

  keep(decoder: RowDecoder | null, spec: RowSpec | null, edition: number, binary: boolean): void {
    this.#decoder = decoder
    this.#spec = spec
    this.#edition = edition
    this.#binary = binary
  }

  /** What the server has described. What was kept to read another shape is of no more use. */
  describedAs(shape: Shape): void {
    if (this.shape === shape) return
    this.shape = shape
    this.#decoder = null
  }
}
