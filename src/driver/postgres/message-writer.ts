// Frontend messages of the PostgreSQL protocol, gathered in one buffer and taken as one chunk. Sessions write a whole unit
// and hand the chunk to their wire. Pure bytes: no socket, no order of messages, no check of what makes sense.
import type { Encoded } from './encode.ts'

const initialSize = 1 << 16
/** A buffer that one huge statement made grow is given back. */
const keptSize = 1 << 20

export class MessageWriter {
  #buffer = Buffer.allocUnsafeSlow(initialSize)
  #at = 0
  #start = 0

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

  /** Binds the unnamed portal; all results come as text. */
  bind(name: string, values: readonly Encoded[]): void {
    this.#begin('B', 16 + name.length)
    this.#cstring('')
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
    this.#reserve(2)
    this.#int16(0)
    this.#end()
  }

  execute(maxRows: number): void {
    this.#begin('E', 8)
    this.#cstring('')
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

  flush(): void {
    this.#begin('H', 0)
    this.#end()
  }

  sync(): void {
    this.#begin('S', 0)
    this.#end()
  }

  /** What was written since the last call, in memory of its own. */
  take(): Buffer {
    const chunk = Buffer.from(this.#buffer.subarray(0, this.#at))
    this.#at = 0
    if (this.#buffer.length > keptSize) this.#buffer = Buffer.allocUnsafeSlow(initialSize)
    return chunk
  }

  #begin(type: string, room: number): void {
    this.#reserve(5 + room)
    this.#buffer[this.#at] = type.charCodeAt(0)
    this.#start = this.#at + 1
    this.#at += 5
  }

  #end(): void {
    this.#buffer.writeInt32BE(this.#at - this.#start, this.#start)
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + size))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }

  #cstring(text: string): void {
    this.#at += this.#buffer.write(text, this.#at, 'utf8')
    this.#buffer[this.#at++] = 0
  }

  #int16(value: number): void {
    this.#at = this.#buffer.writeUInt16BE(value, this.#at)
  }

  #int32(value: number): void {
    this.#at = this.#buffer.writeInt32BE(value | 0, this.#at)
  }

  /** No format codes at all say that every parameter is text. */
  #formats(values: readonly Encoded[]): void {
    if (values.every((value) => !(value instanceof Uint8Array))) {
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
    const buffer = this.#buffer
    const begin = this.#at + 4
    let at = begin
    if (text.length < 16) {
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i)
        if (code > 127) {
          at = -1
          break
        }
        buffer[at++] = code
      }
    } else at = -1
    if (at < 0) at = begin + buffer.write(text, begin, 'utf8')
    buffer.writeInt32BE(at - begin, this.#at)
    this.#at = at
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
