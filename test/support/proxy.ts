/**
 * A TCP proxy in this process, between the code under test and a PostgreSQL server, that breaks the way there on purpose. It
 * knows where messages begin and end, so a connection can be cut at any of them. Plain connections on the loopback only.
 */

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from './free-port.ts'

/** Which way something travels. */
export type Towards = 'server' | 'client'

/** How a connection ends: RST, FIN, or it stays open and whatever is said on it is swallowed. */
export type Break = 'reset' | 'finish' | 'blackhole'

/** The moment of one message at which something happens, once. */
export interface Moment {
  readonly to: Towards
  /** The type byte: `P` Parse, `E` Execute, `C` CommandComplete, … */
  readonly type?: string | undefined
  /** A part of the message. */
  readonly text?: string | undefined
  /** `before`: the message itself does not pass any more. */
  readonly when: 'before' | 'after'
}

/** Whether it has happened, and to which connection. */
export interface Incident {
  readonly link: Link | null
}

interface Rule extends Moment {
  readonly act: (link: Link) => void
  link: Link | null
}

/** What becomes of connections that arrive; a function has the socket for itself. */
export type Welcome = 'pass' | 'silent' | ((socket: Socket) => void)

/** Starts a proxy before the server of that URL; leaving its `await using` block closes it and all its connections. */
export async function startProxy(target: string): Promise<Proxy> {
  const proxy = new Proxy(new URL(target))
  await proxy.accept()
  return proxy
}

export class Proxy implements AsyncDisposable {
  /** Every connection that was let through, in the order of their arrival, cancel requests among them. */
  readonly links: Link[] = []
  /** How many connections arrived, whatever became of them. */
  arrived = 0
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #rules: Rule[] = []
  #server: Server | null = null
  #port = 0
  #welcome: Welcome = 'pass'

  constructor(target: URL) {
    this.#target = target
  }

