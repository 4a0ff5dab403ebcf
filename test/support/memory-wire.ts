/** A wire in memory: a session speaks to what answers bytes, such as a PostgreSQL in this process. */

import type { PGlite } from '@electric-sql/pglite'
import type { Driver } from '../../src/driver/driver.ts'
import { pgliteDriver } from '../../src/driver/pglite/driver.ts'
import { type PgliteOptions, settingsSql } from '../../src/driver/pglite/options.ts'
import { superuser } from '../../src/driver/pglite/server.ts'
import { Inbox } from '../../src/driver/postgres/inbox.ts'
import { MessageWriter } from '../../src/driver/postgres/message-writer.ts'
import { schemaVersionOf } from '../../src/driver/postgres/schema-version.ts'
import { Session } from '../../src/driver/postgres/session.ts'
import type { Wire } from '../../src/driver/postgres/wire.ts'
import { everything, resetText } from '../../src/postgres/session-sql.ts'
import { bookOf } from '../../src/postgres/types/book.ts'

/** What is at the other end. It gives its answer in chunks that end anywhere. */
export interface Peer {
  /** What is written in one turn is one chunk. */
  readonly gathers: boolean
  answer(bytes: Buffer): Promise<readonly Uint8Array[]> | readonly Uint8Array[]
  /** The session has ended. */
  left?(): Promise<void>
}

export class MemoryWire implements Wire {
  readonly native: object = {}
  readonly lends: boolean = false
  readonly carrier: null = null
  readonly maxInFlight: number
  readonly #peer: Peer
  #inbox: Inbox | null = null
  #session: Session | null = null
  #due = false
  /** Settles when all that was sent has been answered. */
  #answered: Promise<void> = Promise.resolve()
  #left: Promise<void> | null = null

  constructor(maxInFlight: number, peer: Peer) {
    this.maxInFlight = maxInFlight
    this.#peer = peer
  }

  attach(session: Session): void {
    this.#session = session
    this.#inbox = new Inbox(session)
  }

  flush(writer: MessageWriter): void {
    if (!this.#peer.gathers) this.#send(writer.take())
    else if (!this.#due) {
      this.#due = true
      process.nextTick(() => {
        this.#due = false
        this.#send(writer.take())
      })
    }
  }

  /** A server never answers while it is being spoken to. */
  #send(bytes: Buffer): void {
    this.#answered = this.#answered.then(async () => {
      if (this.#left !== null) return
      try {
        for (const piece of await this.#peer.answer(bytes)) this.#inbox?.push(Buffer.from(piece))
      } catch (cause) {
        this.#session?.garbled(cause)
      }
    })
  }

  cut(): void {
    this.#session?.lost(undefined, null)
  }

  hold(): void {}
  lend = (): Promise<void> => Promise.resolve()
  enter = (begin: () => boolean): void => void begin()
  reclaim = (): Promise<boolean> => Promise.resolve(true)
  interrupt = (): Promise<'failed'> => Promise.resolve('failed')
  end = (): Promise<void> => this.#leave()
  destroy = (): void => void this.#leave()

  #leave(): Promise<void> {
    return (this.#left ??= this.#answered.then(() => this.#peer.left?.()))
  }
}

let opened = 0

/**
 * Sessions of a PGlite, a real PostgreSQL that reads the bytes of the protocol, with so many units in flight. They share its one
 * session: each undoes at its end what it has left there, so tests use one at a time.
 */
export function memoryDriver(pglite: () => Promise<PGlite>, maxInFlight: number): Driver<PgliteOptions> {
  return {
    ...pgliteDriver,
    name: 'memory',
    poolLimit: Infinity,
    async open(options, hooks, deadline) {
      const server = await pglite()
      const id = ++opened
      const wire = new MemoryWire(maxInFlight, {
        gathers: true,
        answer: async (bytes) => [await server.execProtocolRaw(bytes)],
        async left() {
          const writer = new MessageWriter()
          for (const name of session.prepared.names()) writer.closeStatement(name)
          writer.sync()
          writer.query(resetText(true, everything, superuser, ''))
          await server.execProtocolRaw(writer.take())
        },
      })
      const session: Session = new Session(wire, hooks, {
        id,
        types: bookOf(options),
        version: schemaVersionOf(options),
        statementCacheSize: options.statementCacheSize ?? 256,
        prefix: `m${id}_`,
        authorization: superuser,
        binary: true,
      })
      wire.attach(session)
      const settings = settingsSql(options)
      const failure = settings === '' ? null : await session.establish(settings, deadline)
      if (failure === null) return session
      session.destroy(failure)
      throw failure as unknown
    },
  }
}
