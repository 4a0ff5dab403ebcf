// Rows of several kinds in one result, with the columns of all kinds side by side. A row has values in the columns of its kind and NULL
// in all others, which are not looked at. A number in front tells the kind, or else the first value that is not NULL.
import type { Field, Kinds } from '../../../sql/compiled.ts'
import { generateAfter } from '../../row-tree.ts'
import { int32, misfit, readAll } from './field-reader.ts'
import { generateKind, type PushRow } from './generated.ts'
import type { Bytes, FieldReader, RowDecoder } from './row-decoder.ts'

interface Kind {
  readonly readers: readonly FieldReader[]
  /** How many bytes the fields of the kinds before and after have. */
  readonly before: number
  readonly after: number
  read: number
  code: PushRow | null
}

const integers: readonly number[] = [20, 21, 23]

/** Whether the columns that pair rows are whole numbers in this result. A domain comes as what it is of. */
export function areWhole(fields: readonly Field[], kinds: Kinds | undefined): boolean {
  return kinds?.whole?.every((at) => integers.includes(fields[at]?.type ?? 0)) !== false
}

/** Rows whose places nobody knows. */
export class UnpairedRows implements RowDecoder {
  formats: readonly number[] | undefined
  readonly width: number

  constructor(width: number, asked: readonly number[] | null) {
    this.width = width
    this.formats = asked ?? undefined
  }

  push(_bytes: Bytes, _at: number, _end: number, rows: unknown[]): void {
    rows.push(null)
  }
}

export class KindRows implements RowDecoder {
  formats: readonly number[] | undefined = undefined
  readonly width: number
  /** Null: rows have no number. */
  readonly #number: FieldReader | null
  readonly #kinds: readonly Kind[]
  /** The kind of each column. */
  readonly #of: readonly number[]

  constructor(readers: readonly FieldReader[], { counts, numbered }: Kinds) {
    this.width = readers.length
    this.#number = numbered ? (readers[0] as FieldReader) : null
    const first = numbered ? 1 : 0
    let at = first
    this.#kinds = counts.map((count) => {
      const start = at
      at += count
      const own = readers.slice(start, at)
      return { readers: own, before: (start - first) * 4, after: (readers.length - at) * 4, read: 0, code: null }
    })
    this.#of = counts.flatMap((count, kind) => Array.from({ length: count }, () => kind))
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    let [start, number] = [at, 0]
    if (this.#number === null) number = this.#kindAt(bytes, at, end)
    else {
      start += 4 + int32(bytes, at)
      if (start <= at + 4 || start > end) throw misfit()
      number = this.#number(bytes, at + 4, start) as number
    }
    const kind = this.#kinds[number % this.#kinds.length]
    if (kind === undefined) throw misfit()
    if (kind.code !== null) {
      kind.code(bytes, at, end, rows)
      return
    }
    if (++kind.read === generateAfter)
      kind.code = generateKind(this.#number ?? number, kind.readers, kind.before, kind.after)
    const row = readAll(kind.readers, bytes, start + kind.before, end - kind.after)
    row.push(number)
    rows.push(row)
  }

  /** Of the first value. */
  #kindAt(bytes: Bytes, start: number, end: number): number {
    let column = 0
    for (let at = start; at < end && int32(bytes, at) < 0; at += 4) column++
    return this.#of[column] ?? 0
  }
}
