// The code that runs an engine. Handles reach it through the engine, so it is loaded with the first one that is opened, and `import
// 'genever'` loads none of it.
import type { Compiled } from '../sql/compiled.ts'
import type { LeakWatch } from '../observe/reports.ts'
import type { StatementCache } from '../sql/compile.ts'
import type { Ticker } from '../util/ticker.ts'
import type { LockKey } from '../sql/dialect.ts'
import type { ListeningConnection } from './client/listening-connection.ts'
import type { Hear, Listener, ListenOptions } from './client/listener.ts'
import type { LockOptions } from './client/lock.ts'
import type { Link } from './context/chain.ts'
import type { Frame, Settings } from './context/frame.ts'
import type { TransactionStateError } from '../errors/index.ts'
import type { Functions } from './functions.ts'
import type { Hosts } from './hosts/hosts.ts'
import type { Position, reached } from './hosts/position.ts'
import type { noteReadOnly } from './hosts/read-only.ts'
import type { openReads, readsAlone } from './hosts/route.ts'
import type { AmbientRunner, Runner, StatementEngine } from './query/runner.ts'
import type { EngineOp } from './query/op.ts'
import type { QueryOptions } from './query/query-options.ts'
import type { mayRunAnywhere, sessionStateRefused } from './slot/frameless.ts'
import type { lend } from './slot/control.ts'
import type { checkLendable, childOf } from './slot/queues.ts'
import type { Slot, TransactionPlace } from './slot/slot.ts'
import type { switchOps } from './switching.ts'
import type { stateOf } from './transaction/ended.ts'
import type { commit, finish, hooksFailed, rollback, windUp } from './transaction/ending.ts'
import type { TransactionOptions } from './transaction/options.ts'
import type { ManualTransaction, Transaction } from './transaction/transaction.ts'
import type { joinTwins, leaveTwins, tellOfTwin } from './twins.ts'
import type { Watch } from './watch.ts'

/** The code for statements that stand alone. */
export interface BaseRuntime {
  readonly StatementCache: typeof StatementCache
  readonly Ticker: typeof Ticker
  readonly LeakWatch: typeof LeakWatch
  readonly Watch: typeof Watch
  readonly Functions: typeof Functions
  readonly noteReadOnly: typeof noteReadOnly
  readonly switchOps: typeof switchOps
  readonly mayRunAnywhere: typeof mayRunAnywhere
  readonly sessionStateRefused: typeof sessionStateRefused
  readonly joinTwins: typeof joinTwins
  readonly leaveTwins: typeof leaveTwins
  readonly tellOfTwin: typeof tellOfTwin
  /** Whether all of `EngineRuntime` is there. */
  readonly whole: boolean
}

/** The code of an engine: all of it. */
export interface EngineRuntime extends BaseRuntime {
  readonly ListeningConnection: typeof ListeningConnection
  readonly Slot: typeof Slot
  readonly askPosition: (runner: Runner) => Promise<Position>
  readonly reached: typeof reached
  readonly openReads: typeof openReads
  readonly readsAlone: typeof readsAlone
  readonly lend: typeof lend
  readonly runManaged: <T>(
    engine: RunningEngine,
    where: TransactionPlace,
    work: (tx: Transaction) => Promise<T> | T,
    options: TransactionOptions,
  ) => Promise<T>
  readonly beginManual: (
    engine: RunningEngine,
    where: TransactionPlace,
    options: TransactionOptions,
  ) => Promise<ManualTransaction>
  readonly openCursorTransaction: StatementEngine['runtime']['openCursorTransaction']
  readonly checkLendable: typeof checkLendable
  readonly childOf: typeof childOf
  readonly commit: typeof commit
  readonly rollback: typeof rollback
  readonly finish: typeof finish
  readonly hooksFailed: typeof hooksFailed
  readonly windUp: typeof windUp
  readonly stateOf: typeof stateOf
  readonly lock: <T>(
    source: AmbientRunner<RunningEngine>,
    key: LockKey,
    work: () => Promise<T> | T,
    given: LockOptions | undefined,
  ) => Promise<T | undefined>
  readonly listen: (
    source: AmbientRunner<RunningEngine>,
    channel: string,
    work: Hear | undefined,
    given: ListenOptions | undefined,
  ) => Promise<Listener>
  readonly notify: (
    source: AmbientRunner<RunningEngine>,
    channel: string,
    payload: string,
    given: QueryOptions | undefined,
  ) => Promise<void>
}

/** The purpose of a slot. Default: a transaction, which says in messages where it was begun. */
export interface SlotTerms {
  /** Its maker, for messages. */
  readonly what: string
  /** Made by `acquire()`: the user may type transaction control on it. */
  readonly explicit: boolean
  /** The settings on top of those around it. Never left out: a missing member would be read from `Object.prototype`. */
  readonly settings: Settings | undefined
}

/** The engine, for its handles and the code that runs it. */
export interface RunningEngine extends StatementEngine {
  readonly runtime: EngineRuntime
  readonly hosts: Hosts | null
  openListening(): ListeningConnection
  /** Whether INSERT and DELETE give their rows on each of its servers; null: not known yet. */
  readonly returning: boolean | null
  transact<T>(
    where: TransactionPlace,
    work: (tx: Transaction) => Promise<T> | T,
    options: TransactionOptions,
  ): Promise<T>
  beginOn(where: TransactionPlace, options: TransactionOptions): Promise<ManualTransaction>
  openSlot(chain: Link | undefined, terms?: SlotTerms): Slot
  closeSlot(slot: Slot): Promise<void> | null
  endScope(slot: Slot): void
  sendAmbient(op: EngineOp): void
  warnOfManual(frame: Frame): void
  controlRefused(stmt: Compiled): TransactionStateError
}
