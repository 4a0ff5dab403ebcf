// The bytes of a session over PGlite: a unit goes in by one call and all answers come back by it. It cannot be interrupted
// while it runs; what still waits for its turn on a shared server can.
import type { ConnectionHooks } from '../driver.ts'
import type { Interruption, Session, Wire } from '../postgres/session.ts'
import type { Pglite } from './load.ts'
import { deliver } from './message-reader.ts'
import type { Guest, PgliteServer } from './server.ts'

export class PgliteWire implements Wire, Guest {
  readonly #server: PgliteServer
  #pglite: Pglite | null = null
  #session: Session | null = null
  #hooks: ConnectionHooks | null = null
  /** Its unit has had its turn and is being answered. */
  #running = false

  constructor(server: PgliteServer) {
    this.#server = server
  }

  attach(pglite: Pglite, session: Session, hooks: ConnectionHooks): void {
    this.#pglite = pglite
    this.#session = session
    this.#hooks = hooks
  }

  get native(): Pglite | null {
    return this.#pglite
  }

  get clean(): boolean {
    const session = this.#session
    return session !== null && session.status === 'idle' && session.dirty === 0
  }

  get baseline(): string {
    return this.#session?.baseline ?? ''
  }

  get statements(): Iterable<string> {
    return this.#session?.prepared.names() ?? []
  }

  lost(cause: unknown): void {
    this.#session?.lost(cause, null)
  }

  start(bytes: Buffer): void {
    this.#server.enter(this, () => {
      this.#running = true
      void this.#speak(bytes)
    })
  }

  more(bytes: Buffer): void {
    if (this.#running) void this.#speak(bytes)
  }

  hold(waiting: boolean): void {
    this.#running = false
    if (!waiting) this.#server.yield()
  }

  /** What waits for its turn is answered as a server would; what runs ends by itself. */
  interrupt(): Promise<Interruption> {
    if (!this.#server.withdraw(this)) return Promise.resolve('served')
    const message = 'canceling statement due to user request'
    this.#session?.exchange?.errorResponse({ severity: 'ERROR', code: '57014', message })
    this.#session?.readyForQuery('I')
    return Promise.resolve('unsent')
  }

  end(): Promise<void> {
    return this.#server.leave(this, true)
  }

  destroy(): void {
    void this.#server.leave(this, false)
  }

  async #speak(bytes: Buffer): Promise<void> {
    const session = this.#session
    if (session === null || !session.alive || this.#pglite === null || this.#hooks === null) return
    let answer: Uint8Array
    try {
      answer = await this.#pglite.execProtocolRaw(bytes)
    } catch (cause) {
      this.#server.crashed(cause)
      return
    }
    try {
      deliver(answer, session, this.#hooks)
    } catch (cause) {
      session.garbled(cause)
    }
  }
}
