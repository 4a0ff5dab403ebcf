// The bytes of one connection to a PostgreSQL server, over a socket of Node.js. Received bytes go to a receiver: first the start-up,
// then a session. The only message it knows is Terminate.
import type { Socket } from 'node:net'
import { clock, longestTimerMs } from '../../util/clock.ts'
import { inRoot } from '../../util/context.ts'
import { Inbox, type Receiver } from '../postgres/inbox.ts'

/** Learns how a connection ends. */
export interface Ends {
  /** The bytes that arrived are not a message, or its receiver did not take it and threw `cause`. */
  garbled(cause: unknown): void
  /** The connection is gone, by itself. Called once. */
  ended(cause: unknown): void
}

const goodBye: Buffer = Buffer.from('X\0\0\0\u0004', 'latin1')

/** How many wires somebody waits for. One timer that never fires keeps the process alive for them: a socket takes longer to do that. */
let awaited = 0
let keeper: NodeJS.Timeout | null = null

function keepAlive(more: 1 | -1): void {
  keeper ??= inRoot(() => clock.setInterval(() => {}, longestTimerMs).unref())
  awaited += more
  if (awaited === 0) keeper.unref()
  else if (awaited === 1 && more === 1) keeper.ref()
}

export class SocketWire {
  #receiver: Receiver | null = null
  #ends: Ends | null = null
  readonly #inbox: Inbox = new Inbox(null, true)
  #socket: Socket | null = null
  #paused = false
  #over = false
  /** Somebody waits for what it brings. */
  #awaited = false
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
    socket.unref()
    this.hold(true)
    if (!direct) this.#listen(socket)
    socket.on('error', (cause) => (this.#cause ??= cause))
    socket.on('close', () => {
      if (this.#over) return
      this.#close()
      this.#gone = true
      this.#ends?.ended(this.#cause)
    })
  }

  /**
   * A socket without `onread` puts what it has read into its stream. An event for each part of an answer costs as much as to read the rows
   * in it, so the stream has only what comes while nobody reads.
   */
  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    const push = socket.push.bind(socket)
    socket.push = (chunk: Buffer | null, encoding) => {
      if (chunk === null || this.#paused || socket.readableLength > 0) return push(chunk, encoding)
      this.#read(chunk)
      return true
    }
  }

  /**
   * From the next message on the receiver is shown what arrives, and at once what has arrived and nobody was shown. Null: what arrives
   * waits for the next one. No message may be longer than that.
   * @param ends Learns how the connection ends.
   */
  show(receiver: Receiver | null, ends: Ends | null, longest: number = Infinity): void {
    this.#receiver = receiver
    this.#ends = ends
    if (ends !== null && this.#gone) ends.ended(this.#cause)
    else {
      this.#inbox.longest = longest
      this.#read(null)
    }
  }

  /** Of use once it is attached. */
  get socket(): Socket {
    return this.#socket as Socket
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
    if (waiting === this.#awaited || this.#over) return
    this.#awaited = waiting
    keepAlive(waiting ? 1 : -1)
  }

  #close(): void {
    this.hold(false)
    this.#over = true
  }

  /** Says good-bye; settles when the connection is gone, never rejects. */
  end(): Promise<void> {
    const { socket } = this
    if (this.#over) return Promise.resolve()
    this.#close()
    socket.ref()
    return new Promise((resolve) => {
      if (socket.destroyed) resolve()
      socket.once('close', () => resolve())
      socket.end(goodBye)
      socket.resume()
    })
  }

  destroy(): void {
    this.#close()
    this.#socket?.destroy()
  }

  /** What has come: a chunk, so many bytes in the inbox, or what was there. */
  #read(more: Buffer | number | null): void {
    if (this.#over) return
    try {
      if (more === null) this.#inbox.handTo(this.#receiver)
      else if (typeof more === 'number') this.#inbox.filled(more)
      else this.#inbox.push(more)
    } catch (cause) {
      this.#ends?.garbled(cause)
    }
  }
}
