// What the server sends, cut into messages: rows and the ends of commands go to the session as the bytes they are, all else
// goes on to node-postgres as it came. Chunks end anywhere. It reads no values.

export interface Receiver {
  /** Whether the answers that arrive are those of the session: node-postgres keeps what it asked for itself. */
  readonly taking: boolean
  /** The body of a DataRow: from `at` to before `end`. */
  row(bytes: Buffer, at: number, end: number): void
  /** The tag of a CommandComplete. */
  complete(tag: string): void
  /** Bytes for node-postgres. */
  pass(bytes: Buffer): void
  /** What came is no message: nothing behind it can be read. */
  garbage(what: string): void
}

const header = 5
/** The server's own bound for a message (PostgreSQL: MaxAllocSize). */
const longest = 0x3f_ff_ff_ff
const dataRow = 68
const commandComplete = 67
const bindComplete = 50

export class MessageSplitter {
  readonly #receiver: Receiver
  /** The beginning of a message whose end has not arrived, and how many bytes it takes. */
  #held: Buffer[] = []
  #heldLength = 0
  #needed = 0
  /** How much of a message that was passed on is still to come. */
  #passing = 0

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  /** Throws what the receiver throws. */
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
    const receiver = this.#receiver
    /** Where begins what was not handed on yet. */
    let rest = 0
    let at = Math.min(this.#passing, bytes.length)
    this.#passing -= at
    while (at + header <= bytes.length) {
      const type = bytes[at]
      const length = bytes.readInt32BE(at + 1)
      if (length < 4 || length > longest) return receiver.garbage('a message of no possible length')
      const end = at + 1 + length
      const taken = (type === dataRow || type === commandComplete || type === bindComplete) && receiver.taking
      if (end > bytes.length) {
        if (!taken) {
          this.#passing = end - bytes.length
          at = bytes.length
        }
        break
      }
      if (taken) {
        if (rest < at) receiver.pass(bytes.subarray(rest, at))
        rest = end
        if (type === dataRow) receiver.row(bytes, at + header, end)
        else if (type === commandComplete) receiver.complete(bytes.toString('latin1', at + header, end - 1))
      }
      at = end
    }
    if (rest < at) receiver.pass(rest === 0 && at === bytes.length ? bytes : bytes.subarray(rest, at))
    if (at < bytes.length) {
      const needed = at + header <= bytes.length ? 1 + bytes.readInt32BE(at + 1) : header
      this.#hold(bytes.subarray(at), needed)
    }
  }

  #hold(bytes: Buffer, needed: number): void {
    this.#held.push(bytes)
    this.#heldLength += bytes.length
    this.#needed = needed
  }
}
