// The bytes of a session over PGlite: a unit goes in by one call and all answers come back by it. It cannot be interrupted
// while it runs; what still waits for its turn on a shared server can. While users have PGlite itself, units stand in its
// own queue.
import { ProtocolError } from '../../errors/index.ts'
import { clock, longestTimerMs } from '../../util/clock.ts'
import { Dirty } from '../../sql/compiled.ts'
import type { ConnectionHooks, Op } from '../driver.ts'
import { wrongEncoding } from '../../postgres/encoding.ts'
import { State } from '../../postgres/sqlstate.ts'
import { isUtf8 } from '../../sql/settings.ts'
import { Loan } from '../postgres/loan.ts'
import { endOf, header, Inbox, Message } from '../postgres/inbox.ts'
import { readStatus } from '../postgres/message-reader.ts'
import { MessageWriter } from '../postgres/message-writer.ts'
import type { Session } from '../postgres/session.ts'
import type { Interruption } from '../interrupt.ts'
import type { Wire } from '../postgres/wire.ts'
import { Answer, type Pglite, speak } from './load.ts'
import type { Guest, PgliteServer } from './server.ts'

const utf8 = 'UTF8'
const noEnd = 'the answer of PGlite ended without ReadyForQuery'
const halfMessage = 'the answer of PGlite ended in the middle of a message'

export class PgliteWire implements Wire, Guest {
  readonly #server: PgliteServer
  readonly #hooks: ConnectionHooks
  #pglite: Pglite | null = null
  #session: Session | null = null
  #inbox: Inbox | null = null
  #loan: Loan<Pglite> | null = null
  /** Keeps the process alive while PGlite is lent: it has no socket that would. */
  #keeper: NodeJS.Timeout | null = null
  /** Gives up the place in PGlite's own queue. */
  #leave: (() => void) | null = null
  readonly #answer = new Answer()
  /** An answer is being read: what is sent meanwhile is answered elsewhere. */
  #reading = false
  /** Its unit has had its turn and is being answered. */
  #running = false
  /** Its unit is being failed instead. */
  #withdrawn = false
  readonly carrier: null = null
  readonly maxInFlight: number = 1
  readonly lends: boolean = true

  constructor(server: PgliteServer, hooks: ConnectionHooks) {
    this.#server = server
    this.#hooks = hooks
  }

  attach(pglite: Pglite, session: Session): void {
    this.#pglite = pglite
    this.#session = session
    this.#inbox = new Inbox(session)
    this.#loan = new Loan(pglite)
  }

  get native(): Pglite | null {
    return this.#loan?.object ?? null
  }

  get clean(): boolean {
    const session = this.#session
    return session !== null && !session.lent && session.status === 'idle' && session.dirty === 0
  }

  get baseline(): string {
    return this.#session?.baseline.sql ?? ''
  }

  get channels(): string {
    return this.#session?.baseline.channels ?? ''
  }

  get listening(): string {
    return this.#server.listening
  }

  get statements(): Iterable<string> {
    return this.#session?.prepared.names() ?? []
  }

  notification(channel: string, payload: string, pid: number): void {
    this.#server.notification(channel, payload, pid)
  }

  notified(channel: string, payload: string, pid: number): void {
    this.#hooks.notification(channel, payload, pid)
  }

  lost(cause: unknown): void {
    this.#session?.lost(cause, null)
  }

  flush(writer: MessageWriter): void {
    const bytes = writer.take()
    if (this.#running) void this.#speak(bytes)
    else if (!this.#withdrawn)
      this.#server.enter(this, () => {
        this.#running = true
        void this.#speak(bytes)
      })
  }

  hold(waiting: boolean): void {
    this.#running = false
    if (waiting) return
    this.#leave?.()
    this.#server.yield()
  }

  async lend(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.enter(this, resolve))
    if (this.#loan?.state !== 'due') return
    this.#loan.state = 'lent'
    this.#keeper = clock.setInterval(() => {}, longestTimerMs)
  }

