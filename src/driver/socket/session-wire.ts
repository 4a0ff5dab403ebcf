// The wire of a session over our own socket. All bytes that sessions wrote in one turn of the event loop go out at the end of the turn,
// in one write for each session. A unit that is alone on its wire, such as that of code that awaits one statement after the other, goes
// out as soon as the code that issued it has returned.
import { clock } from '../../util/clock.ts'
import type { MessageWriter } from '../postgres/message-writer.ts'
import type { Session } from '../postgres/session.ts'
import type { Interruption } from '../interrupt.ts'
import type { Carrier, Wire } from '../postgres/wire.ts'
import type { OpenWire } from './open-wire.ts'
import type { Ends } from './socket-wire.ts'

/** The server answers in order, and so much is never lost when it is gone. */
const mostInFlight = 64

/** To copy so many bytes costs less than new memory to write into. */
const mostCopied = 1 << 14

/** Those that have something to send, and how many: the list is used again and again. */
const due: (SessionWire | null)[] = []
let count = 0

/** To wait for the end of the turn takes as long as all else that Node does for a write; to wait for the code that runs takes little. */
const behindThisCode = Promise.resolve()

function sendAll(): void {
  try {
    for (let at = 0; at < count; at++) {
      const wire = due[at] as SessionWire
      due[at] = null
      wire.send()
    }
  } finally {
    count = 0
  }
}

export class SessionWire implements Wire, Ends {
  /** There is nobody else's client underneath. */
  readonly native: { readonly processId: number }
  readonly lends: boolean = false
  readonly maxInFlight: number = mostInFlight
  readonly carrier: Carrier
  readonly #open: OpenWire
  #session: Session | null = null
  #writer: MessageWriter | null = null
  readonly #sendNow = (): void => this.send()
  /** What was sent last has not gone out at once: with TLS nothing does. */
  #waits = false

  constructor(open: OpenWire) {
    this.#open = open
    const { wire } = open
    this.carrier = {
      write: (bytes, sent) => wire.write(bytes, sent),
      pause: () => wire.pauseReading(),
      resume: () => wire.resumeReading(),
    }
    this.native = Object.freeze({ processId: open.processId })
  }

  attach(session: Session): void {
    this.#session = session
    this.#open.wire.show(session, this)
  }

  flush(writer: MessageWriter, alone: boolean): void {
    if (this.#writer !== null) return
    this.#writer = writer
    if (alone) {
      void behindThisCode.then(this.#sendNow)
      return
    }
    due[count++] = this
    if (count === 1) clock.nextTick(sendAll)
  }

  send(): void {
    const writer = this.#writer
    this.#writer = null
    if (writer === null || this.#session?.alive !== true) return
    const { written } = writer
    const copies = this.#waits && written.length <= mostCopied
    this.#waits = !this.#open.wire.write(copies ? Buffer.from(written) : written)
    if (copies || !this.#waits) writer.clear()
    else writer.leave()
  }

  garbled(cause: unknown): void {
    this.#session?.garbled(cause)
  }

  ended(cause: unknown): void {
    this.#session?.lost(cause, null)
  }

  hold(waiting: boolean): void {
    this.#open.wire.hold(waiting)
  }

  lend(): Promise<void> {
    return Promise.resolve()
  }

  enter(begin: () => boolean): void {
    begin()
  }

  reclaim(): Promise<boolean> {
    return Promise.resolve(true)
  }

  async interrupt(deadline: number): Promise<Interruption> {
    return (await this.#open.cancel(deadline)) ? 'served' : 'failed'
  }

  end(): Promise<void> {
    return this.#open.wire.end()
  }

  destroy(): void {
    this.#open.wire.destroy()
  }
}