  /** The URL of the target, by way of this proxy. */
  get url(): string {
    const url = new URL(this.#target)
    url.port = String(this.#port)
    return url.href
  }

  /** Sessions neither side has ended. */
  get open(): Link[] {
    return this.links.filter((link) => link.alive && !link.cancels)
  }

  /** Accepts connections, which then fare as `welcome` says. */
  async accept(welcome: Welcome = 'pass'): Promise<void> {
    this.#welcome = welcome
    if (this.#server !== null) return
    // It may stop listening, and begin again at the same place.
    if (this.#port === 0) this.#port = await freePort()
    this.#server = createServer((socket) => this.#arrive(socket)).listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Refuses connections from now on; those there are stay as they are. */
  refuse(): void {
    this.#server?.close()
    this.#server = null
  }

  /** Breaks the connection on which this message passes next. */
  cut(moment: Moment, how: Break = 'reset'): Incident {
    return this.on(moment, (link) => link.break(how))
  }

  /** Does something when such a message passes next. */
  on(moment: Moment, act: (link: Link) => void): Incident {
    const rule: Rule = { ...moment, act, link: null }
    this.#rules.push(rule)
    return rule
  }

  /** @internal The rule that this message fulfils; it is used up. */
  match(to: Towards, type: string, message: Buffer): Rule | undefined {
    const found = this.#rules.findIndex(
      (rule) =>
        rule.to === to &&
        (rule.type === undefined || rule.type === type) &&
        (rule.text === undefined || message.includes(rule.text)),
    )
    return found < 0 ? undefined : this.#rules.splice(found, 1)[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server
    this.refuse()
    for (const socket of this.#sockets) socket.destroy()
    if (server?.listening === true) await once(server, 'close')
  }

  #arrive(socket: Socket): void {
    this.arrived++
    this.#keep(socket)
    const welcome = this.#welcome
    if (typeof welcome === 'function') welcome(socket)
    else if (welcome === 'silent') socket.resume()
    else {
      const upstream = connect(Number(this.#target.port), this.#target.hostname)
      this.#keep(upstream)
      this.links.push(new Link(this, socket, upstream))
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket.setNoDelay(true))
    socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket))
  }
}

/** One connection through the proxy. */
export class Link {
  /** What went to the server. */
  readonly toServer: Way
  /** What went to the client. */
  readonly toClient: Way
  /** It carried a cancel request. */
  cancels = false
  /** The client has not closed it. */
  held = true
  readonly #client: Socket
  readonly #upstream: Socket

  constructor(proxy: Proxy, client: Socket, upstream: Socket) {
    this.#client = client
    this.#upstream = upstream
    this.toServer = new Way(this, proxy, 'server', upstream)
    this.toClient = new Way(this, proxy, 'client', client)
    client.on('data', (chunk) => this.toServer.take(chunk))
    upstream.on('data', (chunk) => this.toClient.take(chunk))
    client.once('close', () => (this.held = false))
    for (const event of ['end', 'close'] as const) {
      client.once(event, () => this.toServer.end())
      upstream.once(event, () => this.toClient.end())
    }
  }

  get alive(): boolean {
    return !this.#client.destroyed && !this.#upstream.destroyed
  }

  break(how: Break): void {
    for (const way of [this.toServer, this.toClient]) way.swallows = true
    if (how === 'blackhole') return
    for (const socket of [this.#client, this.#upstream]) {
      if (how === 'reset') socket.resetAndDestroy()
      else socket.end()
    }
  }

  /** Every chunk travels so much later, both ways. */
  delay(ms: number): void {
    for (const way of [this.toServer, this.toClient]) way.delayMs = ms
  }

  /** Sends single bytes, both ways. */
  trickle(): void {
    for (const way of [this.toServer, this.toClient]) way.trickles = true
  }

  /** Breaks it when so many bytes in all have gone that way; the last may be in the middle of a message. */
  cutAtByte(to: Towards, byte: number, how: Break = 'reset'): void {
    const way = to === 'server' ? this.toServer : this.toClient
    way.limit = { byte, reached: () => this.break(how) }
  }
}

/** What a server says of an error with that SQLSTATE. */
export function forgedError(sqlState: string): Buffer {
  const fields = ['SERROR', 'VERROR', `C${sqlState}`, 'Mforged', ''].join('\0')
  const message = Buffer.alloc(5 + Buffer.byteLength(fields) + 1)
  message.write('E')
  message.writeInt32BE(message.length - 1, 1)
  message.write(fields, 5)
  return message
}

const cancelCode = 80_877_102

/** One direction of a connection, message by message. */
export class Way {
  /** What was passed on. */
  bytes = 0
  messages = 0
  /** Types of the messages passed on, in order; the first of a client has none and stands as `-`. */
  types = ''
  /** Whatever comes is thrown away. */
  swallows = false
  delayMs = 0
  trickles = false
  /** The next bytes go in two writes, the first of so many, with a pause between them. */
  split = 0
  limit: { readonly byte: number; readonly reached: () => void } | null = null
  readonly #link: Link
  readonly #proxy: Proxy
  readonly #to: Towards
  readonly #target: Socket
  #rest: Buffer = Buffer.alloc(0)
  #started = false
  /** What is delayed, in order. */
  #queue: Promise<void> | null = null

  constructor(link: Link, proxy: Proxy, to: Towards, target: Socket) {
    this.#link = link
    this.#proxy = proxy
    this.#to = to
    this.#target = target
    this.#started = to === 'client'
  }

  take(chunk: Buffer): void {
    if (this.swallows) return
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let ready = 0
    for (let length = this.#next(rest, ready); length > 0; length = this.#next(rest, ready)) {
      const message = rest.subarray(ready, ready + length)
      const type = this.#started ? String.fromCharCode(message[0] as number) : '-'
      const rule = this.#proxy.match(this.#to, type, message)
      if (!this.#started) this.#link.cancels = message.readInt32BE(4) === cancelCode
      this.#started = true
      if (rule?.when !== 'before') {
        this.types += type
        this.messages++
        ready += length
      }
      if (rule === undefined) continue
      this.write(rest.subarray(0, ready))
      rest = rest.subarray(rule.when === 'before' ? ready + length : ready)
      ready = 0
      rule.link = this.#link
      rule.act(this.#link)
      if (this.swallows) return
    }
    if (ready > 0) this.write(rest.subarray(0, ready))
    this.#rest = rest.subarray(ready)
  }

  /** Sends bytes that way, as if the other side had sent them. */
  write(bytes: Buffer): void {
    const { limit } = this
    const left = limit === null ? Infinity : limit.byte - this.bytes
    const passing = bytes.subarray(0, Math.min(left, bytes.length))
    this.bytes += passing.length
    if (this.#queue === null && this.delayMs === 0 && this.split === 0 && !this.trickles) this.#target.write(passing)
    else this.#enqueue(passing)
    if (limit !== null && passing.length >= left) {
      this.limit = null
      this.#target.write('', () => limit.reached())
    }
  }

  /** What comes from now on waits for that. */
  hold(over: Promise<void>): void {
    const held = (this.#queue ?? Promise.resolve())
      .then(() => over)
      .then(() => {
        if (this.#queue === held) this.#queue = null
      })
    this.#queue = held
  }

  end(): void {
    if (this.swallows) return
    if (this.#queue === null) this.#target.end()
    else void this.#queue.then(() => this.#target.end())
  }

  #enqueue(bytes: Buffer): void {
    const wait = this.delayMs === 0 ? null : new Promise((resolve) => setTimeout(resolve, this.delayMs))
    const { split } = this
    this.split = 0
    const sent = (this.#queue ?? Promise.resolve()).then(async () => {
      await wait
      for (let at = 0; at < bytes.length && !this.swallows;) {
        const step = this.trickles ? 1 : at === 0 && split > 0 ? split : bytes.length
        this.#target.write(bytes.subarray(at, at + step))
        at += step
        if (at < bytes.length) await new Promise(setImmediate)
      }
      if (this.#queue === sent) this.#queue = null
    })
    this.#queue = sent
  }

  /** The length of the message at `from`, or 0 when it has not arrived as a whole. */
  #next(bytes: Buffer, from: number): number {
    const head = this.#started ? 1 : 0
    if (bytes.length < from + head + 4) return 0
    const length = head + bytes.readInt32BE(from + head)
    return bytes.length < from + length ? 0 : length
  }
}
