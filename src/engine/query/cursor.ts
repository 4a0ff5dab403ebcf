// A cursor on the server, whose rows come in parts; where the database has no cursors, the rows of the statement itself. It captures
// its frame when it is made and borrows a connection when it is first read. The code that reads decides when that may run, as with any
// statement.
import { ReleasedConnectionError, TransactionStateError } from '../../errors/index.ts'
import { capturePlace, type Place } from '../../observe/place.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import type { QueryDefaults } from '../core.ts'
import { adapt, type Params, type Query, type Rows, rowsInto, type Statement } from '../../sql/statement.ts'
import { BatchLoop, type LoopTerms, RowLoop, Turns } from '../../util/loop.ts'
import { noOptions, readAgain } from '../../util/options.ts'
import { currentChain, type Link, runIn, scopeIn, settingsOn, tagsOf } from '../context/chain.ts'
import type { Frame, Settings } from '../context/frame.ts'
import { afterOpening } from '../open/opening.ts'
import type { CursorTransaction } from './cursor-transaction.ts'
import { comesBehindRows, thrownError, unheard, unmadeError } from './failure.ts'
import { chainOfMade, markOrigin } from './made-with.ts'
import { EngineOp } from './op.ts'
import type { Fetched, RowParts, Wanted } from './row-parts.ts'
import type { RowStream } from './row-stream.ts'
import { checkCount, type CursorTerms, type RowTerms, specOf } from './query-terms.ts'
import type { Runner } from './runner.ts'
import type { OpenTransaction } from '../slot/slot.ts'

/** A loop over rows makes objects of so many bytes at once: those that wait to be read are few, and do not grow old. */
const atOnce = 1 << 13

/**
 * Reads rows one after another. Iterate over it, or call `read`. `skip` passes over rows without loading them.
 * (GINO: `Cursor`.)
 */
export class Cursor<R> implements AsyncIterable<R>, AsyncDisposable {
  readonly place: Place
  readonly #executor: Runner
  #chain: Link | undefined
  readonly #query: Query<R> | string
  readonly #params: Params | undefined
  readonly #options: CursorTerms & RowTerms
  readonly #defaults: QueryDefaults | null
  /** The scope it was made in, if it was made without a handle. */
  readonly #scope: Frame | null
  #state: 'new' | 'open' | 'closed' = 'new'
  #home: CursorTransaction | null = null
  #made: Rows = {}
  #parts: RowParts | null = null
  /** Where the server has no cursors. */
  #stream: RowStream<EngineOp> | null = null
  #rows: R[] = []
  #exhausted = false
  /** Why there are no others behind the rows that a loop has got. */
  #behind: { readonly thrown: unknown } | null = null
  /** Its transaction ended before it was closed. */
  #gone = false
  #sent: EngineOp | null = null
  /** The settings of the frame in which it was made, whichever code pulls. */
  #settings: Settings | null | undefined = undefined
  readonly #turns = new Turns()
  /** The chain of the code that pulls. */
  #from: Link | undefined

  /** @internal */
  constructor(
    executor: Runner,
    chain: Link | undefined,
    query: Query<R> | string,
    params: Params | undefined,
    options: (CursorTerms & RowTerms) | null,
  ) {
    this.#executor = executor
    this.#chain = chain
    this.#query = query
    this.#params = params
    this.#options = readAgain<CursorTerms & RowTerms>({ batchSize: 100 }, options ?? noOptions)
    this.#defaults = executor.defaultsHere()
    this.#scope =
      chain === undefined || executor.handleHere() !== null ? null : scopeIn(executor.engineQuietly(), chain)
    this.place = capturePlace(Cursor)
  }

  /** @internal */
  get chain(): Link | undefined {
    return this.#chain
  }

  /** Whether the server holds rows for it. */
  get open(): boolean {
    return this.#state === 'open'
  }

  /** @internal Whether it keeps the transaction it was made in from being committed. */
  isLeftOpenBy(record: OpenTransaction): boolean {
    return this.open && this.#home?.record === record
  }

