// The result of `listen(channel)`: the messages of the channel, in order, for a callback or a loop.
import type { Failure } from '../../driver/driver.ts'
import { Printable } from '../../util/thrown.ts'

/** A notification that was sent to a channel. */
export interface Notification {
  readonly gap: false
  /** As it was named in `listen()`. */
  readonly channel: string
  /** `''` when it was sent without a payload. */
  readonly payload: string
  /** The server's process id of the session that sent it. */
  readonly processId: number
}

/** A gap: notifications may have been missed. Read the data that depends on them again. */
export interface Gap {
  readonly gap: true
  /** As it was named in `listen()`. */
  readonly channel: string
  readonly payload: undefined
  /** How long nothing was listening, in milliseconds. 0 when more came than could be kept. */
  readonly gapMs: number
}

/** Notifications in the order in which the server sent them, and a gap wherever some may have been lost. */
export type Heard = Notification | Gap

/** The callback of `listen`, called for each notification and each gap. */
export type Hear = (heard: Heard) => unknown

/** Options of `listen()`. */
export interface ListenOptions {
  /**
   * How often to check that the connection is alive, and how long the answer may take, in milliseconds. A lost network is
   * noticed after twice that time. With several listeners the shortest value counts. Default 10_000; `Infinity`: never.
   */
  readonly heartbeatMs?: number | undefined
  /** Ends the listener when it aborts, as `unlisten()` does. */
  readonly signal?: AbortSignal | undefined
}

/** The most messages that wait for a slow callback or loop. A gap stands where others were dropped. */
const mostWaiting = 10_000

/** One who listens on a channel, as `listen()` gives it. Its messages are read by a loop (`for await`) or by the callback of `listen()`. */
export class Listener extends Printable implements AsyncIterable<Heard>, AsyncDisposable {
  /** As it was named in `listen()`. */
  readonly channel: string
  #waiting: Heard[] = []
  #ended = false
  /** Wakes the loops that wait. */
  #wakes: (() => void)[] = []
  readonly #stop: (listener: Listener) => Promise<void>

  /** @internal Use `db.listen(channel)`. */
  constructor(channel: string, stop: (listener: Listener) => Promise<void>) {
    super()
    this.channel = channel
    this.#stop = stop
  }

  /** Whether it has ended, by `unlisten()` or because the database was closed. */
  get ended(): boolean {
    return this.#ended
  }

  /** @internal */
  hear(heard: Heard): void {
    if (this.#ended) return
    if (this.#waiting.length < mostWaiting) this.#waiting.push(heard)
    else if (this.#waiting.at(-1)?.gap !== true)
      this.#waiting.push({ gap: true, channel: this.channel, payload: undefined, gapMs: 0 })
    this.#wake()
  }

  /** @internal The loop ends when it has had what was heard before. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** Stops listening. Notifications not yet taken are dropped. Idempotent; never rejects. */
  async unlisten(): Promise<void> {
    this.#waiting = []
    if (this.#ended) return
    this.end()
    await this.#stop(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlisten()
  }

  /** Leaving the loop ends it, as `unlisten()` does. Two loops share the notifications: each gets a part. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Heard, void, undefined> {
    try {
      for (;;) {
        const heard = this.#waiting.shift()
        if (heard !== undefined) yield heard
        else if (this.#ended) return
        else await new Promise<void>((resolve) => this.#wakes.push(resolve))
      }
    } finally {
      await this.unlisten()
    }
  }

  #wake(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }

  override toString(): string {
    return `Listener { ${this.channel}${this.#ended ? ', ended' : ''} }`
  }
}

/** Why a connection that listens was lost, for messages. */
export function lossOf({ fields, cause, kind }: Failure): string {
  const message = fields?.['message'] ?? (cause instanceof Error ? cause.message : '')
  return message === '' ? kind : message
}