  enter(begin: () => boolean): void {
    void this.#alone(
      () =>
        new Promise((left) => {
          this.#leave = left
          if (!begin()) left()
        }),
    )
  }

  async reclaim(): Promise<boolean> {
    const pglite = this.#pglite
    if (this.#loan === null || pglite === null) return false
    this.#loan.state = 'over'
    this.#loan = new Loan(pglite)
    try {
      return await this.#alone(() => Promise.resolve())
    } finally {
      this.#endLoan()
    }
  }

  /** Waits until users have no query or transaction in flight, and does `work` before they have another. False: PGlite is gone. */
  async #alone(work: () => Promise<void>): Promise<boolean> {
    const pglite = this.#pglite as Pglite
    // What users asked just before takes its place in the queue by promises.
    await new Promise<void>((resolve) => clock.setImmediate(resolve))
    try {
      await pglite._runExclusiveTransaction(async () => {
        await this.#look(pglite)
        await work()
        this.#leave = null
      })
      return this.#session?.alive === true
    } catch (cause) {
      this.#server.crashed(cause)
      return false
    }
  }

  /** What users did on PGlite itself shows only when it is asked. */
  async #look(pglite: Pglite): Promise<void> {
    const { encoding, status } = await askEncoding(pglite)
    if (!isUtf8(encoding)) this.#session?.garbled(wrongEncoding(encoding))
    else this.#session?.clientReady(status)
  }

  #endLoan(): void {
    if (this.#keeper !== null) clock.clearInterval(this.#keeper)
    this.#keeper = null
  }

  /** What waits for its turn is answered as a server would; what runs ends by itself. */
  interrupt(): Promise<Interruption> {
    if (!this.#server.withdraw(this)) return Promise.resolve('served')
    const message = 'canceling statement due to user request'
    this.#withdrawn = true
    this.#session?.exchange?.errorResponse({ severity: 'ERROR', code: State.cancelled, message })
    this.#withdrawn = false
    this.#session?.readyForQuery('I')
    return Promise.resolve('unsent')
  }

  end(): Promise<void> {
    return this.#server.leave(this, true)
  }

  destroy(): void {
    this.#endLoan()
    this.#leave?.()
    if (this.#loan !== null) this.#loan.state = 'over'
    void this.#server.leave(this, false)
  }

  async #speak(bytes: Buffer): Promise<void> {
    const session = this.#session
    if (session === null || !session.alive || this.#pglite === null) return
    const { exchange } = session
    let answer: Buffer
    let encoding = utf8
    try {
      answer = await speak(this.#pglite, bytes, this.#reading ? new Answer() : this.#answer)
      // PGlite does not announce what it changes.
      if (exchange?.ops.some(mayEncode) === true && endsReady(answer))
        encoding = (await askEncoding(this.#pglite)).encoding
    } catch (cause) {
      this.#server.crashed(cause)
      return
    }
    try {
      if (!isUtf8(encoding)) throw wrongEncoding(encoding)
      const { flushes } = session
      this.#reading = true
      this.#inbox?.push(answer)
      // Nothing more was asked, and nothing more will come.
      const halts = exchange !== null && session.exchange === exchange && session.flushes === flushes
      if (session.alive && this.#inbox?.empty === false) this.#broken(session, halfMessage)
      else if (halts) this.#broken(session, noEnd)
    } catch (cause) {
      session.garbled(cause)
    } finally {
      this.#reading = false
    }
  }

  /** PGlite has broken inside of a statement, as by a recursion that is too deep: all it says from now on is wrong. */
  #broken(session: Session, what: string): void {
    const cause = new ProtocolError(what)
    session.garbled(cause)
    this.#server.crashed(cause)
  }
}

/** The unit is over: another query between its messages would end it. */
function endsReady(answer: Buffer): boolean {
  return answer.length > header && answer[answer.length - header - 1] === Message.readyForQuery
}

function mayEncode({ stmt }: Op): boolean {
  return (stmt.dirties & (Dirty.settings | Dirty.unknown)) !== 0
}

/** In a transaction that failed it cannot be asked, nor can anything else be. */
async function askEncoding(pglite: Pglite): Promise<{ encoding: string; status: string }> {
  const writer = new MessageWriter()
  writer.query('SHOW client_encoding')
  const answer = await speak(pglite, writer.take())
  let [encoding, status] = [utf8, 'I']
  for (let at = 0; at + header <= answer.length;) {
    const end = endOf(answer, at)
    if (answer[at] === Message.dataRow) encoding = answer.toString('latin1', at + header + 6, end)
    else if (answer[at] === Message.readyForQuery) status = readStatus(answer, at + header, end)
    at = end
  }
  return { encoding, status }
}
