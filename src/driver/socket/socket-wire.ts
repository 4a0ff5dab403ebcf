// The bytes of one connection to a PostgreSQL server, over a socket of Node's. What arrives is shown to a reader: the start-up
// first, then a session. It knows no message but the good-bye.
import type { Socket } from 'node:net'
import { Inbox, type Receiver } from '../postgres/inbox.ts'

/** Who is shown the messages that arrive. */
export interface Reader extends Receiver {
  /** What arrived is no message, or one that it does not take: what it threw. */
  garbled(cause: unknown): void
  /** The connection is gone, by itself; told once. */
  ended(cause: unknown): void
}

const goodBye: Buffer = Buffer.from('X\0\0\0\u0004', 'latin1')

export class SocketWire {
  #reader: Reader | null = null
  readonly #inbox: Inbox = new Inbox(null, true)
  #socket: Socket | null = null
  #paused = false
  #over = false
  /** It has ended by itself, and why. */
  #gone = false
  #cause: unknown = undefined

  /** For `net.connect` and `tls.connect`: the system writes into our memory, without an event and a copy for each chunk. */
  readonly onread: { buffer(): Buffer; callback(count: number): boolean } = {
    buffer: () => this.#inbox.space(),
    callback: (count) => {
      this.#read(count)
      return !this.#paused
    },
  }

  /** @param direct The socket was made with `onread`. */
  attach(socket: Socket, direct: boolean): void {
    this.#socket = socket
    if (!direct) socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (cause) => (this.#cause ??= cause))
    socket.on('close', () => {
      if (this.#over) return
      this.#over = true
      this.#gone = true
      this.#reader?.ended(this.#cause)
    })
  }

  /**
   * From the next message on it is shown what arrives, and at once what has arrived and nobody was shown. Null: what arrives
   * waits for the next one. No message may be longer than that.
   */
  show(reader: Reader | null, longest: number = Infinity): void {
    this.#reader = reader
    if (reader !== null && this.#gone) reader.ended(this.#cause)
    else {
      this.#inbox.longest = longest
      this.#read(null)
    }
  }

  /** Of use once it is attached. */
  get socket(): Socket {
    return this.#socket as Socket
  }

  /** How much of what was written has not gone out. */
  get unsent(): number {
    return this.#socket?.writableLength ?? 0
  }

  /**
   * True: the bytes have gone out and their buffer is free again. False: it is in use until `sent` is called, which then has
   * to be given.
   */
  write(bytes: Uint8Array, sent?: () => void): boolean {
    const { socket } = this
    if (this.#over) return true
    socket.write(bytes, sent)
    return socket.writableLength === 0
  }

  /** Nothing more is read from the socket; what has been read is still shown. */
  pauseReading(): void {
    this.#paused = true
    // With `onread` the answer of the callback says so, and pausing the stream would be of no effect.
    if (this.#socket !== null && this.#socket.listenerCount('data') > 0) this.#socket.pause()
  }

  resumeReading(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket?.resume()
  }

  /** Whether it keeps the process alive. */
  hold(waiting: boolean): void {
    if (waiting) this.#socket?.ref()
    else this.#socket?.unref()
  }

  /** Says good-bye; settles when the connection is gone, never rejects. */
  end(): Promise<void> {
    const { socket } = this
    if (this.#over) return Promise.resolve()
    this.#over = true
    socket.ref()
    return new Promise((resolve) => {
      if (socket.destroyed) resolve()
      socket.once('close', () => resolve())
      socket.end(goodBye)
      socket.resume()
    })
  }

  destroy(): void {
    this.#over = true
    this.#socket?.destroy()
  }

  /** What has come: a chunk, so many bytes in the inbox, or what was there. */
  #read(more: Buffer | number | null): void {
    if (this.#over) return
    try {
      if (more === null) this.#inbox.handTo(this.#reader)
      else if (typeof more === 'number') this.#inbox.filled(more)
      else this.#inbox.push(more)
    } catch (cause) {
      this.#reader?.garbled(cause)
    }
  }
}
