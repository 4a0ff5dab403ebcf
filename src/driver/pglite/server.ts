// One PGlite: the server that the connections of this process share by name. It has a single session, so they take turns:
// who is in a transaction or has changed session state keeps the floor until that is undone. The last connection that
// closes it ends it; one that is destroyed leaves a database in memory alive, as a real server outlives a lost connection.
import { Dirty } from '../../sql/compiled.ts'
import { type Failure, isFailure } from '../driver.ts'
import { endOf, header, Message } from '../postgres/inbox.ts'
import { MessageWriter } from '../postgres/message-writer.ts'
import { everything, joined, resetText } from '../../postgres/session-sql.ts'
import { State } from '../../postgres/sqlstate.ts'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { loadPglite, type Pglite, speak } from './load.ts'
import { databaseKey, type PgliteOptions } from './options.ts'
import { clock } from '../../util/clock.ts'

/** A connection as its server sees it. */
export interface Guest {
  /** It has left nothing in the session: no transaction, no changed state, nothing in flight. */
  readonly clean: boolean
  /** SQL that makes a bare session its own. */
  readonly baseline: string
  /** LISTEN statements of its engine. */
  readonly channels: string
  /** The names under which it has prepared statements. */
  readonly statements: Iterable<string>
  /** Somebody notified a channel that one of those who share the session listens on. */
  notified(channel: string, payload: string, pid: number): void
  /** The server is gone. */
  lost(cause: unknown): void
}

interface Turn {
  readonly guest: Guest
  readonly begin: () => void
}

/** PGlite's only user. It does not know it as the default of the session. */
export const superuser = 'postgres'

const named = new Map<string, PgliteServer>()
const unnamed = new WeakMap<PgliteOptions, PgliteServer>()

/** The running server of these options, or a new one. */
export function serverFor(options: PgliteOptions): PgliteServer {
  const key = databaseKey(options)
  const running = key === null ? unnamed.get(options) : named.get(key)
  if (running !== undefined && running.ending === null) return running
  const server = new PgliteServer(options, running?.ending ?? null)
  if (key === null) unnamed.set(options, server)
  else named.set(key, server)
  return server
}

/** Settles when the server has ended that only these options had. One in memory is kept until then, for further connections. */
export async function endServer(options: PgliteOptions): Promise<void> {
  const key = databaseKey(options)
  await (key === null ? unnamed.get(options) : named.get(key))?.settle()
}

export class PgliteServer {
  /** Rejects with a `Failure`. */
  readonly ready: Promise<Pglite>
  readonly #options: PgliteOptions
  readonly #guests = new Set<Guest>()
  #ending: Promise<void> | null = null
  /** The last connection is being undone. */
  #tidying: Promise<void> | null = null
  #lock: DirectoryLock | null = null
  #owner: Guest | null = null
  #waiting: Turn[] = []
  #checking = false
  #crashed = false

