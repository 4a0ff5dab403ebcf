// A statement that runs on a session before the server has described its columns there. If another session knows them, the formats of
// its rows are chosen by that. If the columns turn out to be others, the rows are read as they came.
import type { Compiled, RowSpec, Shape } from '../../../sql/compiled.ts'
import type { Meaning } from '../../../sql/dialect.ts'
import type { TypeBook } from '../../../postgres/types/book.ts'
import { isRepeatable } from '../op-rules.ts'
import { decoderAsAsked, decoderFor } from '../rows/decoder.ts'
import type { RowDecoder } from '../rows/row-decoder.ts'

// The server checks only plans for a changed result, so the columns of a FETCH or EXECUTE are asked for every time. SET and RESET never
// have any.
const planned: ReadonlySet<string> = new Set('SELECT INSERT UPDATE DELETE MERGE WITH VALUES TABLE SET RESET'.split(' '))

/** Whether a statement with another result than before is refused by the server. */
export function isPlanned({ verb }: Compiled): boolean {
  return planned.has(verb)
}

/** Whether the rows of a statement may be asked for in binary before its columns are known. */
export const Guesses = {
  /** It has failed before, or its columns were known. */
  none: 0,
  /** A transaction is open, so it cannot run again: only if the number of its columns is sure. */
  sure: 1,
  any: 2,
} as const

/** The formats that were asked for before the columns of this answer were known here. */
export class Guess {
  readonly #shape: Shape
  readonly #decoder: RowDecoder
  /** One stands for all columns, as the server has it. */
  readonly formats: readonly number[]
  /** The columns are others. */
  wrong = false

  private constructor(shape: Shape, decoder: RowDecoder, formats: readonly number[]) {
    this.#shape = shape
    this.#decoder = decoder
    this.formats = formats
  }

  /** Null: all columns are asked for as the statement says itself. */
  static of(stmt: Compiled, guesses: number, shape: Shape | null, spec: RowSpec | null, book: TypeBook): Guess | null {
    if (shape === null || !shape.rows || guesses === Guesses.none || !isRepeatable({ stmt }) || !planned.has(stmt.verb))
      return null
    // How many columns a text gives that names each of them does not change; formats for another number of them are refused.
    if (guesses === Guesses.sure && (stmt.verb === 'TABLE' || stmt.text.includes('*'))) return null
    try {
      const decoder = decoderFor(shape, spec, book, true)
      const { formats } = decoder
      return formats === undefined ? null : new Guess(shape, decoder, formats)
    } catch {
      return null
    }
  }

  /** How the rows are read, now that their columns are known. @throws {ProtocolError} when they are not, as they were asked for. */
  decoder(shape: Shape, spec: RowSpec | null, book: TypeBook): RowDecoder {
    if (shape === this.#shape) return this.#decoder
    const usual = decoderFor(shape, spec, book, true)
    const asked = shape.fields.map((_, at) => this.formats[this.formats.length === 1 ? 0 : at] ?? 0)
    if (usual.formats?.join() === asked.join()) return usual
    this.wrong = true
    return decoderAsAsked(shape, spec, book, asked)
  }

  /** The server refuses the count of the formats, before anything has run. */
  isRefused({ kind }: Meaning, binding: boolean): boolean {
    return binding && kind === 'protocol'
  }
}

/** Whether a description says what was known. */
export function sameShape(known: Shape, { params, fields, rows }: Pick<Shape, 'params' | 'fields' | 'rows'>): boolean {
  const { params: knownParams, fields: knownFields } = known
  if (rows !== known.rows) return false
  if (params.length !== knownParams.length || fields.length !== knownFields.length) return false
  if (params !== knownParams && params.some((type, i) => type !== knownParams[i])) return false
  return fields.every((field, i) => {
    const other = knownFields[i]
    return (
      field.name === other?.name &&
      field.type === other.type &&
      field.table === other.table &&
      field.column === other.column
    )
  })
}
