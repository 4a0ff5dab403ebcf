// The text forms of dates, arrays and bytea, both ways. Used by the type table when rows are read and by the parameter
// encoder. Knows no types: the caller says what an element of an array is and which delimiter it has. What cannot be read
// gives `undefined`, never a wrong value.

const zero = 48
const quotation = 34
const backslash = 92
const opening = 123
const closing = 125
const minuteMs = 60_000
const dayMs = 86_400_000
const longForm =
  /^(\d{4,7})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?( BC)?$/

/** `2024-01-31 10:00:00.123+02`, `timestamp` and `date` too: without an offset it is read as UTC. Infinity is a number. */
export function readTimestamp(text: string): Date | number | undefined {
  const end = text.length
  if (end < 19 || text.charCodeAt(4) !== 45 || text.charCodeAt(10) !== 32) return readLongTimestamp(text)
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const seconds = (twoDigits(text, 11) * 60 + twoDigits(text, 14)) * 60 + twoDigits(text, 17)
  let at = 19
  let ms = 0
  if (text.charCodeAt(at) === 46) {
    let unit = 100
    for (at++; at < end; at++, unit /= 10) {
      const digit = text.charCodeAt(at) - zero
      if (digit < 0 || digit > 9) break
      if (unit >= 1) ms += digit * unit
    }
  }
  let offset = 0
  if (at < end) {
    const sign = text.charCodeAt(at)
    const short = end === at + 3
    if ((sign !== 43 && sign !== 45) || !(short || (end === at + 6 && text.charCodeAt(at + 3) === 58))) {
      return readLongTimestamp(text)
    }
    offset = twoDigits(text, at + 1) * 60
    if (!short) offset += twoDigits(text, at + 4)
    if (sign === 45) offset = -offset
  }
  const time = daysSinceEpoch(year, month, twoDigits(text, 8)) * dayMs + seconds * 1000 + ms - offset * minuteMs
  return time === time ? new Date(time) : undefined
}

/** What was read as the time of UTC, as that of this machine's zone. `undefined`: JavaScript has no such date. */
export function atLocal(date: Date | number): Date | number | undefined {
  if (typeof date === 'number') return date
  const year = date.getUTCFullYear()
  // The constructor takes years below 100 for others.
  const late = year >= 0 && year < 100
  const local = new Date(
    late ? year + 400 : year,
    date.getUTCMonth(),
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    date.getUTCMilliseconds(),
  )
  if (late) local.setFullYear(year)
  return Number.isNaN(local.getTime()) ? undefined : local
}

/** The date and time of this machine's zone. `undefined`: an invalid date. */
export function localText(date: Date): string | undefined {
  const utc = new Date(0)
  utc.setUTCFullYear(date.getFullYear(), date.getMonth(), date.getDate())
  utc.setUTCHours(date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds())
  return timestampText(utc)
}

function readLongTimestamp(text: string): Date | number | undefined {
  if (text === 'infinity') return Infinity
  if (text === '-infinity') return -Infinity
  const found = longForm.exec(text)
  if (found === null) return undefined
  const [, years, month, day, hour, minute, second, fraction, sign, offsetHour, offsetMinute, offsetSecond, era] = found
  const year = era === undefined ? Number(years) : 1 - Number(years)
  const seconds = (Number(hour ?? 0) * 60 + Number(minute ?? 0)) * 60 + Number(second ?? 0)
  const offset = (Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0)) * 60 + Number(offsetSecond ?? 0)
  const ms = Number((fraction ?? '').slice(0, 3).padEnd(3, '0'))
  const days = daysSinceEpoch(year, Number(month), Number(day))
  const date = new Date(days * dayMs + (sign === '-' ? seconds + offset : seconds - offset) * 1000 + ms)
  return Number.isNaN(date.getTime()) ? undefined : date
}

