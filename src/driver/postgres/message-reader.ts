// Backend messages of the PostgreSQL protocol, one at a time, from their bytes to the exchange they answer. Every driver hands
// its messages to `receive`, and the asynchronous ones to `receiveAsync`. Lengths are checked here, the order of
// messages by the exchange; both throw a ProtocolError, which ends the connection.
import { ProtocolError } from '../../errors/index.ts'
import type { Field } from '../../sql/compiled.ts'
import { header, Message } from './inbox.ts'
import type { Fields } from './outcome.ts'

/** The letters of an ErrorResponse, and what node-postgres calls them. (PostgreSQL: Error and Notice Message Fields.) */
export const fieldNames: Readonly<Record<string, string>> = {
  V: 'severity',
  C: 'code',
  M: 'message',
  D: 'detail',
  H: 'hint',
  P: 'position',
  p: 'internalPosition',
  q: 'internalQuery',
  W: 'where',
  s: 'schema',
  t: 'table',
  c: 'column',
  d: 'dataType',
  n: 'constraint',
  F: 'file',
  L: 'line',
  R: 'routine',
}

/** Takes the asynchronous messages, which answer nothing and may come at any time. (PostgreSQL: Asynchronous Operations.) */
export interface AsyncReceiver {
  notice(fields: Readonly<Record<string, string>>): void
  notification(channel: string, payload: string, pid: number): void
  parameter(name: string, value: string): void
}

/** Takes the messages that answer it. Each throws a `ProtocolError` when it may not come now. */
export interface Answered {
  parseComplete(): void
  parameterDescription(types: readonly number[]): void
  rowDescription(fields: readonly Field[]): void
  noData(): void
  bindComplete(): void
  closeComplete(): void
  /** The whole DataRows from `from` on. Gives where what follows them begins. */
  dataRows(bytes: Buffer, from: number, to: number): number
  /** @param tag Without its count, of which -1 says that there is none. */
  commandComplete(tag: string, count: number): void
  portalSuspended(): void
  emptyQuery(): void
  errorResponse(fields: Fields): void
  copyIn(): void
  copyOut(): void
  copyData(bytes: Buffer, at: number, end: number): void
  copyDone(): void
}

export function outOfPlace(name: string): ProtocolError {
  return new ProtocolError(`${name} out of place`)
}

/** Notices, notifications and changed parameters. */
export function isAsync(type: number): boolean {
  return type === Message.notice || type === Message.parameterStatus || type === Message.notification
}

/**
 * The message of an exchange, its body from `at` to before `end` and its header in front.
 * @throws {ProtocolError} when it may not come now.
 */
export function receive(type: number, bytes: Buffer, at: number, end: number, exchange: Answered): void {
  switch (type) {
    case Message.dataRow:
      exchange.dataRows(bytes, at - header, end)
      break
    case Message.bindComplete:
      nothingIn(at, end)
      exchange.bindComplete()
      break
    case Message.commandComplete:
      commandComplete(bytes, at, end, exchange)
      break
    case Message.parseComplete:
      nothingIn(at, end)
      exchange.parseComplete()
      break
    case Message.closeComplete:
      nothingIn(at, end)
      exchange.closeComplete()
      break
    case Message.parameterDescription:
      exchange.parameterDescription(readTypes(new BodyReader(bytes, at, end)))
      break
    case Message.rowDescription:
      exchange.rowDescription(readFields(new BodyReader(bytes, at, end)))
      break
    case Message.noData:
      nothingIn(at, end)
      exchange.noData()
      break
    case Message.portalSuspended:
      nothingIn(at, end)
      exchange.portalSuspended()
      break
    case Message.emptyQuery:
      nothingIn(at, end)
      exchange.emptyQuery()
      break
    case Message.errorResponse:
      exchange.errorResponse(readResponse(bytes, at, end))
      break
    case Message.copyIn:
      exchange.copyIn()
      break
    case Message.copyOut:
      exchange.copyOut()
      break
    case Message.copyData:
      exchange.copyData(bytes, at, end)
      break
    case Message.copyDone:
      nothingIn(at, end)
      exchange.copyDone()
      break
    default:
      throw new ProtocolError('a message of an unexpected type')
  }
}

/** Reads one of the asynchronous messages. */
export function receiveAsync(type: number, bytes: Buffer, at: number, end: number, to: AsyncReceiver): void {
  if (type === Message.notice) {
    to.notice(readResponse(bytes, at, end))
    return
  }
  const body = new BodyReader(bytes, at, end)
  if (type === Message.parameterStatus) {
    const name = body.text()
    const value = body.text()
    body.end()
    to.parameter(name, value)
  } else {
    const process = body.int32()
    const channel = body.text()
    const payload = body.text()
    body.end()
    to.notification(channel, payload, process)
  }
}

