// Holds the answer of a `node:http` response back until something is decided: the first `writeHead`, `write`, `end` or
// `flushHeaders` asks, and what was written meanwhile is sent when the decision is there. For frameworks whose handlers write
// the response themselves. When the decision fails, nothing of the answer is left and another one can be given.
// Other middlewares put such methods on the response too, before it and after it: theirs stay, in the order of the layers.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

const held = ['writeHead', 'write', 'end', 'flushHeaders'] as const

type Method = (typeof held)[number]

/** What code that writes sees while it is held: `headersSent` and `writableEnded` are what they would be. */
const shadowed = ['headersSent', 'writableEnded'] as const

type Shadowed = (typeof shadowed)[number]

export class HeldResponse {
  readonly #response: ServerResponse
  readonly #decide: (statusCode: number) => Promise<void>
  readonly #failed: (error: unknown) => void
  readonly #before: { readonly statusCode: number; readonly headers: OutgoingHttpHeaders }
  readonly #calls: { readonly method: Method; readonly given: readonly unknown[] }[] = []
  /** What the response itself had by these names, such as the methods of a middleware; undefined: nothing. */
  readonly #below = new Map<string, PropertyDescriptor | undefined>()
  readonly #mine = new Map<string, PropertyDescriptor>()
  #state: 'waiting' | 'deciding' | 'released' = 'waiting'
  #ended = false

  /**
   * @param decide Asked once, with the status of the answer; the answer is sent when it resolves.
   * @param failed Told when it rejects. The response is then as it was when it was held.
   */
  constructor(
    response: ServerResponse,
    decide: (statusCode: number) => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    this.#response = response
    this.#decide = decide
    this.#failed = failed
    this.#before = { statusCode: response.statusCode, headers: response.getHeaders() }
    for (const method of held) {
      const value = (...given: unknown[]): unknown => this.#hold(method, given)
      this.#put(method, { configurable: true, writable: true, value })
    }
    for (const name of shadowed) this.#put(name, { configurable: true, get: () => this.#shadow(name) })
  }

  #put(name: Method | Shadowed, mine: PropertyDescriptor): void {
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
    const closed = (): void => {
      if (this.#state === 'waiting') work()
    }
    if (this.#response.closed) closed()
    else this.#response.once('close', closed)
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
  #read(name: Method | Shadowed): unknown {
    const response = this.#response
    const below = this.#below.get(name)
    if (below === undefined) return Reflect.get(Object.getPrototypeOf(response) as object, name, response)
    return below.get === undefined ? below.value : below.get.call(response)
  }

  #pass(method: Method, given: readonly unknown[]): unknown {
    return Reflect.apply(this.#read(method) as () => unknown, this.#response, given)
  }

  #shadow(name: Shadowed): unknown {
    if (this.#state === 'released') return this.#read(name)
    return name === 'headersSent' ? this.#state !== 'waiting' : this.#ended
  }

  #hold(method: Method, given: readonly unknown[]): unknown {
    const response = this.#response
    if (this.#state === 'released') return this.#pass(method, given)
    if (this.#ended && method === 'end') return response
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

  async #settle(): Promise<void> {
    const response = this.#response
    // Without the hold the head would be on its way: what is set behind the first write changes it no more.
    const { statusCode, statusMessage } = response
    try {
      await this.#decide(statusCode)
    } catch (error) {
      this.#let(true)
      this.#restore()
      this.#failed(error)
      return
    }
    this.release()
    response.statusCode = statusCode
    if (response.statusMessage !== statusMessage) response.statusMessage = statusMessage
    // Also when the client has left: then they fail, as they would have.
    for (const { method, given } of this.#calls) this.#pass(method, given)
    if (!this.#ended && !response.writableNeedDrain) response.emit('drain')
  }

  #restore(): void {
    const response = this.#response
    if (response.headersSent) return
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of Object.entries(this.#before.headers))
      if (value !== undefined) response.setHeader(name, value)
    response.statusCode = this.#before.statusCode
  }
}
