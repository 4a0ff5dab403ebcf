// The bytes of one connection to a PostgreSQL server, over a socket of Node's. What arrives is shown to a receiver: the start-up
// first, then a session. It knows no message but the good-bye.
import type { Socket } from 'node:net'
import { clock } from '../../util/clock.ts'
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

/**
 * A socket that nobody waits for still keeps the process alive for this time. Most are needed again at once, and to let go and take
 * hold again costs as much as all else that is done for a small answer.
 */
const holdsMs = 10

/** Those that are about to let go. */
let idle: SocketWire[] = []

function letGo(): void {
  const wires = idle
  idle = []
  for (const wire of wires) wire.letGo()
}

function lingers(wire: SocketWire): void {
  if (idle.push(wire) > 1) return
  const timer: Partial<NodeJS.Timeout> = inRoot(() => clock.setTimeout(letGo, holdsMs))
  // The sockets keep the process alive, not the timer: they may all be closed before. Deno's is a number.
  timer.unref?.()
}

export class SocketWire {
  #receiver: Receiver | null = null
  #ends: Ends | null = null
  readonly #inbox: Inbox = new Inbox(null, true)
  #socket: Socket | null = null
  #paused = false
  #over = false
  /** Somebody waits for an answer. */
  #wanted = true
  /** It keeps the process alive. */
  #holds = true
  /** It is among those that are about to let go. */
  #lingers = false
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
    if (!direct) this.#listen(socket)
    socket.on('error', (cause) => (this.#cause ??= cause))
    socket.on('close', () => {
      if (this.#over) return
      this.#over = true
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

  /** Whether it keeps the process alive: at once, or a little longer. */
  hold(waiting: boolean): void {
    this.#wanted = waiting
    if (!waiting && !this.#lingers) {
      this.#lingers = true
      lingers(this)
    } else if (waiting && !this.#holds) {
      this.#holds = true
      this.#socket?.ref()
    }
  }

  letGo(): void {
    this.#lingers = false
    if (this.#wanted || this.#over) return
    this.#holds = false
    this.#socket?.unref()
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
      if (more === null) this.#inbox.handTo(this.#receiver)
      else if (typeof more === 'number') this.#inbox.filled(more)
      else this.#inbox.push(more)
    } catch (cause) {
      this.#ends?.garbled(cause)
    }
  }
}
