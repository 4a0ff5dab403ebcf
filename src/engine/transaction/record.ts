// What the engine knows of one open transaction: an entry on the stack of a slot, which links it to those around and inside of it. It
// answers who may run inside and what is said when it has ended. Its life is in `state.ts`, how it begins in `begin.ts`, how it ends in
// `ending.ts`; users hold a `Transaction`.
import type { Failure } from '../../driver/driver.ts'
import { type Outcome, TransactionEndedError, TransactionStateError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import { capturePlace, noPlace, type Place } from '../../observe/place.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { Fate, Follower } from '../../sql/statement.ts'
import { isInside, type Link, quietAmbientFrame, settingsOn, nestedDefaults } from '../context/chain.ts'
import { type Frame, type Handle, type Holder, overlayOf, type Settings } from '../context/frame.ts'
import type { EngineCore, QueryDefaults } from '../core.ts'
import { abortedBy, failureError, tookTooLong, wasIdle } from '../query/failure.ts'
import { reportEnd } from '../report.ts'
import type { EngineOp } from '../query/op.ts'
import type { Waiting } from '../slot/waiting.ts'
import { endedMessage } from './ended.ts'
import type { StatementTransaction, OpenCursor } from './statement-transaction.ts'
import { Followers, Hooks } from './hooks.ts'
import { advance, type At, type Event, hasEnded, type Past, spoilerOf, type State, untouched } from './state.ts'
import type { TransactionTerms, Where } from './terms.ts'
import { clock } from '../../util/clock.ts'

/** Without a place for so long it notes that of its next statement. */
const unplacedMs = 20

/** `S`: its slot, as far as whoever has the record knows it. */
export class TransactionRecord<S extends Holder = Holder> implements StatementTransaction {
  /** For events; 0 until somebody listened to its beginning. */
  id = 0
  /** The one around it, and the savepoint that is open inside of it. */
  parent: TransactionRecord<S> | null = null
  inner: TransactionRecord<S> | null = null
  /** Who goes on in it when what is open inside of it has ended; null: nobody has waited for that. */
  behind: Iterable<Waiting> | null = null
  /** It is on the stack of its slot: it has begun, and has not ended. */
  onStack = false
  /** The savepoint's name; empty for the outermost. */
  savepoint = ''
  /** COMMIT or RELEASE, while it is on the wire. */
  last: EngineOp | null = null
  /** Its number on the server, noted before COMMIT for questions about that; null: it changed nothing; undefined: not noted. */
  xid: string | null | undefined = undefined
  /** How often its slot had written when it took its place. */
  writesBefore = 0
  /** A replica can do all of it. */
  reads = false
  /** Where or how it ended, for messages. */
  endedAt: string | Place = ''
  /** When it was made, monotonic milliseconds. */
  readonly since: number = clock.now()
  readonly engine: EngineCore
  readonly slot: S
  readonly where: Where<S>
  readonly options: TransactionTerms
  /** Where it was begun, or a statement of it, or `noPlace`. */
  place: Place
  /** Ended by hand. */
  readonly manual: boolean
  /** Set when the transaction was opened for this cursor alone: nothing else runs in it. */
  readonly cursor: OpenCursor | null
  /** The frame in which a manual transaction was begun. */
  readonly bornIn: Frame | null
  /** The handle users hold; statements through it run inside. */
  readonly handle: Handle
  /** The overlay in which it was begun. */
  readonly overlay: Frame | null
  /** Those of the code that opened it: COMMIT runs with them. */
  readonly settings: Settings | null
  /** Defaults for the statements inside. */
  defaults: QueryDefaults | null = null
  #state: State = untouched
  #controller: AbortController | null = null
  #savepoints = 0
  #cursors: Set<OpenCursor> | null = null
  #hooks: Hooks | null = null
  #followers: Followers | null = null
  /** Those who wait for it to be off the stack. */
  #waiting: (() => void)[] | null = null

  constructor(
    slot: S,
    where: Where<S>,
    options: TransactionTerms,
    place: Place,
    opens: 'managed' | 'manual' | OpenCursor,
    handle: (record: TransactionRecord<S>) => Handle,
  ) {
    const { engine } = slot
    this.engine = engine
    this.slot = slot
    this.where = where
    this.settings = settingsOn(slot, where.chain, where.handle)
    this.overlay = where.slot === null ? null : overlayOf(engine, where.chain, where.handle)
    this.options = options
    this.place = place
    this.manual = opens !== 'managed'
    this.cursor = typeof opens === 'string' ? null : opens
    this.bornIn = opens === 'manual' ? quietAmbientFrame(engine, where.chain) : null
    this.handle = handle(this)
  }

  /** The only way in which its state changes. Gives where it is then. */
  advance(event: Event): At {
    this.#state = advance(this.#state, event, this.parent !== null)
    return this.#state.at
  }

  get at(): At {
    return this.#state.at
  }

  /** The events on its way that count at its end. */
  get past(): Past {
    return this.#state.past
  }

  /** It takes new work, unless one around it does not. */
  get taking(): boolean {
    return this.#state.takes
  }

  /** Its callback has returned, or `commit()` was called: it runs what was issued before. */
  get returned(): boolean {
    const { at } = this
    return at === 'returned:open' || at === 'returned:idle' || at === 'returned:beginning'
  }

  /** Neither BEGIN nor SAVEPOINT has been sent: that travels with the first statement. */
  get unsent(): boolean {
    return this.#state.unsent
  }

  /** It is open on the server, and COMMIT has not been sent. */
  get begun(): boolean {
    return this.#state.begun
  }

  get committed(): boolean {
    return this.at === 'committed'
  }

  /** COMMIT has been sent, and its outcome is not known yet. */
  get committing(): boolean {
    return this.at === 'committing' || this.at === 'asking'
  }

  /** The chain of the code that opened it. */
  get chain(): Link | undefined {
    return this.where.chain
  }

  /** Its connection is its own, and goes back at its end. */
  get own(): boolean {
    return this.where.slot === null
  }

  /** Issued as one statement is (`executeMany`): the one around it waits for it before it ends. */
  get batch(): boolean {
    return this.where.batch === true
  }

  /** The handle on which a manual transaction was begun: statements through it run inside. */
  get owner(): Handle | null {
    return this.manual && this.cursor === null ? this.where.handle : null
  }

  get cursors(): Set<OpenCursor> {
    return (this.#cursors ??= new Set())
  }

  get hasCursors(): boolean {
    return this.#cursors !== null && this.#cursors.size > 0
  }

  get hooks(): Hooks {
    return (this.#hooks ??= new Hooks())
  }

  get hasHooks(): boolean {
    return this.#hooks !== null && !this.#hooks.empty
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal
  }

  get outermost(): TransactionRecord<S> {
    return this.parent === null ? this : this.parent.outermost
  }

  /** A statement of it is issued now: where it goes on is better than nothing. It does not count how long it waited for a connection. */
  notePlace(): void {
    if (clock.now() - Math.max(this.since, this.slot.lease?.since ?? 0) > unplacedMs)
      this.place = capturePlace(undefined, `${noPlace}, with a statement at `)
  }

  /** Whether a waiting statement or transaction belongs inside: by the code that issued it, or by its handle. */
  admits(item: Waiting): boolean {
    return this.admitsFrom(item.chain, item.handle)
  }

  admitsFrom(chain: Link | undefined, handle: Handle | null): boolean {
    if (handle !== null && this.#isBy(handle)) return true
    return this.cursor === null && isInside(this, chain)
  }

  /** Whether statements through that handle run inside, whoever issues them. */
  #isBy(handle: Handle): boolean {
    if (handle === this.owner || handle.home === this) return true
    // While a savepoint begun by hand is open, the handles of the transaction it was begun on run in it.
    const { owner, parent } = this
    return owner !== null && parent !== null && owner.home === parent && parent.#isBy(handle)
  }

  /** It and all around it take new work. */
  get open(): boolean {
    return this.#state.takes && (this.parent === null || this.parent.open)
  }

  /** It is on its way off the stack: the one around it waits for that. */
  get leaving(): boolean {
    return this.batch || !this.taking
  }

  /** It is `outer`, or a savepoint of it, however deep. */
  isWithin(outer: object): boolean {
    return this === outer || (this.parent !== null && this.parent.isWithin(outer))
  }

  /** Why an admitted statement may not run after all. `issued`: it was so before the callback had returned. */
  refusal(issued = false): Error | null {
    if (this.#state.clear && this.parent === null) return null
    return this.#closed(issued || this.batch) ?? this.abortedError(null)
  }

  /** It or one around it was left early or has ended. Statements issued before run before a commit, raised or not. */
  #closed(issued: boolean): Error | null {
    const { exit } = this.past
    if (exit !== null && !(issued && exit.commit)) return exit
    if (!this.taking && !(issued && this.returned)) return this.ended()
    return this.parent === null ? null : this.parent.#closed(issued || this.batch)
  }

  /** Nothing that is sent in it now could ever be committed. */
  get doomed(): boolean {
    const { broken, spoiler } = this.past
    return broken !== null || spoiler !== null || (this.parent !== null && this.parent.doomed)
  }

  /** The error of a statement that comes after the one that has failed; null while none has. */
  abortedError(stmt: Compiled | null): Error | null {
    const { past, parent, engine } = this
    const first = spoilerOf(past)
    // That its savepoint could not be made says only that something around it had failed.
    const own = first !== null && engine.dialect.explain(first.failure.fields ?? {}).kind !== 'aborted'
    const around = own || parent === null ? null : parent.abortedError(stmt)
    if (first === null || around !== null) return around
    if (past.broken?.kind === 'lost') return failureError({ ...past.broken, outcome: 'rolled_back' }, engine, this)
    return abortedBy(this.engine, this.place, first, stmt)
  }

  /** The slot has put it on its stack. */
  entered(parent: TransactionRecord<S> | null): void {
    this.defaults = nestedDefaults(this.options.query, this.where.handle, this.engine, this.chain)
    this.parent = parent
    this.onStack = true
    if (parent === null) return
    parent.inner = this
    this.savepoint = `genever_${++this.outermost.#savepoints}`
  }

  /** How long the outermost may run no statement, in milliseconds. */
  get idleTimeoutMs(): number {
    return this.outermost.options.idleTimeoutMs ?? this.engine.options.transactionIdleTimeoutMs
  }

  /** It is not open on the server. Null: nothing was sent, because the statement behind it could not be written. */
  beginFailed(failure: Failure | null, stmt: Compiled): void {
    this.advance({ type: 'unbegun', failure })
    // A savepoint that was not made cannot be rolled back to.
    if (failure !== null) this.parent?.advance({ type: 'failed', failure, stmt, spoils: failure.kind === 'server' })
  }

  noteFailure(failure: Failure, { stmt }: { readonly stmt: Compiled }): void {
    if (stmt.cls === 'control') return
    this.advance({ type: 'failed', failure, stmt, spoils: failure.outcome !== 'not_started' })
    if (failure.kind !== 'server' || this.engine.dialect.explain(failure.fields ?? {}).transaction !== 'ended') return
    // All of it is gone, savepoints too: nothing is left to roll back.
    for (let each: TransactionRecord<S> | null = this.outermost; each !== null; each = each.inner)
      each.advance({ type: 'server-ended', failure })
  }

  /** How long the server may be asked for the outcome of its COMMIT, in milliseconds; 0: not at all. */
  get resolveCommitMs(): number {
    return this.options.resolveCommitMs ?? this.engine.options.resolveCommitMs
  }

  /** The server says that no transaction is open although this one is: something else ended it. */
  endedByServer(): void {
    if (!this.begun) return
    const cause = new TransactionStateError(
      `The transaction begun at ${this.place} was ended on the server by something else: a statement that commits or ` +
        'rolls back by itself.',
    )
    this.advance({ type: 'server-ended', failure: { kind: 'protocol', outcome: 'unknown', cause } })
  }

  lose(failure: Failure): void {
    const lost: Failure = { ...failure, kind: 'lost', outcome: 'rolled_back' }
    this.advance({ type: 'lost', failure: lost })
    if (!tookTooLong(this.engine.dialect, failure)) return
    this.interrupt(failureError(this.past.broken ?? lost, this.engine, this))
    if (this.parent !== null || !wasIdle(this.engine.dialect, failure)) return
    notice('transaction-idle', 'The server ended a transaction that ran no statement for too long.', {
      engine: this.engine.name,
      places: [this.describe()],
    })
  }

  /** Which hooks run, once it has ended. */
  get fate(): Fate {
    if (this.at === 'unknown') return 'unknown'
    return this.committed ? 'commit' : 'rollback'
  }

  get #following(): Followers {
    if (this.#followers === null) {
      this.#followers = new Followers()
      if (hasEnded(this.at)) this.#followers.tell(this.fate)
    }
    return this.#followers
  }

  follow(follower: Follower): void {
    this.#following.add(follower)
  }

  /** Its caller learns now that it was not committed, although it is still being ended. Its followers learn it before. */
  tellFate(fate: Fate): void {
    this.inner?.tellFate(fate)
    this.#following.tell(fate)
  }

  /** The slot takes it off its stack, with all that is inside of it. */
  leave(): void {
    this.onStack = false
    if (this.parent !== null) this.parent.inner = null
  }

  /** It has left the stack; one that is still open was rolled back with the one around it. */
  left(): void {
    if (!hasEnded(this.at)) {
      this.advance('rolled_back')
      if (this.endedAt === '') this.endedAt = 'with the transaction around it'
    }
    const { parent, bornIn, committed } = this
    if (bornIn !== null && bornIn.manual?.record === this) bornIn.manual = null
    if (parent !== null) {
      if (this.hasHooks) parent.hooks.adopt(this.hooks, committed)
      const { first } = this.past
      if (this.batch && !committed && parent.returned && first !== null)
        parent.advance({ type: 'failed', failure: first, stmt: null, spoils: false })
    }
    if (committed && parent !== null) this.#followers?.join(parent.#following)
    else this.#followers?.tell(this.fate)
    reportEnd(this)
    if (this.#cursors !== null) {
      for (const cursor of this.#cursors) cursor.ended(this)
      this.#cursors.clear()
    }
    if (this.#waiting !== null) for (const tell of this.#waiting) tell()
    this.#waiting = null
  }

  /** Settles when it is off the stack. It is on it now. */
  whenLeft(): Promise<void> {
    return new Promise((resolve) => (this.#waiting ??= []).push(resolve))
  }

  interrupt(reason: unknown): void {
    ;(this.#controller ??= new AbortController()).abort(reason)
  }

  /** `outcome`: of a statement that was on the wire. */
  ended(outcome: Outcome = 'not_started'): TransactionEndedError {
    const signal = this.#controller?.signal
    const cause: unknown = signal?.aborted === true ? signal.reason : undefined
    return new TransactionEndedError(this.endedMessage(), { outcome, cause })
  }

  endedMessage(): string {
    return endedMessage(this)
  }

  describe(): string {
    if (this.cursor !== null) return `cursor opened at ${this.cursor.place}`
    return `${this.manual ? 'manual transaction' : this.savepoint === '' ? 'transaction' : 'nested transaction'} begun at ${this.place}`
  }
}