  /** The next row, or undefined at the end. With `count`, a list of up to that many rows. */
  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  read(count?: number): Promise<R | undefined | R[]> {
    if (count === undefined) return this.#inTurn(async () => (await this.#take(1))[0])
    return this.#inTurn(() => {
      checkCount(count, 'read()')
      return this.#take(count)
    })
  }

  /** Skips up to `count` rows, and returns the number skipped. (GINO: `forward`.) */
  skip(count: number): Promise<number> {
    return this.#inTurn(() => {
      checkCount(count, 'skip()')
      return this.#skip(count)
    })
  }

  /** Closes the cursor, and ends the transaction that it opened, if any. Idempotent. */
  close(): Promise<void> {
    return this.#inTurn(() => this.#end())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Loops over lists of `batchSize` rows in place of single rows; the last list may be shorter, none is empty. A row costs less
   * so. All else is as in a loop over rows. (postgres.js: `cursor`; GINO: `many`.)
   */
  batches(): AsyncGenerator<R[], void, undefined> {
    return this.#loop(BatchLoop<R>, Infinity, Infinity)
  }

  /** However many rows come at once, the connection is its own until the loop has ended. */
  [Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    return this.#loop(RowLoop<R>, 1, atOnce)
  }

  /**
   * @param enough So many rows are enough for a batch that has not come whole.
   * @param bytes Behind so many of them none is read yet.
   */
  #loop<L>(of: new (...how: LoopTerms<R>) => L, enough: number, bytes: number): L {
    const size = this.#options.batchSize as number
    const least = Math.min(size, enough)
    return new of(
      () => this.#inTurn(() => this.#next(size, least, bytes, true)),
      () => this.close(),
      () => this.#here(size, least, bytes),
    )
  }

  /** Rows that have come, and can be read without a wait. Null: the caller has to pull. */
  #here(size: number, least: number, bytes: number): R[] | null {
    const parts = this.#parts
    if (this.#state !== 'open' || parts === null || this.#turns.busy) return null
    if (this.#rows.length > 0 || this.#behind !== null) return null
    // Readers of types that are the user's may call it again.
    this.#turns.hold()
    try {
      this.#from = currentChain()
      const rows = runIn(this.#chain, () => parts.takeReady(least, size, bytes)) as R[] | null
      this.#exhausted = parts.exhausted
      const { engine, wanted, spec } = this.#sent as EngineOp
      if (rows !== null && spec !== null) markOrigin(rows, engine, wanted, false)
      return rows
    } finally {
      this.#turns.free()
    }
  }

  /** @internal One of its transactions has ended. A released savepoint leaves it to the transaction around. */
  ended(record: OpenTransaction): void {
    const home = this.#home
    if (home === null || !home.livesIn(record)) return
    if (record.parent !== null && record.committed) home.moveTo(record.parent, this)
    else {
      this.#stream?.end()
      this.#parts?.forget()
      this.#gone = this.#state === 'open'
      if (this.#gone) this.#state = 'closed'
      this.#drop()
    }
  }

  /** Rows that were fetched and not read are not its end. */
  #drop(): void {
    if (this.#rows.length > 0) this.#exhausted = false
    this.#rows = []
  }

  /**
   * One pull at a time, in the order they were asked for, each in the frame of the cursor. Failures become errors here, after
   * an await, so that stacks show the caller.
   */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const from = currentChain()
    const { before, end } = this.#turns.next()
    try {
      if (before !== null) await before
      this.#from = from
      return await runIn(this.#chain, work)
    } catch (thrown) {
      unheard.delete(thrown as object)
      throw thrownError(thrown, this.#sent ?? this.#home?.engine ?? { dialect: this.#executor.dialectHere() })
    } finally {
      end()
    }
  }

  /**
   * @param least This number of rows is enough, where rows are read before their part has come whole.
   * @param bytes No row is read yet behind this number of bytes.
   * @param inFront Whether the rows in front of an error come first. A caller that counts rows would take fewer rows for the end.
   */
  async #next(count: number, least: number = count, bytes: number = Infinity, inFront = false): Promise<R[]> {
    const size = Math.max(count, this.#options.batchSize as number)
    const inPieces = (): boolean => this.#stream !== null || this.#parts?.inPieces === true
    while (this.#rows.length < (inPieces() ? least : count) && !this.#exhausted) {
      this.#fail()
      const rows = this.#rows
      try {
        await this.#pull(size, Math.max(1, least - rows.length), count - rows.length, bytes)
      } catch (thrown) {
        if (!inFront || rows.length === 0 || !comesBehindRows(thrown)) throw thrown
        this.#behind = { thrown }
        return rows
      }
    }
    if (this.#rows.length > count) return this.#rows.splice(0, count)
    const rows = this.#rows
    this.#rows = []
    return rows
  }

  #fail(): void {
    const behind = this.#behind
    this.#behind = null
    if (behind !== null) throw behind.thrown
  }

  async #take(count: number): Promise<R[]> {
    const rows = await this.#next(count)
    if (this.#exhausted && this.#rows.length === 0) await this.#end()
    return rows
  }

  async #skip(count: number): Promise<number> {
    let skipped = this.#rows.splice(0, count).length
    if (skipped === count || this.#exhausted) return skipped
    const opening = this.#opened(0)
    if (opening !== null) await opening
    // Rows that are on their way are the first of those to skip.
    while (skipped < count && !this.#exhausted && (this.#stream !== null || this.#parts?.ahead === true)) {
      await this.#pull(Math.min(count - skipped, this.#options.batchSize as number))
      skipped += this.#rows.splice(0, count - skipped).length
    }
    if (this.#parts === null || skipped === count || this.#exhausted) return skipped
    const op = this.#parts.skip(count - skipped)
    await this.#answered(op, op.wait())
    return skipped + Math.max(op.count, 0)
  }

  /**
   * @param least So many are enough of a part that has not come whole.
   * @param most So many of a part are enough, where the others can be read later.
   */
  async #pull(size: number, least: number = size, most: number = size, bytes: number = Infinity): Promise<void> {
    const opening = this.#opened(size)
    if (opening !== null) await opening
    const { op, came } =
      this.#stream === null
        ? await this.#fetched(this.#parts as RowParts, size, { least, most, bytes })
        : await this.#arrived(this.#stream, size)
    const { decode = null } = this.#made
    let rows: R[]
    try {
      rows = (decode === null ? came : decode(came, op.transaction)) as R[]
    } catch (thrown) {
      // Rows that cannot be made are lost: there is nothing to go on with.
      await this.#end(false)
      throw unmadeError(thrown, op)
    }
    markOrigin(rows, op.engine, op.wanted, decode !== null)
    if (this.#rows.length === 0) this.#rows = rows
    else this.#rows = this.#rows.concat(rows)
  }

  async #fetched(parts: RowParts, size: number, wanted: Wanted): Promise<Fetched> {
    const op = parts.next(size)
    const until = op.until === Infinity ? op.engine.until(this.#options, this.#defaults) : Infinity
    const all = parts.inPieces ? wanted : { least: size, most: size, bytes: Infinity }
    const came = await this.#answered(op, parts.read(op, all, until))
    this.#exhausted = parts.exhausted
    return { op, came }
  }

  async #arrived(stream: RowStream<EngineOp>, size: number): Promise<Fetched> {
    const { op } = stream
    try {
      const came = await stream.read(size, op.engine.until(this.#options, this.#defaults))
      this.#exhausted = stream.exhausted
      return { op, came }
    } catch (thrown) {
      await this.#end(false)
      throw thrown
    }
  }

  /** Null: it is open, so what follows is sent at once. @param size How many rows are wanted first; 0: none. */
  #opened(size: number): Promise<void> | null {
    if (this.#state === 'new') return this.#openTransaction(size)
    if (this.#gone || this.#state === 'open') (this.#home as CursorTransaction).check()
    if (this.#state === 'open') return null
    throw new TransactionStateError(
      `The cursor opened at ${this.place} has been closed. Call iterate() again for another one.`,
    )
  }

  async #openTransaction(size: number): Promise<void> {
    if (this.#scope !== null && (this.#scope.slot === null || this.#scope.slot.closed))
      throw new ReleasedConnectionError(
        `The cursor opened at ${this.place} belongs to a scope that has ended. Read it inside of the scope, or make it where it is read.`,
      )
    const here = this.#executor.engineHere()
    const options = here instanceof Promise ? await afterOpening(here, this.#options) : this.#options
    const engine = here instanceof Promise ? await here : here
    const text = typeof this.#query === 'string'
    const statement: Statement =
      typeof this.#query === 'string' ? { sql: this.#query, params: [] } : adapt(this.#query, 0, engine.dialect)
    this.#made = this.#options.into === undefined ? statement : rowsInto(this.#options.into, statement, engine.dialect)
    this.#chain = chainOfMade(statement, engine, this.#executor, this.#chain)
    const bound = engine.statements.compile(statement.sql).bind(text ? this.#params : statement.params)
    const until = engine.until(options, this.#defaults)
    const wait = { until, signal: options.signal, from: options.from ?? null }
    const opening = engine.runtime.openCursorTransaction(engine, this.#executor, this, this.#from, wait, bound.compiled)
    const home = opening instanceof Promise ? await opening : opening
    this.#home = home
    this.#settings = settingsOn(home.record.slot, this.#chain, this.#executor.handleHere())
    this.#state = 'open'
    const tags = tagsOf(this.#defaults) ?? engine.options.query.tags
    if (home.streams) {
      const stmt = tags === undefined ? bound.compiled : engine.statements.tag(bound.compiled, tags)
      const op = this.#op(home, stmt, bound.params, this.#made.spec ?? null, 0, Infinity)
      this.#stream = home.stream(op, this.place, this.#options.batchSize as number)
      return
    }
    const make: Parameters<CursorTransaction['parts']>[2] = (stmt, params, gives, maxRows, isAhead) => {
      // The time of one that nobody waits for begins when somebody does.
      const end = isAhead ? Infinity : engine.until(this.#options, this.#defaults)
      return this.#op(home, stmt, params, gives ? (this.#made.spec ?? null) : null, maxRows, end)
    }
    const { decode = null, spec } = this.#made
    this.#parts = home.parts(bound.compiled, size, make, tags, decode === null && spec?.fold === undefined)
    const op = this.#parts.open(bound.compiled, bound.params, size)
    await this.#answered(op, this.#parts.waitFor(op, size, Infinity))
    home.moveTo((op.transaction as OpenTransaction | null) ?? home.record, this)
  }

  async #answered<T>(op: EngineOp, answer: Promise<T>): Promise<T> {
    this.#sent = op
    try {
      return await answer
    } catch (thrown) {
      await this.#end(false)
      throw thrown
    }
  }

  #op(
    { engine, record }: CursorTransaction,
    stmt: Compiled,
    params: readonly unknown[],
    spec: RowSpec | null,
    maxRows: number,
    until: number,
  ): EngineOp {
    const signal = engine.signal(this.#options)
    const rows = specOf(spec, engine, this.#options)
    const op = new EngineOp(engine, this.#from, record.handle, stmt, params, rows, null, maxRows, until, signal)
    op.settings = this.#settings
    this.#sent = op
    return op
  }

  /** Without `well` its own transaction is rolled back: a statement of the cursor has failed. */
  async #end(well = true): Promise<void> {
    const home = this.#home
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    this.#drop()
    if (home === null) return
    home.leave(this)
    this.#stream?.end()
    if (!well || !home.own) this.#parts?.forget()
    if (home.own) await home.finish(well && (this.#parts === null || (await this.#parts.endReading())))
    else if (well && wasOpen && this.#parts !== null && home.usable() && !home.closesLater()) {
      const op = this.#parts.close()
      await this.#answered(op, op.wait()).catch(() => {})
    }
  }
}
