// Reads a list that came in one column: an array of records in PostgreSQL's binary format, which become arrays of fields. Columns
// beside the list tell the types of its fields, so domains and altered columns are read rightly.
import type { Field, ListField, ListSpec } from '../../../sql/compiled.ts'
import type { Reading } from '../../../postgres/type-table.ts'
import { binaryReader, castReader } from './binary-reader.ts'
import { int32, misfit } from './field-reader.ts'
import type { Bytes, FieldReader } from './row-decoder.ts'

const bytea = 17

/** @throws {ProtocolError} for a field of a type that is not read in binary. */
export function listReader({ fields: of }: ListSpec, fields: readonly Field[], as: Reading): FieldReader {
  const readers = of.map((field) => readerOf(field, fields, as))
  const width = readers.length
  return (bytes, start, end) => {
    const dimensions = int32(bytes, start)
    if (dimensions === 0) return []
    if (dimensions !== 1 || int32(bytes, start + 8) !== bytea) throw misfit()
    const count = int32(bytes, start + 12)
    const rows: unknown[][] = []
    let at = start + 20
    for (let n = 0; n < count; n++) {
      if (int32(bytes, at + 4) !== width) throw misfit()
      at += 8
      const row: unknown[] = []
      for (let i = 0; i < width; i++) {
        const length = int32(bytes, at + 4)
        at += 8
        if (length < 0) row.push(null)
        else {
          const from = at
          at += length
          if (at > end) throw misfit()
          row.push((readers[i] as FieldReader)(bytes, from, at))
        }
      }
      rows.push(row)
    }
    if (at !== end) throw misfit()
    return rows
  }
}

function readerOf({ list, type, asText, mode, map }: ListField, fields: readonly Field[], as: Reading): FieldReader {
  if (list !== null) return listReader(list, fields, as)
  const field = fields[type] as Field
  const read: FieldReader = asText ? castReader(field, mode, as) : binaryReader(field, mode, as)
  return map === undefined ? read : (bytes: Bytes, start, end) => map(read(bytes, start, end))
}
