// What a model query has been told so far. Immutable: every method of the query makes another one.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { anyOf, boolean } from '../../util/checks.ts'
import { type Checks, noOptions } from '../../util/options.ts'
import type { Join } from '../load/join-list.ts'
import type { LoadNode } from '../load/node.ts'
import type { Source } from '../load/source.ts'
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import type { CallOptions } from '../types/model.ts'
import type { Condition } from './compile/condition.ts'

export interface LockOptions {
  /** Fails at once when a row is locked, instead of waiting. */
  readonly nowait?: boolean | undefined
  /** Leaves out rows that are locked: what a queue of jobs needs. */
  readonly skipLocked?: boolean | undefined
}

export interface LoadOptions {
  /**
   * `joined` (default): one statement with joins. `select-in`: one more statement for each relation, with the keys found
   * so far; better when lists are long or several. (SQLAlchemy: selectin loading; MikroORM: `select-in`.)
   */
  readonly strategy?: 'joined' | 'select-in' | undefined
}

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
  /** Plain objects of these keys instead of instances. */
  readonly keys: readonly string[] | null
  readonly call: CallOptions
}

/** One for all queries: what they begin with is kept by it. */
const none: readonly never[] = []

/** Every row of a source. */
export function everything(source: Source): QueryState {
  const { model, meta } = source
  if (model === null || meta === null) throw new UsageError('A bare table has no model to query.')
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
    keys: null,
    call: noOptions,
  }
}
