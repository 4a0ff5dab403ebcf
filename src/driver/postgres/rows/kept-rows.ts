// Rows that are read later, because the types of their columns are not known yet: their bytes are kept until the types have been looked
// up. And how the rows of an open portal are read.
import type { Shape } from '../../../sql/compiled.ts'
import type { Bytes, RowDecoder } from './row-decoder.ts'
import { unreadColumn } from './unread-column.ts'

export class KeptRows implements RowDecoder {
  readonly formats: undefined = undefined
  readonly width: number
  /** Those that have to be looked up. */
  readonly types: readonly number[]
  readonly shape: Shape
  /** The column that could not be read. */
  unread: string | undefined = undefined
  #rows: Bytes[] = []

  constructor(shape: Shape, types: readonly number[]) {
    this.width = shape.fields.length
    this.shape = shape
    this.types = types
  }

  push(bytes: Bytes, at: number, end: number): void {
    // What they came in is written over.
    this.#rows.push(Buffer.from(bytes.subarray(at, end)) as Bytes)
  }

  get any(): boolean {
    return this.#rows.length > 0
  }

  /** Reads all of them. @throws what the decoder throws for one that it cannot read. */
  readBy(decoder: RowDecoder, rows: unknown[]): void {
    for (const row of this.#rows)
      try {
        decoder.push(row, 0, row.length, rows)
      } catch (cause) {
        this.unread = unreadColumn(decoder, row, 0)
        throw cause
      }
    this.#rows = []
  }
}

/** The columns of an open portal, and how they are read: as they were bound, whatever becomes known of their types. */
export class PortalColumns {
  readonly shape: Shape
  decoder: RowDecoder | null

  constructor(shape: Shape, decoder: RowDecoder | null) {
    this.shape = shape
    this.decoder = decoder
  }
}
