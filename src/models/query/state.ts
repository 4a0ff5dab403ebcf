// The state of a model query. Immutable: every method of the query makes another one.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { anyOf, boolean, type Checks, noOptions } from '../../util/options.ts'
import type { Join } from '../load/joins.ts'
import { hasList, type LoadNode } from '../load/node.ts'
import type { Source } from '../load/source.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import type { CallOptions } from '../types/model.ts'
import type { LoadOptions, LockOptions } from '../types/query.ts'
import type { ListWords } from '../../sql/model-words.ts'
import type { Condition } from './compile/condition.ts'

export const lockChecks: Checks<LockOptions> = { nowait: boolean, skipLocked: boolean }

export const loadChecks: Checks<LoadOptions> = { strategy: anyOf('joined', 'select-in') }

export interface QueryState {
  readonly model: ModelLike
  readonly meta: ModelMeta
  readonly source: Source
  readonly where: readonly Condition[]
  readonly joins: readonly Join[]
  readonly groupBy: readonly (Column | SQL)[]
  readonly having: readonly SQL[]
  readonly orderBy: readonly (Column | SQL)[]
  readonly limit: number | null
  readonly offset: number | null
  /** `for update` of the model's rows, null for none. */
  readonly lock: 'for update' | null
  readonly lockWait: 'nowait' | 'skip locked' | null
  readonly loader: LoadNode | null
  readonly selectIn: boolean
  /** The strategy was chosen by the caller. */
  readonly chosen: boolean
  /** Plain objects of these keys instead of instances. */
  readonly keys: readonly string[] | null
  readonly call: CallOptions
}

/** One list for all queries: the cached beginnings of queries are found by it. */
const none: readonly never[] = []

/** Every row of a source. */
export function everything(source: Source): QueryState {
  const { model, meta } = source
  if (model === null || meta === null)
    throw new UsageError('A bare table has no model to query. Make one by Model(db, table).')
  return {
    model,
    meta,
    source,
    where: none,
    joins: none,
    groupBy: [],
    having: [],
    orderBy: [],
    limit: null,
    offset: null,
    lock: null,
    lockWait: null,
    loader: null,
    selectIn: false,
    chosen: false,
    keys: null,
    call: noOptions,
  }
}

/**
 * Whether the parts of the objects are loaded by further statements: if the caller says so, for lists if no column can have them, and
 * for lists under a lock that may wait. After the wait the object is new, and a list of the same statement would be old.
 */
export function isSeparate(state: QueryState, { inColumn }: ListWords): boolean {
  const { selectIn, chosen, lock, lockWait, loader } = state
  if (selectIn) return true
  const asked = inColumn === null || (!chosen && lock !== null && lockWait === null)
  return asked && loader !== null && hasList(loader)
}