function twoDigits(text: string, at: number): number {
  const high = text.charCodeAt(at) - zero
  const low = text.charCodeAt(at + 1) - zero
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : NaN
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** ISO 8601 in UTC: right for `timestamptz`, `timestamp` (which ignores the Z) and `date` alike. `undefined`: an invalid date. */
export function timestampText(date: Date): string | undefined {
  const time = date.getTime()
  if (time >= firstIso && time < endOfIso) return isoText(time)
  if (Number.isNaN(time)) return undefined
  const iso = date.toISOString()
  const year = date.getUTCFullYear()
  const rest = iso.slice(iso.indexOf('-', 1))
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, '0')}${rest} BC`
}

/** Years from 1 to 9999. */
const firstIso = Date.parse('0001-01-01T00:00:00Z')
const endOfIso = Date.UTC(10_000, 0, 1)
const twoDigit: readonly string[] = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))
let isoDay = NaN
let isoDate = ''

/** As `toISOString()`, for a quarter of the time: dates of one statement are often of one day. */
function isoText(time: number): string {
  const day = Math.floor(time / dayMs)
  if (day !== isoDay) {
    isoDay = day
    isoDate = new Date(time).toISOString().slice(0, 11)
  }
  const ms = time - day * dayMs
  const seconds = Math.floor(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  const hour = Math.floor(minutes / 60)
  return `${isoDate}${twoDigit[hour]}:${twoDigit[minutes - hour * 60]}:${twoDigit[seconds - minutes * 60]}.${String(ms - seconds * 1000).padStart(3, '0')}Z`
}

/** A function that reads one element's text. */
export type ElementReader = (text: string) => unknown

/** Reads `{1,NULL,"a,b"}`, nested, with bounds (`[0:1]={…}`) or without. `undefined`: not an array. */
export function readArray(text: string, read: ElementReader, delimiter: string): unknown[] | undefined {
  const start = text.charCodeAt(0) === 91 ? text.indexOf('=') + 1 : 0
  if (text[start] !== '{' || !text.endsWith('}')) return undefined
  if (text[start + 1] === '}') return []
  if (text.indexOf('"', start) < 0 && text.indexOf('{', start + 1) < 0)
    return readFlat(text, start + 1, read, delimiter)
  const place = { at: start, escape: text.indexOf('\\', start) }
  const array = readNested(text, place, read, delimiter)
  return place.at === text.length ? array : undefined
}

/** One dimension without a quoted element: what most arrays are. */
function readFlat(text: string, start: number, read: ElementReader, delimiter: string): unknown[] {
  const array: unknown[] = []
  const close = text.length - 1
  for (let begin = start; begin <= close;) {
    const next = text.indexOf(delimiter, begin)
    const end = next < 0 ? close : next
    const element = text.slice(begin, end)
    array.push(element === 'NULL' ? null : read(element))
    begin = end + 1
  }
  return array
}

/** How far a text was read, and where its next backslash is: behind the last one no element looks for another. */
interface ReadTo {
  at: number
  escape: number
}

function readNested(text: string, place: ReadTo, read: ElementReader, delimiter: string): unknown[] {
  const array: unknown[] = []
  const separator = delimiter.charCodeAt(0)
  place.at++
  while (place.at < text.length) {
    const first = text.charCodeAt(place.at)
    if (first === closing) break
    if (first === separator) place.at++
    else if (first === opening) array.push(readNested(text, place, read, delimiter))
    else if (first === quotation) array.push(read(quoted(text, place)))
    else {
      let end = place.at
      for (let code = first; end < text.length && code !== separator && code !== closing;) code = text.charCodeAt(++end)
      const element = text.slice(place.at, end)
      place.at = end
      array.push(element === 'NULL' ? null : read(element))
    }
  }
  place.at++
  return array
}

/** The text between two quotation marks, with `\\` taken off what it protects. */
function quoted(text: string, place: ReadTo): string {
  const begin = place.at + 1
  let close = text.indexOf('"', begin)
  if (close < 0) close = text.length
  if (place.escape >= 0 && place.escape < begin) place.escape = text.indexOf('\\', begin)
  const { escape } = place
  if (escape < 0 || escape > close) {
    place.at = close + 1
    return text.slice(begin, close)
  }
  let value = ''
  let from = begin
  let at = escape
  while (at < text.length && text.charCodeAt(at) !== quotation) {
    if (text.charCodeAt(at) === backslash) {
      value += text.slice(from, at)
      from = at + 1
      at += 2
    } else at++
  }
  place.at = at + 1
  return value + text.slice(from, at)
}

/** The literal of an array; `write` gives an element's text, quoted here, or null. Arrays in it become dimensions. */
export function arrayText(
  array: readonly unknown[],
  write: (element: unknown) => string | null,
  delimiter: string = ',',
): string {
  let text = '{'
  for (let i = 0; i < array.length; i++) {
    if (i > 0) text += delimiter
    const element = array[i]
    if (Array.isArray(element)) text += arrayText(element, write, delimiter)
    else {
      const written = write(element)
      text += written === null ? 'NULL' : quote(written)
    }
  }
  return text + '}'
}

/** The text of an element that is data, or null. */
export function plainText(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (value === null) return null
  if (value instanceof Date) return timestampText(value) ?? String(value)
  if (ArrayBuffer.isView(value))
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  if (typeof value === 'number') return numberText(value)
  return typeof value === 'object' ? JSON.stringify(value) : `${value as bigint | boolean}`
}

/** A number keeps the sign of its zero. */
export function numberText(value: number): string {
  return value === 0 && Object.is(value, -0) ? '-0' : String(value)
}

const plain = /^[\w.+:-]+$/

function quote(text: string): string {
  if (plain.test(text) && text.length < 64 && text.toUpperCase() !== 'NULL') return text
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

const octal = /\\(\\|[0-7]{3})/g

/** `\x…` and the older escape form. */
export function readBytea(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  const bytes = text.replaceAll(octal, (_, code: string) =>
    code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  )
  return Buffer.from(bytes, 'latin1')
}
