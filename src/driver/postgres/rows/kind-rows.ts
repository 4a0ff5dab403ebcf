// Rows of several kinds in one result, in columns side by side. A row has values in the columns of its kind, which its first column
// tells, and NULL in all others: these are not looked at.
import { generateAfter } from '../../row-tree.ts'
import type { RowDecoder } from './decoder.ts'
import { type Bytes, type FieldReader, int32, misfit, readAll } from './field-reader.ts'
import { generateKind, type PushRow } from './generated.ts'

interface Kind {
  readonly readers: readonly FieldReader[]
  /** How many bytes the fields of the kinds before and after have. */
  readonly before: number
  readonly after: number
  read: number
  code: PushRow | null
}

export class KindRows implements RowDecoder {
  formats: readonly number[] | undefined = undefined
  readonly width: number
  readonly #number: FieldReader
  readonly #kinds: readonly Kind[]

  constructor(readers: readonly FieldReader[], kinds: readonly number[]) {
    this.width = readers.length
    this.#number = readers[0] as FieldReader
    let at = 1
    this.#kinds = kinds.map((count) => {
      const start = at
      at += count
      const own = readers.slice(start, at)
      return { readers: own, before: (start - 1) * 4, after: (readers.length - at) * 4, read: 0, code: null }
    })
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    const first = at + 4
    const next = first + int32(bytes, at)
    if (next <= first || next > end) throw misfit()
    const number = this.#number(bytes, first, next) as number
    const kind = this.#kinds[number % this.#kinds.length]
    if (kind === undefined) throw misfit()
    if (kind.code !== null) {
      kind.code(bytes, at, end, rows)
      return
    }
    if (++kind.read === generateAfter)
      kind.code = generateKind([this.#number, ...kind.readers], kind.before, kind.after)
    const row = readAll(kind.readers, bytes, next + kind.before, end - kind.after)
    row.push(number)
    rows.push(row)
  }
}
