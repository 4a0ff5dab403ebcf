// When the catalogue is asked for the indexes of a query's lists: after its first answer, whatever asked for that.
import type { Executor } from '../../engine/query/executor.ts'
import type { Statement } from '../../sql/statement.ts'
import { Indexes } from '../load/indexes.ts'
import { hasList } from '../load/node.ts'
import type { ModelCursor } from '../types/query.ts'
import { knownLists, listsOf } from './compile/head.ts'
import type { QueryState } from './state.ts'

/** Whether an answer is still to come. */
function isUnknown(state: QueryState, executor: Executor): boolean {
  const { loader, selectIn } = state
  if (loader === null || selectIn || !hasList(loader)) return false
  const lists = knownLists(state)
  return lists === null || Indexes.of(executor)?.knows(lists) !== true
}

/** The answer of the query, given once the catalogue has been asked too. */
export function thenAsks<T>(executor: Executor, state: QueryState, answer: Promise<T>): Promise<T> {
  if (!isUnknown(state, executor)) return answer
  return answer.then(async (found) => {
    await Indexes.of(executor)?.learn(executor, listsOf(state))
    return found
  })
}

/** The statement of a query that is sent by code that knows nothing of lists. Nobody waits for the catalogue. */
export function asksBeside<R>(executor: Executor, state: QueryState, statement: Statement<R>): Statement<R> {
  const { decode } = statement
  if (decode === undefined || !isUnknown(state, executor)) return statement
  return {
    ...statement,
    decode(rows, within) {
      const made = decode(rows, within)
      Indexes.of(executor)?.learnBeside(executor, listsOf(state))
      return made
    },
  }
}

/** A cursor after whose end the catalogue is asked, when its connection is free again. */
export function asksAtItsEnd<R>(executor: Executor, state: QueryState, cursor: ModelCursor<R>): ModelCursor<R> {
  return isUnknown(state, executor) ? new AskingCursor(cursor, executor, state) : cursor
}

class AskingCursor<R> implements ModelCursor<R> {
  readonly #cursor: ModelCursor<R>
  readonly #executor: Executor
  readonly #state: QueryState
  #began = false

  constructor(cursor: ModelCursor<R>, executor: Executor, state: QueryState) {
    this.#cursor = cursor
    this.#executor = executor
    this.#state = state
  }

  read(): Promise<R | undefined>
  read(count: number): Promise<R[]>
  async read(count?: number): Promise<R | undefined | R[]> {
    this.#began = true
    if (count === undefined) {
      const object = await this.#cursor.read()
      if (object === undefined) this.#ask()
      return object
    }
    const objects = await this.#cursor.read(count)
    if (objects.length < count) this.#ask()
    return objects
  }

  skip(count: number): Promise<number> {
    return this.#cursor.skip(count)
  }

  async close(): Promise<void> {
    await this.#cursor.close()
    if (this.#began) this.#ask()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  batches(): AsyncGenerator<R[], void, undefined> {
    return this.#asking(this.#cursor.batches())
  }

  [Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    return this.#asking(this.#cursor)
  }

  async *#asking<T>(loop: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    let failed = false
    try {
      yield* loop
    } catch (error) {
      failed = true
      throw error
    } finally {
      if (!failed) this.#ask()
    }
  }

  #ask(): void {
    Indexes.of(this.#executor)?.learnBeside(this.#executor, listsOf(this.#state))
  }
}
