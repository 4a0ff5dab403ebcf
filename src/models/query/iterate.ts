// Objects of a query as they come: the rows of the server's cursor become objects batch by batch, and an object whose rows
// go on into the next batch is held back until they have come. What belongs to objects by further statements needs the
// connection that a cursor would hold, so these come page by page.
import { is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { CursorOptions } from '../../engine/query/cursor.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { asQuery, type Statement } from '../../sql/statement.ts'
import type { Assembly } from '../load/assemble.ts'
import { Fold } from '../load/fold.ts'
import { attachSeparately } from '../load/select-in.ts'
import { qualifierOf } from '../load/source.ts'
import { compileQuery } from './compile/compile.ts'
import { orderKeyOf } from './order.ts'
import { PageRows } from './page.ts'
import type { QueryState } from './state.ts'

/** What `iterate()` gives: read one by one, in lots, or by `for await`. */
export interface ModelCursor<R> extends AsyncIterable<R>, AsyncDisposable {
  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  skip(count: number): Promise<number>
  close(): Promise<void>
}

export function iterateObjects<R>(executor: Executor, state: QueryState, options: CursorOptions): ModelCursor<R> {
  const { statement, assembly } = compileQuery(state, {
    tieBreak: state.meta.primaryKey.length > 0 && needsOrder(state),
  })
  if (assembly?.folds === true) {
    checkOrder(state)
    const rows = executor.iterate(asQuery({ ...statement, decode: undefined }), options)
    return new FoldingCursor<R>(rows, new Folding(assembly), options.batchSize)
  }
  if (!state.selectIn) return executor.iterate(asQuery(statement as Statement<R>), options)
  const batches: Batches<R> = {
    take: async (batch) => {
      await attachSeparately(executor, state.loader, batch as object[], options)
      return batch as R[]
    },
    rest: () => [],
  }
  return new FoldingCursor<R>(new PageRows(executor, state, options), batches, options.batchSize)
}

const needsOrder = ({ loader, selectIn }: QueryState): boolean => loader !== null && !selectIn

/** @throws {UsageError} for an order by something else than the model's own columns. */
function checkOrder({ orderBy, source }: QueryState): void {
  for (const order of orderBy) {
    const { by } = orderKeyOf(order)
    if (is(by, SQL) || qualifierOf(by) !== source.id)
      throw new UsageError(
        'iterate() with lists needs the rows of one object together: order by columns of the model itself.',
      )
  }
}

/** Where rows come from: a cursor on the server, or pages. */
export interface Rows {
  read(count: number): Promise<readonly unknown[]>
  close(): Promise<void>
}

interface Batches<R> {
  take(rows: readonly unknown[]): Promise<R[]> | R[]
  /** What was held back, at the end. */
  rest(): R[]
}

class Folding<R> implements Batches<R> {
  readonly #assembly: Assembly
  readonly #fold = new Fold(true)
  #held: R[] = []

  constructor(assembly: Assembly) {
    this.#assembly = assembly
  }

  take(rows: readonly unknown[]): R[] {
    const made = [...this.#held, ...(this.#assembly.rows(rows, this.#fold) as R[])]
    this.#held = made.splice(-1)
    return made
  }

  rest(): R[] {
    return this.#held.splice(0)
  }
}

class FoldingCursor<R> implements ModelCursor<R> {
  readonly #rows: Rows
  readonly #batches: Batches<R>
  readonly #size: number
  #ready: R[] = []
  #ended = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(rows: Rows, batches: Batches<R>, size = 100) {
    this.#rows = rows
    this.#batches = batches
    this.#size = size
  }

  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  read(count?: number): Promise<R | undefined | R[]> {
    return this.#inTurn<R | undefined | R[]>(async () =>
      count === undefined ? (await this.#take(1))[0] : this.#take(count),
    )
  }

  skip(count: number): Promise<number> {
    return this.#inTurn(async () => (await this.#take(count)).length)
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      this.#ready = []
      this.#ended = true
      await this.#rows.close()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    try {
      for (;;) {
        const objects = await this.#inTurn(() => this.#take(this.#size))
        if (objects.length === 0) return
        yield* objects
      }
    } finally {
      await this.close()
    }
  }

  /** One pull at a time, in the order they were asked for. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #take(count: number): Promise<R[]> {
    while (this.#ready.length < count && !this.#ended) {
      const rows = await this.#rows.read(this.#size)
      if (rows.length < this.#size) this.#ended = true
      this.#ready.push(...(await this.#batches.take(rows)))
      if (this.#ended) this.#ready.push(...this.#batches.rest())
    }
    return this.#ready.splice(0, count)
  }
}
