// What runs an engine. Handles reach it through the engine, so it is loaded with the first one that is opened, and `import
// 'genever'` loads none of it.
import type { Compiled } from '../sql/compiled.ts'
import type { LeakWatch } from '../observe/reports.ts'
import type { StatementCache } from '../sql/compile.ts'
import type { LockKey } from '../sql/dialect.ts'
import type { ClientSource } from './client/client-source.ts'
import type { Ear } from './client/ear.ts'
import type { Hear, Listener, ListenOptions } from './client/listener.ts'
import type { LockOptions } from './client/lock.ts'
import type { Link } from './context/chain.ts'
import type { Engine } from './engine.ts'
import type { Functions } from './functions.ts'
import type { sumOf } from './hosts/hosts.ts'
import type { Position, reached } from './hosts/position.ts'
import type { narrow, openReads, readsAlone } from './hosts/route.ts'
import type { CursorHome, CursorWait } from './query/cursor-home.ts'
import type { Cursor } from './query/cursor.ts'
import type { Executor } from './query/executor.ts'
import type { QueryOptions } from './query/query-options.ts'
import type { sessionStateRefused } from './slot/admission.ts'
import type { idleOn, lend } from './slot/control.ts'
import type { mayRunAnywhere } from './slot/reach.ts'
import type { Slot } from './slot/slot.ts'
import type { switchOps } from './switching.ts'
import type { stateOf } from './transaction/ended.ts'
import type { commit, finish, hooksFailed, rollback, windUp } from './transaction/ending.ts'
import type { TransactionOptions } from './transaction/options.ts'
import type { TransactionPlace } from './transaction/terms.ts'
import type { ManualTransaction, Transaction } from './transaction/transaction.ts'
import type { joinTwins, leaveTwins, tellOfTwin } from './twins.ts'

export interface Works {
  readonly StatementCache: typeof StatementCache
  readonly LeakWatch: typeof LeakWatch
  readonly Ear: typeof Ear
  readonly Functions: typeof Functions
  readonly Slot: typeof Slot
  readonly switchOps: typeof switchOps
  readonly mayRunAnywhere: typeof mayRunAnywhere
  readonly sessionStateRefused: typeof sessionStateRefused
  readonly joinTwins: typeof joinTwins
  readonly leaveTwins: typeof leaveTwins
  readonly tellOfTwin: typeof tellOfTwin
  readonly sumOf: typeof sumOf
  readonly askPosition: (executor: Executor) => Promise<Position>
  readonly reached: typeof reached
  readonly narrow: typeof narrow
  readonly openReads: typeof openReads
  readonly readsAlone: typeof readsAlone
  readonly idleOn: typeof idleOn
  readonly lend: typeof lend
  readonly runManaged: <T>(
    engine: Engine,
    where: TransactionPlace,
    work: (tx: Transaction) => Promise<T> | T,
    options: TransactionOptions,
  ) => Promise<T>
  readonly beginManual: (
    engine: Engine,
    where: TransactionPlace,
    options: TransactionOptions,
  ) => Promise<ManualTransaction>
  readonly openHome: (
    engine: Engine,
    executor: Executor,
    cursor: Cursor<unknown>,
    from: Link | undefined,
    wait: Omit<CursorWait, 'reads'>,
    stmt: Compiled,
  ) => Promise<CursorHome>
  readonly commit: typeof commit
  readonly rollback: typeof rollback
  readonly finish: typeof finish
  readonly hooksFailed: typeof hooksFailed
  readonly windUp: typeof windUp
  readonly stateOf: typeof stateOf
  readonly lock: <T>(
    source: ClientSource,
    key: LockKey,
    work: () => Promise<T> | T,
    given: LockOptions | undefined,
  ) => Promise<T | undefined>
  readonly listen: (
    source: ClientSource,
    channel: string,
    work: Hear | undefined,
    given: ListenOptions | undefined,
  ) => Promise<Listener>
  readonly notify: (
    source: ClientSource,
    channel: string,
    payload: string,
    given: QueryOptions | undefined,
  ) => Promise<void>
}
