// A new row as a JSON object, for `json_populate_recordset`: each value in a form that PostgreSQL's own input functions read
// back exactly, since JSON itself has no dates, bytes, large integers or NaN.
import { timestampText } from '../../driver/postgres/text-forms.ts'
import { ParameterError } from '../../errors/index.ts'
import { refusal } from '../../sql/parameters.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { Cell } from './insert.ts'

/** @throws {ParameterError} when a value is no data. */
export function jsonRow(cells: readonly Cell[]): string {
  let text = '{'
  cells.forEach(({ column, value }, index) => {
    text += `${index === 0 ? '' : ','}${column.jsonName}:${jsonText(column, value)}`
  })
  return `${text}}`
}

function jsonText(column: ModelColumn, value: unknown): string {
  const encoded = column.encode(value)
  // Already JSON text: the value of a json or jsonb column as it is.
  if (column.isJson) return typeof encoded === 'string' ? encoded : 'null'
  if (typeof encoded === 'string') return JSON.stringify(encoded)
  if (typeof encoded === 'number') return Number.isFinite(encoded) ? String(encoded) : `"${encoded}"`
  if (encoded === null || typeof encoded === 'boolean') return String(encoded)
  const reason = refusal(encoded)
  if (reason !== undefined) throw new ParameterError(`The value of column '${column.key}' ${reason}.`)
  return JSON.stringify(plain(encoded))
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return timestampText(value)
  if (ArrayBuffer.isView(value))
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  return Array.isArray(value) ? value.map(plain) : value
}
