// Which column of a row could not be read. Looked for only when that has happened: rows are read without counting their columns.
import type { ColumnSpec } from '../../../sql/compiled.ts'
import { int32 } from './field-reader.ts'
import type { Bytes, FieldReader, RowDecoder } from './row-decoder.ts'

interface Columns {
  readonly names: readonly string[]
  readonly readers: readonly FieldReader[]
}

const columnsOf = new WeakMap<RowDecoder, Columns>()

/** By their names in the result, or by the keys under which they were asked for. */
export function noteColumns(
  decoder: RowDecoder,
  fields: readonly { readonly name: string }[],
  specs: readonly ColumnSpec[] | null,
  readers: readonly FieldReader[],
): void {
  const names = readers.map((_, at) => specs?.[at]?.path.join('.') || (fields[at]?.name ?? ''))
  columnsOf.set(decoder, { names, readers })
}

/** @param at Where the length of the first field is. Undefined: none refuses to be read again. */
export function unreadColumn(decoder: RowDecoder, bytes: Bytes, at: number): string | undefined {
  const columns = columnsOf.get(decoder)
  let from = at
  for (const [index, read] of columns?.readers.entries() ?? []) {
    const length = int32(bytes, from)
    from += 4
    if (length < 0) continue
    try {
      read(bytes, from, from + length)
    } catch {
      return columns?.names[index]
    }
    from += length
  }
  return undefined
}
