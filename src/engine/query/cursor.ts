// A cursor on the server: DECLARE in a transaction, FETCH as an ordinary statement for every page, CLOSE at the end.
// It captures its frame when it is made and borrows when it is first pulled; who pulls decides when that may run, as with
// any statement.
import { ReleasedConnectionError, TransactionStateError, UsageError } from '../../errors/index.ts'
import { capturePlace, type Place } from '../../observe/place.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { adapt, type Params, type Query, type Statement } from '../../sql/statement.ts'
import { describeType, integer } from '../../util/checks.ts'
import { type Checks, noOptions, readAgain } from '../../util/options.ts'
import { currentChain, type Link, quietAmbientFrame, runIn } from '../context/chain.ts'
import type { Frame } from '../context/frame.ts'
import { afterOpening } from '../open/after-opening.ts'
import { type CursorHome, openHome } from './cursor-home.ts'
import type { Executor } from './executor.ts'
import { thrownError } from './failure.ts'
import { EngineOp } from './op.ts'
import { queryChecks, type QueryDefaults, type QueryOptions } from './query-options.ts'
import type { TransactionRecord } from '../transaction/record.ts'

export interface CursorOptions extends QueryOptions {
  /** Rows fetched at a time; default 100. */
  readonly batchSize?: number | undefined
}

/** How long the transaction of a cursor may wait for its turn. */
export interface CursorWait {
  readonly until: number
  readonly signal: AbortSignal | undefined
}

/** What FETCH can count. */
const mostRows = 2_147_483_647

export const cursorChecks: Checks<CursorOptions> = { ...queryChecks, batchSize: integer(1, mostRows) }

/** @throws {UsageError} unless it is a number of rows. */
export function checkCount(count: number, method: string): void {
  if (!Number.isInteger(count) || count < 0 || count > mostRows)
    throw new UsageError(`${method} takes a whole number of rows from 0 to ${mostRows}, not ${describeType(count)}.`)
}

const readers = new Set(['SELECT', 'WITH', 'VALUES', 'TABLE'])

/**
 * Rows as they come. Iterate over it, or pull with `read`; `skip` passes over rows without loading them.
 * (GINO: `Cursor`.)
 */
export class Cursor<R> implements AsyncIterable<R>, AsyncDisposable {
  readonly place: Place
  readonly #executor: Executor
  readonly #chain: Link | undefined
  readonly #query: Query<R> | string
  readonly #params: Params | undefined
  readonly #options: CursorOptions
  readonly #defaults: QueryDefaults | null
  /** The scope it was made in, if it was made without a handle. */
  readonly #scope: Frame | null
  #state: 'new' | 'open' | 'closed' = 'new'
  #home: CursorHome | null = null
  #statement: Statement<R> | null = null
  #fetch: Compiled | null = null
  #rows: R[] = []
  #exhausted = false
  /** Its transaction ended before it was closed. */
  #gone = false
  #sent: EngineOp | null = null
  #turn: Promise<void> = Promise.resolve()
  /** The chain of the code that pulls. */
  #from: Link | undefined