/** The status byte of a ReadyForQuery. */
export function readStatus(bytes: Buffer, at: number, end: number): 'I' | 'T' | 'E' {
  const code = end === at + 1 ? (bytes[at] as number) : 0
  if (code === 73) return 'I'
  if (code === 84) return 'T'
  if (code === 69) return 'E'
  throw new ProtocolError('a ReadyForQuery without a status')
}

/** The fields of an ErrorResponse or notice by name. */
export function readResponse(bytes: Buffer, at: number, end: number): Record<string, string> {
  const body = new BodyReader(bytes, at, end)
  const fields: Record<string, string> = {}
  let translated = ''
  for (let type = body.byte(); type !== 0; type = body.byte()) {
    const letter = String.fromCharCode(type)
    const name = fieldNames[letter]
    const value = body.text()
    if (letter === 'S') translated = value
    else if (name !== undefined) fields[name] = value
  }
  body.end()
  fields['severity'] ??= translated
  return fields
}

function nothingIn(at: number, end: number): void {
  if (at !== end) throw new ProtocolError('a message that is too long')
}

/** Those of most statements, and of what the engine puts around them, by the lower bits of their first letter. `head`, `tail`: four bytes. */
const usualTags = Array.from({ length: 32 }, () => ({ tag: '', head: 0, tail: 0 }))
for (const tag of ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'BEGIN', 'COMMIT']) {
  const bytes = Buffer.from(tag)
  usualTags[tag.charCodeAt(0) & 31] = { tag, head: word(bytes, 0), tail: word(bytes, tag.length - 4) }
}

/** Its text is short: a loop takes less than a call of Node's, and most tags are known. */
function commandComplete(bytes: Buffer, at: number, end: number, exchange: Answered): void {
  let zero = at
  while (zero < end && bytes[zero] !== 0) zero++
  if (zero !== end - 1) throw new ProtocolError('a CommandComplete that is not text')
  let digits = zero
  let count = 0
  for (let unit = 1; digits > at && isDigit(bytes[digits - 1] as number); unit *= 10)
    count += ((bytes[--digits] as number) - 48) * unit
  if (digits === zero) exchange.commandComplete(tagIn(bytes, at, zero), -1)
  else {
    let last = digits - 1
    // In `INSERT 0 5` another number stands between.
    while (last > at && isDigit(bytes[last - 1] as number)) last--
    exchange.commandComplete(tagIn(bytes, at, last < digits - 1 ? last - 1 : last), count)
  }
}

function tagIn(bytes: Buffer, at: number, end: number): string {
  const { tag, head, tail } = usualTags[(bytes[at] as number) & 31] as (typeof usualTags)[number]
  const isIt = tag.length === end - at && tag !== '' && word(bytes, at) === head && word(bytes, end - 4) === tail
  return isIt ? tag : bytes.toString('latin1', at, end)
}

function word(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function readFields(body: BodyReader): Field[] {
  const fields: Field[] = []
  for (let count = body.int16(); count > 0; count--) {
    const name = body.text()
    const table = body.int32() >>> 0
    const column = body.int16()
    const type = body.int32() >>> 0
    body.int16()
    const typmod = body.int32()
    body.int16()
    fields.push({ name, table, column, type, typmod })
  }
  body.end()
  return fields
}

function readTypes(body: BodyReader): number[] {
  const types: number[] = []
  for (let count = body.int16() & 0xffff; count > 0; count--) types.push(body.int32() >>> 0)
  body.end()
  return types
}

/** The body of one message: nothing is read beyond its end. */
export class BodyReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  byte(): number {
    return this.#bytes[this.#take(1)] as number
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  text(): string {
    const begin = this.#at
    const stop = this.#bytes.indexOf(0, begin)
    if (stop < 0 || stop >= this.#end) throw new ProtocolError('a text without its end')
    this.#at = stop + 1
    return this.#bytes.toString('utf8', begin, stop)
  }

  /** A copy. */
  bytes(count: number): Buffer {
    const begin = this.#take(count)
    return Buffer.from(this.#bytes.subarray(begin, begin + count))
  }

  end(): void {
    if (this.#at !== this.#end) throw new ProtocolError('a message that is too long')
  }

  #take(size: number): number {
    const at = this.#at
    this.#at = at + size
    if (this.#at > this.#end) throw new ProtocolError('a message that is too short')
    return at
  }
}