  constructor(options: PgliteOptions, predecessor: Promise<void> | null) {
    this.#options = options
    this.ready = this.#start(predecessor)
    this.ready.catch(() => this.#end())
  }

  /** Settles when it has closed; null while it serves. */
  get ending(): Promise<void> | null {
    return this.#ending
  }

  /** Listens to the channels of all who share the session. */
  get listening(): string {
    return joined(Array.from(this.#guests, ({ channels }) => channels))
  }

  /** The session listens for all who share it, and the answer to any of them may bring what was sent. */
  notification(channel: string, payload: string, pid: number): void {
    for (const guest of this.#guests) guest.notified(channel, payload, pid)
  }

  /** @throws a `Failure` when the directory is in use */
  join(guest: Guest): void {
    const { directory } = this.#options
    if (directory !== undefined && this.#guests.size > 0) throw inUse(directory, process.pid) as unknown
    this.#guests.add(guest)
  }

  /** Runs at once, or when whoever has the floor has left nothing behind. */
  enter(guest: Guest, begin: () => void): void {
    const owner = this.#owner
    if (owner === null || owner === guest || (owner.clean && this.#waiting.length === 0)) this.#grant(guest, begin)
    else {
      this.#waiting.push({ guest, begin })
      this.yield()
    }
  }

  /** The owner may have become clean: what follows it in this turn of the event loop still counts as its own. */
  yield(): void {
    if (this.#checking || this.#waiting.length === 0) return
    this.#checking = true
    clock.setImmediate(() => {
      this.#checking = false
      if (this.#owner !== null && !this.#owner.clean) return
      const next = this.#waiting.shift()
      if (next !== undefined) this.#grant(next.guest, next.begin)
    })
  }

  /** True: it was still waiting for its turn, and no longer is. */
  withdraw(guest: Guest): boolean {
    const waiting = this.#waiting.length
    this.#waiting = this.#waiting.filter((turn) => turn.guest !== guest)
    return this.#waiting.length < waiting
  }

  /** `closed`: it says good-bye, and the last to do so ends the server. Otherwise it was destroyed. */
  async leave(guest: Guest, closed: boolean): Promise<void> {
    if (!this.#guests.delete(guest) || this.#crashed) return
    this.withdraw(guest)
    if (this.#guests.size === 0 && (this.#options.directory !== undefined || (closed && this.#isNamed)))
      return this.#end()
    if (this.#owner === guest) await (this.#tidying = this.#tidy(guest))
    else this.enter(guest, () => void this.#tidy(guest))
  }

  /** Ends what nobody else can reach. Settles when an end that is under way is over. */
  async settle(): Promise<void> {
    await this.#tidying
    const isOver = this.#guests.size === 0 && !this.#crashed
    await (isOver && !this.#isNamed ? this.#end() : this.#ending)
  }

  /** PGlite has ended itself (a bug, or memory ran out): nothing may be asked of it any more. */
  crashed(cause: unknown): void {
    if (this.#crashed) return
    this.#crashed = true
    this.#forget()
    for (const guest of this.#guests) guest.lost(cause)
    void this.#lock?.release()
  }

  async #start(predecessor: Promise<void> | null): Promise<Pglite> {
    const { directory } = this.#options
    try {
      await predecessor
      const { PGlite } = await loadPglite()
      if (directory !== undefined) {
        const lock = await lockDirectory(directory)
        if (typeof lock === 'number') throw inUse(directory, lock) as unknown
        this.#lock = lock
      }
      return await PGlite.create(directory ?? 'memory://')
    } catch (error) {
      const failure: Failure = isFailure(error) ? error : { kind: 'lost', outcome: 'not_started', cause: error }
      throw failure as unknown
    }
  }

  /** Each has settings of its own: they are changed when the floor changes hands. */
  #grant(guest: Guest, begin: () => void): void {
    const before = this.#owner?.baseline ?? ''
    const same = this.#owner === guest || before === guest.baseline
    this.#owner = guest
    if (same) begin()
    else {
      const text = resetText(false, Dirty.role | Dirty.settings, superuser, guest.baseline)
      void this.#query(text).then((done) => (done ? begin() : guest.lost('its settings could not be made again')))
    }
  }

  /** Undoes what a guest that has the floor leaves in the session, and gives up the floor. */
  async #tidy(guest: Guest): Promise<void> {
    const writer = new MessageWriter()
    for (const name of guest.statements) writer.closeStatement(name)
    writer.sync()
    try {
      const pglite = await this.ready
      // Somebody to whom PGlite itself was lent may still have a transaction of its own open.
      await pglite._runExclusiveTransaction(async () => {
        await this.#speak(writer.take())
        await this.#query(resetText(true, everything, superuser, this.listening))
      })
    } catch (cause) {
      this.crashed(cause)
    }
    this.#owner = null
    this.yield()
  }

  /** True: the server ran it. */
  async #query(text: string): Promise<boolean> {
    const writer = new MessageWriter()
    writer.query(text)
    const answer = await this.#speak(writer.take())
    return answer !== null && !hasError(answer)
  }

  async #speak(bytes: Uint8Array): Promise<Buffer | null> {
    try {
      const pglite = await this.ready
      if (this.#crashed || this.#ending !== null) return null
      return await speak(pglite, bytes)
    } catch (cause) {
      this.crashed(cause)
      return null
    }
  }

  #end(): Promise<void> {
    this.#ending ??= this.ready
      .then((pglite) => pglite.close())
      .catch(() => {})
      .then(() => this.#lock?.release())
      .then(() => this.#forget())
    return this.#ending
  }

  get #isNamed(): boolean {
    return databaseKey(this.#options) !== null
  }

  #forget(): void {
    const key = databaseKey(this.#options)
    if (key === null) {
      if (unnamed.get(this.#options) === this) unnamed.delete(this.#options)
    } else if (named.get(key) === this) named.delete(key)
  }
}

function hasError(answer: Buffer): boolean {
  for (let at = 0; at + header <= answer.length; at = endOf(answer, at))
    if (answer[at] === Message.errorResponse) return true
  return false
}

/** As PostgreSQL says it of a directory that a server already runs in. */
function inUse(directory: string, process: number): Failure {
  const message = `The directory ${directory} is in use by process ${process}; one engine at a time may open it.`
  return { kind: 'server', outcome: 'not_started', fields: { severity: 'FATAL', code: State.inUse, message } }
}