  /** @internal */
  constructor(
    executor: Executor,
    chain: Link | undefined,
    query: Query<R> | string,
    params: Params | undefined,
    options: CursorOptions | null,
  ) {
    this.#executor = executor
    this.#chain = chain
    this.#query = query
    this.#params = params
    this.#options = readAgain<CursorOptions>({ batchSize: 100 }, options ?? noOptions)
    this.#defaults = executor.defaultsHere()
    this.#scope = chain === undefined || executor.handleHere() !== null ? null : scopeHere(executor, chain)
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
  isLeftOpenBy(record: TransactionRecord): boolean {
    return this.open && this.#home?.record === record
  }

  /** The next row, or undefined at the end; with `count` up to that many rows. */
  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  read(count?: number): Promise<R | undefined | R[]> {
    if (count === undefined) return this.#inTurn(async () => (await this.#take(1))[0])
    return this.#inTurn(() => {
      checkCount(count, 'read()')
      return this.#take(count)
    })
  }

  /** Passes over up to `count` rows; returns how many there were. (GINO: `forward`.) */
  skip(count: number): Promise<number> {
    return this.#inTurn(() => {
      checkCount(count, 'skip()')
      return this.#skip(count)
    })
  }

  /** Closes it and, when it opened a transaction of its own, ends that. Idempotent. */
  close(): Promise<void> {
    return this.#inTurn(() => this.#end())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    try {
      for (;;) {
        // However many rows came at once, the connection is its own until the loop has ended.
        const rows = await this.#inTurn(() => this.#next(this.#options.batchSize as number))
        if (rows.length === 0) return
        yield* rows
      }
    } finally {
      await this.close()
    }
  }

  /** @internal One of its transactions has ended. A released savepoint leaves it to the transaction around. */
  ended(record: TransactionRecord): void {
    const home = this.#home
    if (home === null || !home.livesIn(record)) return
    if (record.parent !== null && record.state === 'committed') home.moveTo(record.parent, this)
    else {
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
    const before = this.#turn
    let done = (): void => {}
    this.#turn = new Promise((resolve) => (done = resolve))
    try {
      await before
      this.#from = from
      return await runIn(this.#chain, work)
    } catch (thrown) {
      throw thrownError(thrown, this.#sent)
    } finally {
      done()
    }
  }

  async #next(count: number): Promise<R[]> {
    while (this.#rows.length < count && !this.#exhausted)
      await this.#pull(Math.max(count, this.#options.batchSize as number))
    return this.#rows.splice(0, count)
  }

  async #take(count: number): Promise<R[]> {
    const rows = await this.#next(count)
    if (this.#exhausted && this.#rows.length === 0) await this.#end()
    return rows
  }

  async #skip(count: number): Promise<number> {
    const held = this.#rows.splice(0, count).length
    if (held === count || this.#exhausted) return held
    const home = await this.#openHome()
    const op = await this.#send(home, cursorStatement(`MOVE FORWARD ${count - held} FROM ${home.name}`), [])
    return held + Math.max(op.count, 0)
  }

  async #pull(size: number): Promise<void> {
    const home = await this.#openHome()
    const text = `FETCH FORWARD ${size} FROM ${home.name}`
    if (this.#fetch?.text !== text) this.#fetch = cursorStatement(text)
    const op = await this.#send(home, this.#fetch, [])
    const { decode } = this.#statement as Statement<R>
    const rows = decode === undefined || decode === null ? (op.rows as R[]) : decode(op.rows, op.transaction)
    this.#rows.push(...rows)
    if (op.rows.length < size) this.#exhausted = true
  }

  async #openHome(): Promise<CursorHome> {
    if (this.#home !== null && this.#state === 'open') {
      this.#home.check()
      return this.#home
    }
    if (this.#state === 'closed')
      throw this.#gone
        ? (this.#home as CursorHome).ended()
        : new TransactionStateError(`The cursor opened at ${this.place} has been closed.`)
    if (this.#scope !== null && (this.#scope.slot === null || this.#scope.slot.closed))
      throw new ReleasedConnectionError(
        `The cursor opened at ${this.place} belongs to a scope that has ended. Read it inside of the scope, or make it where it is read.`,
      )
    const here = this.#executor.engineHere()
    const options = here instanceof Promise ? await afterOpening(here, this.#options) : this.#options
    const engine = here instanceof Promise ? await here : here
    const text = typeof this.#query === 'string'
    this.#statement = text ? { sql: this.#query, params: [] } : adapt<R>(this.#query)
    const bound = engine.statements.compile(this.#statement.sql).bind(text ? this.#params : this.#statement.params)
    if (!readers.has(bound.compiled.verb) || bound.compiled.cls === 'multi')
      throw new UsageError(
        'iterate() streams one SELECT, WITH, VALUES or TABLE statement. Use all() or status() for this text.',
        {
          statement: { sql: bound.compiled.text },
        },
      )
    const home = await openHome(engine, this.#executor, this, this.#from, {
      until: engine.until(options, this.#defaults),
      signal: options.signal,
    })
    this.#home = home
    this.#state = 'open'
    const op = await this.#send(home, declaration(home.name, bound.compiled), bound.params)
    home.moveTo(op.transaction ?? home.record, this)
    return home
  }

  async #send(home: CursorHome, stmt: Compiled, params: readonly unknown[]): Promise<EngineOp> {
    const { engine } = home
    const { handle } = home.record
    const spec = stmt.verb === 'FETCH' ? (this.#statement?.spec ?? null) : null
    const until = engine.until(this.#options, this.#defaults)
    const op = new EngineOp(
      engine,
      this.#from,
      handle,
      stmt,
      params,
      spec,
      null,
      0,
      until,
      engine.signal(this.#options),
    )
    this.#sent = op
    home.record.slot.send(op)
    try {
      await op.wait()
    } catch (thrown) {
      await this.#end(false)
      throw thrown
    }
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
    if (home.own) await home.finish(well)
    else if (well && wasOpen && home.usable()) {
      await this.#send(home, cursorStatement(`CLOSE ${home.name}`), []).catch(() => {})
    }
  }
}

function scopeHere(executor: Executor, chain: Link): Frame | null {
  const engine = executor.engineQuietly()
  const frame = engine === null ? null : quietAmbientFrame(engine, chain)
  return frame?.kind === 'transaction' ? null : frame
}

function declaration(name: string, stmt: Compiled): Compiled {
  return {
    ...cursorStatement(`DECLARE ${name} NO SCROLL CURSOR FOR ${stmt.text}`),
    pins: stmt.pins,
    dirties: stmt.dirties,
    names: stmt.names,
  }
}

function cursorStatement(text: string): Compiled {
  const verb = text.slice(0, text.indexOf(' '))
  return { text, name: '', cls: 'read', verb, dirties: 0, pins: 0, names: 0, hasControl: false, shape: null }
}
