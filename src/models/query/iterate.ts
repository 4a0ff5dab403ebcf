// Objects of a query as they come, by the server's cursor. Further statements for their parts need the connection that a cursor would
// hold, so such objects come page by page.
import type { CursorOptions } from '../../engine/query/query-options.ts'
import { checkCount } from '../../engine/query/query-terms.ts'
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { asQuery, type Statement } from '../../sql/statement.ts'
import { BatchLoop, RowLoop, Turns } from '../../util/loop.ts'
import { Indexes } from '../load/indexes.ts'
import { compileQuery } from './compile/compile.ts'
import type { ModelCursor } from '../types/query.ts'
import { PageRows } from './page.ts'
import type { QueryState } from './state.ts'

/** @throws {UsageError} where a lock would end before the loop does. */
export function iterateObjects<R>(executor: Executor, state: QueryState, options: CursorOptions): ModelCursor<R> {
  if (!state.selectIn) {
    const { statement } = compileQuery(state, { facts: Indexes.of(executor) })
    return executor.iterate(asQuery(statement as Statement<R>), options)
  }
  if (state.lock !== null && executor.transactionHere() === null)
    throw new UsageError(
      "iterate() of a query with forUpdate() whose lists are loaded by further statements (the strategy 'select-in') reads page after page, and outside of a transaction each lock would end with its page. Call it in db.transaction(…).",
    )
  return new PageCursor<R>(new PageRows(executor, state, options), options.batchSize)
}

class PageCursor<R> implements ModelCursor<R> {
  readonly #rows: PageRows
  readonly #size: number
  #ready: R[] = []
  #ended = false
  #closed = false
  readonly #turns = new Turns()

  constructor(rows: PageRows, size = 100) {
    this.#rows = rows
    this.#size = size
  }

  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  read(count?: number): Promise<R | undefined | R[]> {
    return this.#inTurn<R | undefined | R[]>(async () => {
      if (count === undefined) return (await this.#take(1))[0]
      checkCount(count, 'read()')
      return this.#take(count)
    })
  }

  skip(count: number): Promise<number> {
    return this.#inTurn(async () => {
      checkCount(count, 'skip()')
      return (await this.#take(count)).length
    })
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      this.#ready = []
      this.#closed = true
      await this.#rows.close()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  batches(): AsyncGenerator<R[], void, undefined> {
    return new BatchLoop<R>(
      () => this.#page(),
      () => this.close(),
    )
  }

  [Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    return new RowLoop<R>(
      () => this.#page(),
      () => this.close(),
    )
  }

  #page(): Promise<R[]> {
    return this.#inTurn(() => this.#take(this.#size))
  }

  /** One pull at a time, in the order they were asked for. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const { before, end } = this.#turns.next()
    try {
      if (before !== null) await before
      return await work()
    } finally {
      end()
    }
  }

  async #take(count: number): Promise<R[]> {
    if (this.#closed)
      throw new TransactionStateError('This cursor has been closed. Call iterate() again for another one.')
    while (this.#ready.length < count && !this.#ended) {
      const rows = await this.#rows.read(this.#size)
      if (rows.length < this.#size) this.#ended = true
      this.#ready.push(...(rows as R[]))
    }
    return this.#ready.splice(0, count)
  }
}
