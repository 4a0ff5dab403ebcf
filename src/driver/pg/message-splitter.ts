// What the server sends, cut into messages: each is handed to a receiver when it is whole. Chunks end anywhere. It reads no
// values.
import { endOf, header } from '../postgres/message-reader.ts'

export interface Receiver {
  /** A message: its type, and its body from `at` to before `end`. */
  message(type: number, bytes: Buffer, at: number, end: number): void
}

export class MessageSplitter {
  readonly #receiver: Receiver
  /** The beginning of a message whose end has not arrived, and how many bytes it takes. */
  #held: Buffer[] = []
  #heldLength = 0
  #needed = 0

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  /** Throws what the receiver throws, and a ProtocolError for what is no message; then nothing behind it can be read. */
  push(chunk: Buffer): void {
    if (this.#needed === 0) {
      this.#split(chunk)
      return
    }
    const missing = this.#needed - this.#heldLength
    if (chunk.length < missing) {
      this.#hold(chunk, this.#needed)
      return
    }
    const message = Buffer.concat([...this.#held, chunk.subarray(0, missing)])
    this.#held = []
    this.#heldLength = 0
    this.#needed = 0
    this.#split(message)
    if (chunk.length > missing) this.push(chunk.subarray(missing))
  }

  #split(bytes: Buffer): void {
    let at = 0
    let needed = header
    while (at + header <= bytes.length) {
      const end = endOf(bytes, at)
      if (end > bytes.length) {
        needed = end - at
        break
      }
      this.#receiver.message(bytes[at] as number, bytes, at + header, end)
      at = end
    }
    if (at < bytes.length) this.#hold(at === 0 ? bytes : bytes.subarray(at), needed)
  }

  #hold(bytes: Buffer, needed: number): void {
    this.#held.push(bytes)
    this.#heldLength += bytes.length
    this.#needed = needed
  }
}
