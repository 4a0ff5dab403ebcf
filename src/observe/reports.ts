// The leak report of one engine: tells who has held a connection for too long without using it, and when it comes back
// after all. One timer for all, only while something is lent; it keeps no process alive. Made only when the option
// `leak.afterMs` is given. It takes nothing back: whoever seems to have forgotten a connection may still use it.
import { inRoot } from '../util/context.ts'
import {
  notice,
  type ServerInfo,
  statementChannel,
  type StatementEvent,
  transactionChannel,
  type TransactionEvent,
  hookFailed,
} from './channels.ts'
import { unknownPlace } from './place.ts'
import { clock } from '../util/clock.ts'
import { LinkedSet } from '../util/linked-list.ts'
import { contain, inOneLine } from '../util/thrown.ts'

/** Who holds a connection. */
export interface Holder {
  /** Since when it holds it, monotonic milliseconds; null when it holds none (any more). */
  readonly lease: { readonly since: number } | null
  /**
   * Since when code has held it for nothing, monotonic milliseconds; null while a statement runs or waits, inside of `idle()`,
   * and while the pool may take it back for somebody else.
   */
  readonly leakingSince: number | null
  /** Where the connection was borrowed. */
  readonly place: { toString(): string } | null
  /** What holds it. */
  describeOwner(): string
}

export class LeakWatch {
  readonly #engine: string
  readonly #afterMs: number
  readonly #holders = new LinkedSet<Holder>()
  readonly #told = new LinkedSet<Holder>()
  readonly #handles: FinalizationRegistry<Holder>
  #timer: NodeJS.Timeout | null = null

  constructor(engine: string, afterMs: number) {
    this.#engine = engine
    this.#afterMs = afterMs
    this.#handles = new FinalizationRegistry((holder) => this.#collected(holder))
  }

  /** A connection was lent. */
  lent(holder: Holder): void {
    this.#holders.add(holder)
    if (this.#timer === null) this.#arm(this.#afterMs)
  }

  /** A connection was given back, or is gone. */
  returned(holder: Holder, gone = false): void {
    this.#holders.delete(holder)
    if (!this.#told.delete(holder) || gone) return
    const message = 'A connection that was reported as leaked has come back.'
    notice('connection-unleaked', message, { ...this.#about(holder, clock.now()), warn: false })
  }

  /** Tells it if `handle`, the only way to give the connection of `holder` back, is garbage-collected before that. */
  guard(handle: object, holder: Holder): void {
    this.#handles.register(handle, holder)
  }

  stop(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#holders.clear()
    this.#told.clear()
  }

  #arm(delayMs: number): void {
    this.#timer = inRoot(() => clock.setTimeout(() => this.#look(), Math.ceil(delayMs))).unref()
  }

  /** Tells what is due, and looks again when the next may be: what is in use now cannot be before a full `afterMs`. */
  #look(): void {
    this.#timer = null
    const now = clock.now()
    let next = Infinity
    for (const holder of this.#holders) {
      if (holder.lease === null) this.#holders.delete(holder)
      else if (!this.#told.has(holder)) {
        const due = (holder.leakingSince ?? now) + this.#afterMs
        if (due <= now) this.#tell(holder, now)
        else next = Math.min(next, due)
      }
    }
    if (next !== Infinity) this.#arm(next - now)
  }

  #tell(holder: Holder, now: number): void {
    this.#told.add(holder)
    const about = this.#about(holder, now)
    const { heldMs, idleMs } = about.details
    notice(
      'connection-leak',
      `A connection has been held for ${heldMs} ms, the last ${idleMs} ms without a statement (leak.afterMs is ` +
        `${this.#afterMs}). Release it, use scope(work), or wrap slow calls in idle(work).`,
      about,
    )
  }

  #collected(holder: Holder): void {
    if (!this.#holders.has(holder) || holder.lease === null || this.#told.has(holder)) return
    this.#told.add(holder)
    notice(
      'connection-leak',
      'A handle from acquire() was garbage-collected before release(): its connection stays lent until the engine is ' +
        'closed. Release in a finally block or by "await using", or use scope(work).',
      this.#about(holder, clock.now()),
    )
  }

  #about(holder: Holder, now: number): About {
    const heldMs = Math.round(now - (holder.lease?.since ?? now))
    const idleMs = Math.round(now - (holder.leakingSince ?? now))
    const place = String(holder.place ?? unknownPlace)
    const places = place === unknownPlace ? [holder.describeOwner()] : [place, holder.describeOwner()]
    return { engine: this.#engine, places, details: { heldMs, idleMs } }
  }
}

interface About {
  readonly engine: string
  readonly places: readonly string[]
  readonly details: Readonly<Record<'heldMs' | 'idleMs', number>>
}

// `echo: true`: prints the statements of one engine, and where its transactions begin and end, a line each. Started by
// whoever creates an engine with that option; an ordinary subscriber, so it sees text and durations and never a parameter.
const longestText = 2_000

/**
 * Prints every statement of one engine once it has ended, in one line: duration, rows or error, SQL text. It also prints
 * `begin`, `commit` and `rollback` of the engine's transactions.
 *
 * @param to True or nothing prints to standard error. A function gets each line without its line break. An error that it
 *   throws, or a rejection, stops nothing and is published as the notice `hook-failed`.
 * @param server The `server` of the events of that engine, which no other engine has. Without it, every engine of that name
 *   is printed.
 * @returns A function that stops it. Calling it again does nothing.
 * @see GINO's option `echo`.
 */
export function echo(
  engine: string,
  to: true | ((line: string) => unknown) = true,
  server: ServerInfo | null = null,
): () => void {
  const write = to === true ? (line: string): unknown => process.stderr.write(`${line}\n`) : to
  const failed = (thrown: unknown): void =>
    hookFailed('The function given as the option echo failed; the line is lost.', thrown, { engine })
  const print = (line: string): void => contain(() => write(line), failed)
  const isOurs = (event: StatementEvent | TransactionEvent): boolean =>
    server === null ? event.engine === engine : event.server === server
  const onStatement = (event: StatementEvent): void => {
    if (isOurs(event)) print(formatStatement(event))
  }
  const onTransaction = (event: TransactionEvent): void => {
    if (isOurs(event)) print(formatTransaction(event))
  }
  statementChannel.subscribe(onStatement)
  transactionChannel.subscribe(onTransaction)
  return () => {
    statementChannel.unsubscribe(onStatement)
    transactionChannel.unsubscribe(onTransaction)
  }
}

function formatStatement({ engine, durationMs, rowCount, error, sql }: StatementEvent): string {
  const result = error === undefined ? `${rowCount} ${rowCount === 1 ? 'row' : 'rows'}` : `failed (${error})`
  return `[${engine}] ${durationMs.toFixed(1)} ms, ${result}: ${beginningOf(sql)}`
}

/** `commit`, `rollback savepoint`: what became of it, which is seldom just that statement being sent. */
function formatTransaction({ engine, event, durationMs, parent }: TransactionEvent): string {
  return `[${engine}] ${durationMs.toFixed(1)} ms, ${event === 'unknown' ? 'commit with unknown outcome' : event}${parent === null ? '' : ' savepoint'}`
}

function beginningOf(sql: string): string {
  const text = inOneLine(sql.slice(0, longestText))
  return sql.length > longestText ? `${text} …` : text
}
