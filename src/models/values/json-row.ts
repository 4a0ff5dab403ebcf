// New rows as a JSON array, for `json_populate_recordset`: each value in a form that PostgreSQL's own input functions read
// back exactly, since JSON itself has no dates, bytes, large integers or NaN.
import { numberText, timestampText } from '../../postgres/text-forms.ts'
import { ParameterError } from '../../errors/index.ts'
import { refusal, textRefusal } from '../../sql/parameters.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import type { Cell } from './insert.ts'

/** Of rows with the same columns. @throws {ParameterError} when a value is no data. */
export function jsonRows(rows: readonly (readonly Cell[])[]): string {
  const text =
    rows[0]?.every(({ column }) => isMember(column)) === true
      ? JSON.stringify(rows.map(asObject))
      : `[${rows.map(asText).join()}]`
  // Only control characters and halves of characters are written with an escape of that kind.
  if (text.includes(String.raw`\u`)) checkTexts(rows)
  return text
}

/** Whether the text has an escape that the server does not read within rows. Such JSON has to be a parameter. */
export function hasStrangeEscape(json: string): boolean {
  return json.includes(String.raw`\u`) && strangeEscape.test(json)
}

const strangeEscape = /\\u(?:0000|d[89a-f])/

/** Refuses texts that are refused as parameters. The message names the column. */
export function checkTexts(rows: readonly (readonly Cell[])[]): void {
  for (const cells of rows)
    for (const { column, value, isSql } of cells) {
      if (column.isJson || isSql) continue
      const encoded = column.encode(value)
      for (const text of Array.isArray(encoded) ? encoded.flat(Infinity) : [encoded])
        if (typeof text === 'string') checkText(column, text)
    }
}

function checkText(column: ModelColumn, text: string): void {
  const problem = textRefusal(text)
  if (problem !== undefined)
    throw new ParameterError(`The value of column '${column.key}' is ${problem}.`, { clientError: true })
}

/** JSON text would be quoted once more, and the prototype of an object is no member. */
function isMember({ isJson, name }: ModelColumn): boolean {
  return !isJson && name !== '__proto__'
}

/** All rows as objects become text in one step, for half of what putting texts together takes. */
function asObject(cells: readonly Cell[]): object {
  const row: Record<string, unknown> = {}
  for (const { column, value } of cells) row[column.name] = jsonValue(column, column.encode(value))
  return row
}

function asText(cells: readonly Cell[]): string {
  return `{${cells.map(({ column, value }) => `${column.jsonName}:${jsonText(column, value)}`).join()}}`
}

function jsonText(column: ModelColumn, value: unknown): string {
  const encoded = column.encode(value)
  // Already JSON text: the value of a json or jsonb column as it is.
  if (column.isJson) return typeof encoded === 'string' ? encoded : 'null'
  return JSON.stringify(jsonValue(column, encoded))
}

function jsonValue(column: ModelColumn, encoded: unknown): unknown {
  if (typeof encoded === 'string' || encoded === null || typeof encoded === 'boolean') return encoded
  if (typeof encoded === 'number') return plain(encoded)
  const reason = refusal(encoded)
  if (reason !== undefined) throw new ParameterError(`The value of column '${column.key}' ${reason}.`)
  return plain(encoded)
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  // JSON has no infinity, and no sign of a zero.
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0) ? value : numberText(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return timestampText(value)
  if (ArrayBuffer.isView(value))
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  return Array.isArray(value) ? value.map(plain) : value
}
