// One page of keyset pagination: its rows, and the cursor of what comes after them.
import { currentChain, type Link, runIn } from '../../engine/context/chain.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import { toStatement, type ToStatement } from '../../sql/statement.ts'
import type { Assembly } from '../load/assemble.ts'
import { Indexes } from '../load/indexes.ts'
import { cameAs, separateOf, together } from '../load/select-in.ts'
import { dialectAt } from '../load/source.ts'
import { type Compilation, compileQuery } from './compile/compile.ts'
import { afterCondition, besideOf, type KeysetKey, keysetOf, orderOf, placeOf, writeCursor } from './keyset.ts'
import type { Page } from '../types/query.ts'
import type { QueryState } from './state.ts'

/** Asks for one object more than the page has, to know whether there is another page. */
export function readPage<R>(executor: Executor, state: QueryState, options: QueryOptions): Promise<Page<R>> {
  return readObjects(executor, state, options, (state.limit as number) + 1)
}

/** The page that the limit of the whole query ends. */
function readLastPage<R>(executor: Executor, state: QueryState, options: QueryOptions): Promise<Page<R>> {
  return readObjects(executor, state, options, state.limit as number)
}

/** `asked`: so many objects, of which the page has those of its limit. */
async function readObjects<R>(
  executor: Executor,
  state: QueryState,
  options: QueryOptions,
  asked: number,
): Promise<Page<R>> {
  const keys = keysetOf(state)
  const size = state.limit as number
  const separate = state.selectIn ? separateOf(state.loader) : null
  const ofKeys = besideOf(keys, state.source)
  const beside = [
    ...ofKeys,
    ...(separate?.beside(dialectAt(executor, state.source).models.lists) ?? []),
    ...(separate?.joined(state.joins) ?? []),
  ]
  const paged = { ...state, ...separate?.root, limit: asked }
  const compile = (): Compilation => compileQuery(paged, { beside, facts: Indexes.of(executor), whole: true })
  let assembly: Assembly | null = null
  const query: ToStatement = {
    [toStatement]() {
      const { statement, objects, ...compiled } = compile()
      assembly = compiled.assembly
      return { ...statement, decode: objects === null ? undefined : (rows) => [...objects(rows)] }
    },
  }
  const read = async (): Promise<Page<R>> => {
    const found = await executor.all(query, options)
    const made = assembly as Assembly
    const rows = found.slice(0, size)
    const objects = made.rows(rows)
    const end = found.length > size ? made.besides(rows[size - 1]) : undefined
    await separate?.attach(executor, objects as Record<string, unknown>[], cameAs(made, rows, ofKeys.length), options)
    return {
      rows: objects as R[],
      cursor: end === undefined ? null : writeCursor(keys, placeOf(keys, end)),
    }
  }
  return separate === null ? read() : together(executor, read)
}

/** The rows of a query page after page, in the frame it was made in: between two pages it holds no connection. */
export class PageRows {
  readonly #executor: Executor
  readonly #state: QueryState
  readonly #options: QueryOptions
  readonly #keys: KeysetKey[]
  readonly #chain: Link | undefined = currentChain()
  #cursor: string | null = null
  #left: number

  /** @throws {UsageError} without a primary key, and for an order that has no keyset. */
  constructor(executor: Executor, state: QueryState, options: QueryOptions) {
    this.#executor = executor
    this.#state = state
    this.#options = options
    this.#keys = keysetOf(state)
    this.#left = state.limit ?? Infinity
  }

  async read(count: number): Promise<readonly unknown[]> {
    if (this.#left <= 0) return []
    const read = this.#left <= count ? readLastPage : readPage
    const next = this.#next(Math.min(count, this.#left))
    const { rows, cursor } = await runIn(this.#chain, () => read(this.#executor, next, this.#options))
    this.#cursor = cursor
    this.#left = cursor === null ? 0 : this.#left - rows.length
    return rows
  }

  async close(): Promise<void> {
    this.#left = 0
  }

  #next(limit: number): QueryState {
    const state = { ...this.#state, limit, orderBy: orderOf(this.#keys) }
    if (this.#cursor === null) return state
    const after = afterCondition(this.#keys, this.#cursor)
    return { ...state, offset: null, where: [...state.where, after] }
  }
}
