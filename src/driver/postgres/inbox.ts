// The receive buffer of a connection: cuts the bytes that have arrived into messages, and hands each whole message to a receiver.
// Messages end anywhere in a chunk. The bytes come as chunks of somebody else's memory, or a socket writes them into this buffer. It
// reads no values.
import { ProtocolError } from '../../errors/index.ts'

/** Types of messages, as their first byte. */
export const Message = {
  parseComplete: 49,
  bindComplete: 50,
  closeComplete: 51,
  notification: 65,
  commandComplete: 67,
  dataRow: 68,
  errorResponse: 69,
  copyIn: 71,
  copyOut: 72,
  emptyQuery: 73,
  backendKey: 75,
  notice: 78,
  authentication: 82,
  parameterStatus: 83,
  rowDescription: 84,
  readyForQuery: 90,
  copyDone: 99,
  copyData: 100,
  noData: 110,
  portalSuspended: 115,
  parameterDescription: 116,
  negotiation: 118,
} as const

/** The type, four bytes of length. */
export const header = 5
/** The server's own bound for a message (PostgreSQL: MaxAllocSize). */
const longest = 0x3f_ff_ff_ff

/** Where the message that begins at `at` ends. @throws {ProtocolError} when it has no possible length. */
export function endOf(bytes: Buffer, at: number): number {
  // Without the checks of `readInt32BE`: every message has one.
  const length =
    ((bytes[at + 1] as number) << 24) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 8) |
    (bytes[at + 4] as number)
  if (length < 4 || length > longest) throw new ProtocolError('a message with an impossible length')
  return at + 1 + length
}

export interface Receiver {
  /** A message: its type, and its body from `at` to before `end`. The bytes are the inbox's: what is kept is copied. */
  message(type: number, bytes: Buffer, at: number, end: number): void
  /**
   * Rows, of which there are many: a whole one begins at `from`, others may follow. Gives where what it did not take begins; without
   * it, and where it takes none, each is a message.
   */
  rows?(bytes: Buffer, from: number, to: number): number
}

/** How much a socket is offered at least, and what the memory for it has. */
const leastSpace = 1 << 15
const usualSize = 1 << 17
/** Memory that one huge message made grow is given back. */
const keptSize = 1 << 20
const nothing = Buffer.alloc(0)

export class Inbox {
  /** A message beyond it is refused as soon as its header has come. */
  longest: number = Infinity
  #receiver: Receiver | null
  #buffer: Buffer = nothing
  /** What is unread. */
  #from = 0
  #to = 0
  /** The buffer is written over again and again. Otherwise memory that a receiver has seen is never written over. */
  readonly #reuses: boolean
  #reading = false
  /** Chunks that came while a message was being received. */
  #late: Buffer[] = []

  /**
   * @param receiver Null: what arrives is kept for the one that is given later.
   * @param reuses The buffer is used again, so receivers copy what they keep. A socket writes only into such an inbox.
   */
  constructor(receiver: Receiver | null, reuses = false) {
    this.#receiver = receiver
    this.#reuses = reuses
  }

  /**
   * From the next message on they go elsewhere, also when the receiver of before says so while it has a message. Null: they are
   * kept. What was kept is read at once: throws as `push` does.
   */
  handTo(receiver: Receiver | null): void {
    this.#receiver = receiver
    if (receiver !== null && !this.#reading) this.#read()
  }

  /** Throws what the receiver throws, and a ProtocolError for what is no message; then nothing behind it can be read. */
  push(chunk: Buffer): void {
    if (this.#reading) {
      this.#late.push(chunk)
      return
    }
    if (this.#from < this.#to) this.#add(chunk)
    else {
      // In place: only the beginning of a message whose end has not come is copied.
      const at = this.#cut(chunk, 0, chunk.length)
      if (at < chunk.length) this.#add(chunk.subarray(at))
    }
    this.#read()
    for (let late = this.#late.shift(); late !== undefined; late = this.#late.shift()) this.push(late)
  }

  /** All that came has been read. */
  get empty(): boolean {
    return this.#from === this.#to
  }

  /** Where a socket puts what it reads next. */
  space(): Buffer {
    this.#reserve(leastSpace)
    return this.#to === 0 ? this.#buffer : this.#buffer.subarray(this.#to)
  }

  /** A socket has put so many bytes there. Throws as `push` does. */
  filled(count: number): void {
    this.#to += count
    this.#read()
  }

  #add(chunk: Buffer): void {
    this.#reserve(chunk.length)
    chunk.copy(this.#buffer, this.#to)
    this.#to += chunk.length
  }

  #read(): void {
    if (this.#from < this.#to) this.#from = this.#cut(this.#buffer, this.#from, this.#to)
    if (this.#from < this.#to) return
    this.#from = this.#to = 0
    if (!this.#reuses || this.#buffer.length > keptSize) this.#buffer = nothing
  }

  /** Hands on the whole messages from `from` to before `to`. Gives where the rest begins. */
  #cut(bytes: Buffer, from: number, to: number): number {
    let at = from
    this.#reading = true
    try {
      while (at + header <= to) {
        const end = endOf(bytes, at)
        if (end - at > this.longest) throw new ProtocolError('a message that is longer than any can be now')
        if (end > to || this.#receiver === null) break
        const type = bytes[at] as number
        const rest = type === Message.dataRow ? (this.#receiver.rows?.(bytes, at, to) ?? at) : at
        if (rest === at) this.#receiver.message(type, bytes, at + header, end)
        at = rest === at ? end : rest
      }
    } finally {
      this.#reading = false
    }
    return at
  }

  #reserve(size: number): void {
    if (this.#to + size <= this.#buffer.length) return
    const unread = this.#to - this.#from
    const whole = this.#reuses ? Math.max(usualSize, unread + size) : unread + size
    // What is still small beside the memory moves to its front, else the memory doubles: a huge message is copied a few times only.
    const fits = this.#reuses && unread + size <= this.#buffer.length && unread * 2 <= this.#buffer.length
    const next = fits ? this.#buffer : Buffer.allocUnsafeSlow(Math.max(whole, unread * 2))
    this.#buffer.copy(next, 0, this.#from, this.#to)
    this.#buffer = next
    this.#from = 0
    this.#to = unread
  }
}
