// One page of keyset pagination: its rows, and the cursor of what comes after them.
import type { Executor } from '../../engine/query/executor.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import { toStatement } from '../../sql/statement.ts'
import { compileQuery } from './compile.ts'
import { keysetOf, textsOf, writeCursor } from './keyset.ts'
import type { QueryState } from './state.ts'

export interface Page<R> {
  readonly rows: R[]
  /** What `after()` takes for the next page; null on the last. */
  readonly cursor: string | null
}

/** Asks for one object more than the page has, to know whether there is another page. */
export async function readPage<R>(executor: Executor, state: QueryState, options: QueryOptions): Promise<Page<R>> {
  const keys = keysetOf(state)
  const size = state.limit as number
  const { statement, assembly } = compileQuery({ ...state, limit: size + 1 }, { beside: textsOf(keys) })
  const bare = { ...statement, decode: undefined }
  const rows = await executor.all({ [toStatement]: () => bare }, options)
  const origins: unknown[][] = []
  const objects = assembly?.rows(rows, undefined, origins) ?? []
  const more = objects.length > size
  const last = more ? origins[size - 1] : undefined
  return {
    rows: objects.slice(0, size) as R[],
    cursor: last === undefined ? null : writeCursor(keys, last.slice(-keys.length) as (string | null)[]),
  }
}
