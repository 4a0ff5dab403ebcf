// Frontend messages of the PostgreSQL protocol, gathered in one buffer and taken as one chunk. Sessions write a whole unit
// and hand the chunk to their wire. Pure bytes: no socket, no order of messages, no check of what makes sense.
import type { Encoded } from '../../postgres/encode.ts'

const initialSize = 1 << 16
/** A buffer that one huge statement made grow is given back. */
const keptSize = 1 << 20
/** Texts up to this length are written faster by a loop. */
const shortText = 24

export class MessageWriter {
  #buffer = Buffer.allocUnsafeSlow(initialSize)
  #at = 0
  #start = 0
  /** How much was written and is gone. */
  #gone = 0

  /** Types of 0 are left to the server. */
  parse(name: string, text: string, types: readonly number[] | null): void {
    this.#begin('P', 16 + name.length + bound(text) + (types?.length ?? 0) * 4)
    this.#cstring(name)
    this.#cstring(text)
    this.#int16(types?.length ?? 0)
    if (types !== null) for (const type of types) this.#int32(type)
    this.#end()
  }

  describeStatement(name: string): void {
    this.#begin('D', 8 + name.length)
    this.#cstring(`S${name}`)
    this.#end()
  }

  describePortal(): void {
    this.#begin('D', 8)
    this.#cstring('P')
    this.#end()
  }

  /** The unnamed portal is ''. Results come as text unless there is a format for each column. */
  bind(portal: string, name: string, values: readonly Encoded[], results?: readonly number[]): void {
    this.#begin('B', 16 + portal.length + name.length)
    this.#cstring(portal)
    this.#cstring(name)
    this.#formats(values)
    this.#int16(values.length)
    for (const value of values) {
      if (typeof value === 'string') this.#text(value)
      else if (value === null) {
        this.#reserve(4)
        this.#int32(-1)
      } else this.#bytes(value)
    }
    const columns = results?.length ?? 0
    this.#reserve(2 + columns * 2)
    this.#int16(columns)
    if (results !== undefined) for (const format of results) this.#int16(format)
    this.#end()
  }

  execute(portal: string, maxRows: number): void {
    this.#begin('E', 8 + portal.length)
    this.#cstring(portal)
    this.#int32(maxRows)
    this.#end()
  }

  query(text: string): void {
    this.#begin('Q', 1 + bound(text))
    this.#cstring(text)
    this.#end()
  }

  closeStatement(name: string): void {
    this.#begin('C', 8 + name.length)
    this.#cstring(`S${name}`)
    this.#end()
  }

  copyFail(reason: string): void {
    this.#begin('f', 1 + bound(reason))
    this.#cstring(reason)
    this.#end()
  }

  copyDone(): void {
    this.#begin('c', 0)
    this.#end()
  }

  flush(): void {
    this.#begin('H', 0)
    this.#end()
  }

  sync(): void {
    this.#begin('S', 0)
    this.#end()
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

  #begin(type: string, room: number): void {
    this.#reserve(5 + room)
    this.#buffer[this.#at] = type.charCodeAt(0)
    this.#start = this.#at + 1
    this.#at += 5
  }

  #end(): void {
    this.#put(this.#at - this.#start, this.#start)
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + size))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }

  #cstring(text: string): void {
    const end = this.#characters(text, this.#at)
    this.#buffer[end] = 0
    this.#at = end + 1
  }

  /** Writes a text, and returns where it ends. Short ASCII needs no call into the runtime. */
  #characters(text: string, begin: number): number {
    const buffer = this.#buffer
    if (text.length > shortText) return begin + buffer.write(text, begin, 'utf8')
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) return begin + buffer.write(text, begin, 'utf8')
      buffer[begin + i] = code
    }
    return begin + text.length
  }

  #int16(value: number): void {
    this.#buffer[this.#at++] = value >>> 8
    this.#buffer[this.#at++] = value
  }

  #int32(value: number): void {
    this.#put(value, this.#at)
    this.#at += 4
  }

  /** Without the checks of `writeInt32BE`: there is room. */
  #put(value: number, at: number): void {
    const buffer = this.#buffer
    buffer[at] = value >>> 24
    buffer[at + 1] = value >>> 16
    buffer[at + 2] = value >>> 8
    buffer[at + 3] = value
  }

  /** No format codes at all say that every parameter is text. */
  #formats(values: readonly Encoded[]): void {
    let bytes = 0
    for (const value of values) if (typeof value === 'object' && value !== null) bytes++
    if (bytes === 0) {
      this.#reserve(4)
      this.#int16(0)
      return
    }
    this.#reserve(4 + values.length * 2)
    this.#int16(values.length)
    for (const value of values) this.#int16(value instanceof Uint8Array ? 1 : 0)
  }

  #text(text: string): void {
    this.#reserve(4 + bound(text))
    const begin = this.#at + 4
    const end = this.#characters(text, begin)
    this.#put(end - begin, this.#at)
    this.#at = end
  }

  #bytes(bytes: Uint8Array): void {
    this.#reserve(4 + bytes.length)
    this.#int32(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }
}

/** At least as many bytes as the text takes; for a long one, exactly as many. */
function bound(text: string): number {
  return text.length < 4096 ? text.length * 3 : Buffer.byteLength(text)
}
