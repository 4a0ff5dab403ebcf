// When the databases of a registry are open. Whoever opens it counts; the first opens all of them side by side, the last closes
// them, and it can be opened again. Without anybody who opens it, each database opens by its first use.
import { ConnectError, UsageError } from '../errors/index.ts'
import { closedBeforeOpen, nothingClosed } from '../engine/open/opening.ts'
import { notice } from '../observe/channels.ts'
import { capturePlace } from '../observe/place.ts'
import type { CloseReport } from '../pool/contract.ts'

/** A database, as far as it is opened and closed. */
interface Living {
  readonly name: string
  /** Opens it, and says whether it was closed before. @throws {ConnectError} */
  rouse(): Promise<boolean>
  /** Closes what `rouse` or a first use has opened; nothing where others own it. */
  rest(options: RestOptions): Promise<CloseReport>
  /** @throws {UsageError} inside of a scope or transaction that holds one of its connections. */
  refuseCloseInside(): void
}

export interface RestOptions {
  readonly timeoutMs?: number | undefined
}

/** The reaction to a use of a registry that is managed but not open. */
export type Unopened = 'warn' | 'open' | 'throw'

export class Life {
  readonly #all: Living[] = []
  readonly #unopened: Unopened
  #managed = false
  #count = 0
  /** How often it was closed: whoever opened it before that counts no more. */
  #closes = 0
  #opening: Promise<void> | null = null
  #closing: Promise<CloseReport> | null = null

  constructor(unopened: Unopened) {
    this.#unopened = unopened
  }

  add(database: Living): void {
    this.#all.push(database)
  }

  /** Something opens and closes it: from now on a use before that is probably a mistake. */
  claim(): void {
    this.#managed = true
  }

  /** Whether a use may go on as it is, with nothing to say and nothing to wait for. */
  get easy(): boolean {
    return this.#closing === null && (this.#count > 0 || !this.#managed)
  }

  /** Resolves when what is being closed has been; undefined when there is nothing to wait for. */
  get closing(): Promise<unknown> | undefined {
    return this.#closing?.catch(() => {})
  }

  /**
   * @throws {ConnectError} the first in the order of the databases, the main one before all; those that could be opened are
   * closed again. It can be tried again.
   */
  async open(): Promise<void> {
    this.#managed = true
    this.#count++
    const closes = this.#closes
    try {
      while (this.#closing !== null) await this.#closing.catch(() => {})
      if (closes !== this.#closes) throw closedBeforeOpen()
      await (this.#opening ??= this.#openAll().finally(() => (this.#opening = null)))
    } catch (error) {
      if (closes === this.#closes) this.#count--
      throw error
    }
  }

  async #openAll(): Promise<void> {
    const results = await Promise.allSettled(this.#all.map((database) => database.rouse()))
    const failed = results.filter((result) => result.status === 'rejected')
    if (failed.length === 0) return
    const roused = this.#all.filter((_, index) => {
      const result = results[index]
      return result?.status === 'fulfilled' && result.value
    })
    await Promise.allSettled(roused.map((database) => database.rest({})))
    const errors = failed.map(({ reason }) => reason as unknown)
    // oxlint-disable-next-line typescript/only-throw-error -- as the database gave it
    throw errors.find((error) => error instanceof ConnectError) ?? errors[0]
  }

  /** @throws {UsageError} inside of a scope or transaction that holds a connection; then nothing is closed. */
  async close(options: RestOptions, force: boolean): Promise<CloseReport> {
    if (this.#closing !== null && this.#count === 0) {
      // Who comes later may have less patience.
      for (const database of this.#all) void database.rest(options).catch(() => {})
      return this.#closing
    }
    if (this.#count > 1 && !force) {
      this.#count--
      return nothingClosed
    }
    for (const database of this.#all) database.refuseCloseInside()
    this.#count = 0
    this.#closes++
    const closing = this.#closeAll(options).finally(() => {
      if (this.#closing === closing) this.#closing = null
    })
    this.#closing = closing
    return closing
  }

  async #closeAll(options: RestOptions): Promise<CloseReport> {
    // Each waits for its own opening.
    const results = await Promise.allSettled(this.#all.map((database) => database.rest(options)))
    await this.#opening?.catch(() => {})
    const reports = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    // oxlint-disable-next-line typescript/only-throw-error -- as the database gave it
    if (errors.length > 0) throw errors[0]
    return sumOf(reports)
  }

  /**
   * A database is used that nobody has opened, although something manages it.
   * @throws {UsageError} where that was asked for.
   */
  used(what: string): void {
    if (this.#count > 0 || !this.#managed || this.#opening !== null) return
    const told =
      `${what} was used before its registry was opened, or after it was closed. Await open() first, or run this code after the ` +
      'server has started.'
    if (this.#unopened === 'throw') throw new UsageError(told)
    if (this.#unopened === 'open') return
    notice('database-not-connected', `${told} It is opened now.`, {
      places: [capturePlace()],
      type: 'DatabaseNotConnectedWarning',
    })
  }
}

export function sumOf(reports: readonly CloseReport[]): CloseReport {
  return {
    drained: reports.reduce((sum, { drained }) => sum + drained, 0),
    broken: reports.flatMap(({ broken }) => broken),
  }
}
