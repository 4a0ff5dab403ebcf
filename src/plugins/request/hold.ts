// Holds the answer of a `node:http` response back until something is decided: the first `writeHead`, `write`, `end` or
// `flushHeaders` asks, and what was written meanwhile is sent when the decision is there. For frameworks whose handlers write
// the response themselves. When the decision fails, nothing of the answer is left and another one can be given.
// Whoever writes sees and hears all that they would without it: the head counts as sent, and what cannot be sent is refused at once.
// Other middlewares put such methods on the response too, before it and after it: theirs stay, in the order of the layers.
// What comes behind the decision runs in the context around the transaction, which has ended by then.
import { EventEmitter } from 'node:events'
import { type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { currentChain, runIn } from '../../engine/context/chain.ts'
import { UsageError } from '../../errors/index.ts'
import { isUpgrade, whenClosed } from './node.ts'

const held = ['writeHead', 'write', 'end', 'flushHeaders'] as const
/** Node refuses these when the head was sent. */
const ofHead = ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader'] as const

/** What code that writes sees while it is held. Node itself, and other middlewares, ask for `_header` and `finished`. */
const shadowed = [
  'headersSent',
  '_header',
  'writableEnded',
  'finished',
  'writableFinished',
  'writableNeedDrain',
] as const

type Method = (typeof held)[number]
type Guarded = (typeof ofHead)[number]
type Shadowed = (typeof shadowed)[number]

const upgraded =
  'An upgrade, such as that of a web socket, has no answer to commit its transaction with. Take its route out of the transaction, and ' +
  'begin one for each message: db.transaction().'

/** Responses of HTTP/2 have no message, and warn of whoever asks for one. */
const messageOf = (response: ServerResponse): unknown =>
  Object.getOwnPropertyDescriptor(response, 'statusMessage')?.value

export class HeldResponse {
  readonly #response: ServerResponse
  readonly #decide: (statusCode: number) => Promise<void>
  readonly #failed: (error: unknown) => void
  readonly #before: {
    readonly statusCode: number
    readonly statusMessage: unknown
    readonly headers: OutgoingHttpHeaders
  }
  readonly #calls: { readonly method: Method; readonly given: readonly unknown[] }[] = []
  /** What the response itself had by these names, such as the methods of a middleware; undefined: nothing. */
  readonly #below = new Map<string, PropertyDescriptor | undefined>()
  readonly #mine = new Map<string, PropertyDescriptor>()
  readonly #around = currentChain()
  #state: 'waiting' | 'deciding' | 'released' = 'waiting'
  #ended = false
  /** A response whose head was sent, which refuses as this one would. */
  #sent: ServerResponse | null = null

  /**
   * Made in the context around the transaction.
   * @param decide Asked once, with the status of the answer; the answer is sent when it resolves.
   * @param failed Told when it rejects, or when the answer cannot be sent. If nothing was, the response is as it was when it was held.
   * @throws {UsageError} for an upgrade, whose transaction would last as long as its socket.
   */
  constructor(
    response: ServerResponse,
    decide: (statusCode: number) => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    if (response.req !== undefined && isUpgrade(response.req)) throw new UsageError(upgraded)
    this.#response = response
    this.#decide = decide
    this.#failed = failed
    const { statusCode } = response
    this.#before = { statusCode, statusMessage: messageOf(response), headers: response.getHeaders() }
    for (const method of held) this.#putMethod(method, (given) => this.#hold(method, given))
    for (const method of ofHead) if (method in response) this.#putMethod(method, (given) => this.#head(method, given))
    for (const name of shadowed) if (name in response) this.#putState(name)
  }

  #putMethod(name: Method | Guarded, call: (given: unknown[]) => unknown): void {
    this.#put(name, { configurable: true, writable: true, value: (...given: unknown[]): unknown => call(given) })
  }

  #putState(name: Shadowed): void {
    const set = (value: unknown): void => {
      Object.defineProperty(this.#response, name, { configurable: true, enumerable: true, writable: true, value })
    }
    this.#put(name, { configurable: true, enumerable: true, get: () => this.#shadow(name), set })
  }

  #put(name: string, mine: PropertyDescriptor): void {
    this.#below.set(name, Object.getOwnPropertyDescriptor(this.#response, name))
    this.#mine.set(name, mine)
    Object.defineProperty(this.#response, name, mine)
  }

  /** Whether the handler has begun to answer. */
  get answered(): boolean {
    return this.#state !== 'waiting'
  }

  /** Calls `work` when the client leaves before the handler has begun to answer; at once if it has left. */
  onUnanswered(work: () => void): void {
    whenClosed(this.#response, () => {
      if (this.#state === 'waiting') work()
    })
  }

  /** Lets everything through again; what was written is dropped. Only while nothing was sent. */
  release(): void {
    if (this.#state !== 'released') this.#let(false)
  }

  /** `alone`: without what was put over it since, which has been through its answer. Else that stays, and comes through here. */
  #let(alone: boolean): void {
    this.#state = 'released'
    for (const [name, mine] of this.#mine) {
      const now = Object.getOwnPropertyDescriptor(this.#response, name)
      if (!alone && (now?.value !== mine.value || now?.get !== mine.get)) continue
      const below = this.#below.get(name)
      if (below === undefined) Reflect.deleteProperty(this.#response, name)
      else Object.defineProperty(this.#response, name, below)
    }
  }

  /** The method or the state that lies below. */
  #read(name: string): unknown {
    const response = this.#response
    const below = this.#below.get(name)
    if (below === undefined) return Reflect.get(Object.getPrototypeOf(response) as object, name, response)
    return below.get === undefined ? below.value : below.get.call(response)
  }

  #pass(method: Method | Guarded, given: readonly unknown[]): unknown {
    return Reflect.apply(this.#read(method) as () => unknown, this.#response, given)
  }

  #shadow(name: Shadowed): unknown {
    if (this.#state === 'released') return this.#read(name)
    const deciding = this.#state === 'deciding'
    // An answer may have begun before it was held.
    const below = this.#read(name)
    if (name === 'headersSent') return deciding || below
    if (name === '_header') return deciding ? below || 'HTTP/1.1' : below
    if (name === 'writableFinished') return !deciding && below
    return name === 'writableNeedDrain' ? deciding && !this.#ended : this.#ended || below
  }

  #head(method: Guarded, given: readonly unknown[]): unknown {
    if (this.#state !== 'deciding') return this.#pass(method, given)
    return apply(this.#refusing(), method, given)
  }

  #hold(method: Method, given: readonly unknown[]): unknown {
    const response = this.#response
    if (this.#state === 'released') return this.#pass(method, given)
    this.#check(method, given)
    this.#calls.push({ method, given })
    if (method === 'writeHead' && typeof given[0] === 'number') response.statusCode = given[0]
    if (method === 'end') this.#ended = true
    if (this.#state === 'waiting') {
      this.#state = 'deciding'
      void this.#settle()
    }
    // As a full buffer: whoever respects it waits for `drain`.
    return method === 'write' ? false : response
  }

  /** Throws, as Node does, for what cannot be sent: nothing is decided then. */
  #check(method: Method, given: readonly unknown[]): void {
    const response = this.#response
    const [piece] = given
    const isPiece = typeof piece === 'string' || piece instanceof Uint8Array
    if (method === 'write' ? !isPiece : method === 'end' && Boolean(piece) && !isPiece && typeof piece !== 'function')
      new PassThrough().write(piece)
    const ofHttp2 = 'stream' in response
    if (this.#state === 'waiting' && this.#read('headersSent') !== true) {
      if (ofHttp2) return
      const tried = new ServerResponse(response.req)
      apply(tried, 'writeHead', method === 'writeHead' ? given : [response.statusCode])
    } else if (method === 'writeHead') apply(this.#refusing(), method, given)
  }

  #refusing(): ServerResponse {
    return (this.#sent ??= sentLike(this.#response))
  }

  async #settle(): Promise<void> {
    const response = this.#response
    // Without the hold the head would be on its way: what is set behind the first write changes it no more.
    const { statusCode } = response
    const message = messageOf(response)
    try {
      await this.#decide(statusCode)
    } catch (error) {
      this.#let(true)
      runIn(this.#around, () => this.#fail(error))
      return
    }
    runIn(this.#around, () => this.#pour(statusCode, message))
  }

  /** Sends what was held. */
  #pour(statusCode: number, message: unknown): void {
    const response = this.#response
    const late = [response.statusCode, messageOf(response)]
    this.release()
    setStatus(response, statusCode, message)
    try {
      // Also when the client has left: then they fail, as they would have.
      for (const { method, given } of this.#calls) this.#pass(method, given)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (late[0] !== statusCode || late[1] !== message) setStatus(response, Number(late[0]), late[1])
    if (!this.#ended && !response.writableNeedDrain) response.emit('drain')
  }

  #fail(error: unknown): void {
    const response = this.#response
    const { statusCode, statusMessage, headers } = this.#before
    if (!response.headersSent) {
      for (const name of response.getHeaderNames()) if (headers[name] === undefined) response.removeHeader(name)
      for (const [name, value] of Object.entries(headers))
        if (value !== undefined && response.getHeader(name) !== value) response.setHeader(name, value)
      setStatus(response, statusCode, statusMessage)
    }
    this.#failed(error)
  }
}

function apply(response: ServerResponse, method: Method | Guarded, given: readonly unknown[]): unknown {
  return Reflect.apply(response[method] as () => unknown, response, given)
}

function setStatus(response: ServerResponse, code: number, message: unknown): void {
  response.statusCode = code
  if (messageOf(response) !== message) response.statusMessage = message as string
}

/** One of the same protocol. */
function sentLike(response: ServerResponse): ServerResponse {
  if (!('stream' in response)) {
    const sent = new ServerResponse(response.req)
    sent.writeHead(200)
    return sent
  }
  const Http2Response = response.constructor as new (stream: unknown) => ServerResponse
  return new Http2Response(Object.assign(new EventEmitter(), { headersSent: true }))
}
