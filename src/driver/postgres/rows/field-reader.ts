// Reads one field of a DataRow. Text goes through the readers of the type table. Numbers and booleans, which most columns are, are read
// from the bytes without a text in between. Row decoders use and keep these readers.
import { ProtocolError } from '../../../errors/index.ts'
import type { ColumnSpec } from '../../../sql/compiled.ts'
import {
  isTrue,
  localTimestamp,
  type Reader,
  readerFor,
  type Reading,
  safeInteger,
  timestamp,
} from '../../../postgres/type-table.ts'
import { readBytea } from '../../../postgres/text-forms.ts'
import { unreadable } from '../../../postgres/types/pieces.ts'
import { longestShort, shortText } from './short-text.ts'
import type { Bytes, FieldReader } from './row-decoder.ts'

/** What the column's mode gives goes through its `map`. */
export function fieldReader(type: number, column: ColumnSpec | undefined, as: Reading): FieldReader {
  const map = column?.map
  const reader = readerFor(type, column?.mode ?? 'default', as)
  if (reader === null && map === undefined && column?.repeats === true) return repeatedText()
  const read = fieldReaderOf(reader)
  return map === undefined ? read : (bytes, start, end) => map(read(bytes, start, end))
}

/** As a reader of text, null for the text itself. */
export function fieldReaderOf(reader: Reader | null): FieldReader {
  if (reader === null) return text
  return inBytes.get(reader) ?? ((bytes, start, end) => reader(bytes.utf8Slice(start, end)))
}

export const text: FieldReader = (bytes, start, end) => {
  const length = end - start
  return (length <= longestShort ? shortText(bytes, start, length) : null) ?? bytes.utf8Slice(start, end)
}

/** Whether it gives the text of a column as it is. */
export function isText(reader: FieldReader): boolean {
  return reader === text
}

/** Gives the text before once more where the bytes are the same: to compare short ones is cheaper than to make a text. */
export function repeatedText(): FieldReader {
  let last = ''
  return (bytes, start, end) => {
    const { length } = last
    if (end - start === length && length <= longestCompared) {
      let at = 0
      // Beyond ASCII a byte is no character.
      while (at < length && bytes[start + at] === last.charCodeAt(at) && last.charCodeAt(at) < 128) at++
      if (at === length) return last
    }
    last = bytes.utf8Slice(start, end)
    return last
  }
}

const longestCompared = 64

const inBytes: ReadonlyMap<Reader, FieldReader> = new Map<Reader, FieldReader>([
  [Number, number(Number)],
  [safeInteger, number(safeInteger)],
  [isTrue, (bytes, start) => bytes[start] === 116],
  [readBytea, bytea],
  [timestamp, (bytes, start, end) => timestamp(bytes.latin1Slice(start, end))],
  [localTimestamp, (bytes, start, end) => localTimestamp(bytes.latin1Slice(start, end))],
])

/** Hexadecimal digits that become bytes at once: all digits of a large value are more than a text of JavaScript holds. */
const mostDigits = 1 << 20

/** The form `\\x…`; the older one by its text. */
function bytea(bytes: Bytes, start: number, end: number): Buffer {
  if (bytes[start] !== 92 || bytes[start + 1] !== 120) return readBytea(bytes.latin1Slice(start, end))
  const whole = Buffer.allocUnsafe((end - start - 2) >> 1)
  let read = 0
  for (let at = start + 2; at < end; at += mostDigits)
    read += whole.write(bytes.latin1Slice(at, Math.min(at + mostDigits, end)), read, 'hex')
  return read * 2 === end - start - 2 ? whole : unreadable('bytea')
}

/** Digits that a number holds exactly, whatever they are. */
const exactDigits = 15

/** Whole numbers digit by digit, others by their text. */
function number(read: Reader): FieldReader {
  return (bytes, start, end) => {
    const negative = bytes[start] === 45
    const first = negative ? start + 1 : start
    if (end > first && end - first <= exactDigits) {
      let value = 0
      let at = first
      for (; at < end; at++) {
        const digit = (bytes[at] as number) - 48
        if (digit < 0 || digit > 9) break
        value = value * 10 + digit
      }
      if (at === end) return negative ? -value : value
    }
    return read(bytes.latin1Slice(start, end))
  }
}

/** `nulls` is told which fields are NULL, since a reader may make null of others. */
export function readAll(
  readers: readonly FieldReader[],
  bytes: Bytes,
  start: number,
  end: number,
  nulls?: boolean[],
): unknown[] {
  const values: unknown[] = []
  let at = start
  for (let i = 0; i < readers.length; i++) {
    const length = int32(bytes, at)
    at += 4
    if (nulls !== undefined) nulls.push(length < 0)
    if (length < 0) values.push(null)
    else {
      const from = at
      at += length
      if (at > end) throw misfit()
      values.push((readers[i] as FieldReader)(bytes, from, at))
    }
  }
  if (at !== end) throw misfit()
  return values
}

export function int32(bytes: Bytes, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

const misfitText = 'a row that does not fit the description of its columns'

/** The fields of a row are not as many, or not as long, as they have to be. */
export function misfit(): ProtocolError {
  return new ProtocolError(misfitText)
}

export function isMisfit(error: unknown): boolean {
  return error instanceof ProtocolError && error.message === misfitText
}
