// Frontend messages of the PostgreSQL protocol, gathered in one buffer and taken as one chunk. Sessions write a whole unit
// and hand the chunk to their wire. Pure bytes: no socket, no order of messages, no check of what makes sense.
import type { Encoded } from '../../postgres/encode.ts'

const initialSize = 1 << 16
/** A buffer that one huge statement made grow is given back. */
const keptSize = 1 << 20
/** Texts up to this length are written faster by a loop. */
const shortText = 24
/** Of a positive number of 31 bits. */
const mostDigits = 10

const none: readonly number[] = []

/** The first bytes of messages. */
const [bindType, closeType, copyDoneType, copyFailType] = [66, 67, 99, 102]
const [describeType, executeType, flushType, parseType, queryType, syncType] = [68, 69, 72, 80, 81, 83]

export class MessageWriter {
  #buffer = Buffer.allocUnsafeSlow(initialSize)
  #at = 0
  /** How much was written and is gone. */
  #gone = 0

  /** Types of 0 are left to the server. */
  parse(name: string, text: string, types: readonly number[] | null): void {
    const declared = types ?? none
    const buffer = this.#begin(parseType, 4 + name.length + bound(text) + declared.length * 4)
    let at = putText(buffer, name, this.#at + 5)
    buffer[at++] = 0
    at = putText(buffer, text, at)
    buffer[at++] = 0
    at = put16(buffer, declared.length, at)
    for (const type of declared) at = put32(buffer, type, at)
    this.#end(at)
  }

  describeStatement(name: string): void {
    this.#named(describeType, name)
  }

  describePortal(): void {
    const buffer = this.#begin(describeType, 2)
    buffer[this.#at + 5] = 80
    buffer[this.#at + 6] = 0
    this.#end(this.#at + 7)
  }

  /** The unnamed portal is ''. Results come as text unless there is a format for each column. */
  bind(portal: string, name: string, values: readonly Encoded[], results: readonly number[] = none): void {
    const count = values.length
    const columns = results.length
    let room = 8 + portal.length + name.length + (count + columns) * 2
    let inBytes = false
    for (let i = 0; i < count; i++) {
      const value = values[i] as Encoded
      if (typeof value === 'string') room += 4 + bound(value)
      else if (typeof value === 'number') room += 4 + mostDigits
      else {
        room += 4 + (value === null ? 0 : value.length)
        inBytes ||= value !== null
      }
    }
    const buffer = this.#begin(bindType, room)
    let at = putText(buffer, portal, this.#at + 5)
    buffer[at++] = 0
    at = putText(buffer, name, at)
    buffer[at++] = 0
    // No format codes at all say that every parameter is text.
    at = put16(buffer, inBytes ? count : 0, at)
    if (inBytes) for (const value of values) at = put16(buffer, value instanceof Uint8Array ? 1 : 0, at)
    at = put16(buffer, count, at)
    for (let i = 0; i < count; i++) at = putValue(buffer, values[i] as Encoded, at)
    at = put16(buffer, columns, at)
    for (let i = 0; i < columns; i++) {
      buffer[at++] = 0
      buffer[at++] = results[i] as number
    }
    this.#end(at)
  }

  execute(portal: string, maxRows: number): void {
    const buffer = this.#begin(executeType, 5 + portal.length)
    const at = putText(buffer, portal, this.#at + 5)
    buffer[at] = 0
    this.#end(put32(buffer, maxRows, at + 1))
  }

  query(text: string): void {
    this.#texted(queryType, text)
  }

  closeStatement(name: string): void {
    this.#named(closeType, name)
  }

  closePortal(name: string): void {
    this.#named(closeType, name, 80)
  }

  copyFail(reason: string): void {
    this.#texted(copyFailType, reason)
  }

  copyDone(): void {
    this.#empty(copyDoneType)
  }

  flush(): void {
    this.#empty(flushType)
  }

  sync(): void {
    this.#empty(syncType)
  }

  /** How much was ever written; -1 when nothing of it is here. */
  get end(): number {
    return this.#at === 0 ? -1 : this.#gone + this.#at
  }

  /** Takes the Sync back that was written last. */
  unsync(): void {
    this.#at -= 5
  }

  /** What was written since the last call, in memory of its own. */
  take(): Buffer {
    const chunk = Buffer.from(this.written)
    this.clear()
    return chunk
  }

  /** What was written since the last call of `take` or `clear`. It is in use until then. */
  get written(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  /** All of it has been read: its memory is written over. */
  clear(): void {
    this.#gone += this.#at
    this.#at = 0
    if (this.#buffer.length > keptSize) this.#buffer = Buffer.allocUnsafeSlow(initialSize)
  }

  /** It is read later: what is written next has memory of its own. */
  leave(): void {
    this.#gone += this.#at
    this.#at = 0
    this.#buffer = Buffer.allocUnsafeSlow(initialSize)
  }

  /** Begins a message whose body has at most `room` bytes. The body goes behind the type and the length, and `#end` writes the length. */
  #begin(type: number, room: number): Buffer {
    const size = this.#at + 5 + room
    if (size > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, size))
      this.#buffer.copy(larger, 0, 0, this.#at)
      this.#buffer = larger
    }
    this.#buffer[this.#at] = type
    return this.#buffer
  }

  #end(at: number): void {
    put32(this.#buffer, at - this.#at - 1, this.#at + 1)
    this.#at = at
  }

  #empty(type: number): void {
    this.#begin(type, 0)
    this.#end(this.#at + 5)
  }

  #texted(type: number, text: string): void {
    const buffer = this.#begin(type, 1 + bound(text))
    const at = putText(buffer, text, this.#at + 5)
    buffer[at] = 0
    this.#end(at + 1)
  }

  /** About a prepared statement; with `P`, about a portal. */
  #named(type: number, name: string, kind = 83): void {
    const buffer = this.#begin(type, 2 + name.length)
    buffer[this.#at + 5] = kind
    const at = putText(buffer, name, this.#at + 6)
    buffer[at] = 0
    this.#end(at + 1)
  }
}

// Each puts something where there is room, without the checks of Node's methods, and gives where it ends.

function put16(buffer: Buffer, value: number, at: number): number {
  buffer[at] = value >>> 8
  buffer[at + 1] = value
  return at + 2
}

function put32(buffer: Buffer, value: number, at: number): number {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
  return at + 4
}

/** Short ASCII needs no call into the runtime. */
function putText(buffer: Buffer, text: string, begin: number): number {
  if (text.length > shortText) return begin + buffer.write(text, begin, 'utf8')
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return begin + buffer.write(text, begin, 'utf8')
    buffer[begin + i] = code
  }
  return begin + text.length
}

function putValue(buffer: Buffer, value: Encoded, at: number): number {
  if (typeof value === 'string') {
    const end = putText(buffer, value, at + 4)
    put32(buffer, end - at - 4, at)
    return end
  }
  if (typeof value === 'number') return putDigits(buffer, value, at)
  if (value === null) return put32(buffer, -1, at)
  buffer.set(value, put32(buffer, value.length, at))
  return at + 4 + value.length
}

/** With its length in front, from 1 to 10. */
function putDigits(buffer: Buffer, value: number, at: number): number {
  let digits = 1
  for (let rest = value; rest >= 10; digits++) rest = (rest / 10) | 0
  const end = put32(buffer, digits, at) + digits
  for (let rest = value, i = end - 1; i > at + 3; i--) {
    const tenth = (rest / 10) | 0
    buffer[i] = 48 + rest - tenth * 10
    rest = tenth
  }
  return end
}

/** At least as many bytes as the text takes; for a long one, exactly as many. */
function bound(text: string): number {
  return text.length < 4096 ? text.length * 3 : Buffer.byteLength(text)
}

/** The code of a CancelRequest, in place of a version of the protocol. */
const cancelCode = 80_877_102

/** CancelRequest: the first and only message of its connection. @param secret 4 to 256 bytes of key. */
export function cancelRequest(processId: number, secret: Buffer): Buffer {
  const message = Buffer.alloc(12 + secret.length)
  put32(message, message.length, 0)
  put32(message, cancelCode, 4)
  put32(message, processId, 8)
  secret.copy(message, 12)
  return message
}

/** SSLRequest: asks for TLS before anything else. */
export const sslRequest: Buffer = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
