// The objects that statements run on, as interfaces, for the code that makes statements, sends them and gives out their rows. That code
// knows no class of an engine, db, connection or transaction. The class that users see is `Executor`.
import type { Compiled } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Params } from '../../sql/statement.ts'
import type { Link } from '../context/chain.ts'
import type { Enclosing, Handle, Settings } from '../context/frame.ts'
import type { EngineCore, Limits, QueryDefaults } from '../core.ts'
import type { Watch } from '../watch.ts'
import type { Slot, TransactionPlace } from '../slot/slot.ts'
import type { TransactionTerms } from '../transaction/terms.ts'
import type { CursorTransaction, CursorWait, UnplacedCursor } from './cursor-transaction.ts'
import type { EngineOp } from './op.ts'

/** The engine, for that code. */
export interface StatementEngine extends EngineCore {
  readonly watch: Watch | null
  readonly runtime: EngineCore['runtime'] & {
    /** `from`: the chain of the code that pulls first. */
    openCursorTransaction(
      engine: StatementEngine,
      runner: Runner,
      cursor: UnplacedCursor,
      from: Link | undefined,
      wait: Omit<CursorWait, 'reads'>,
      stmt: Compiled,
    ): CursorTransaction | Promise<CursorTransaction>
  }
  transact<T>(where: TransactionPlace, work: (tx: Runner) => Promise<T> | T, options: TransactionTerms): Promise<T>
}

/** The methods are described at `Executor`. */
export interface Runner {
  at(on: Runner): Runner
  runsOn(engine: EngineCore): boolean
  engineHere(whole?: boolean): StatementEngine | Promise<StatementEngine>
  engineQuietly(): EngineCore | null
  send(op: EngineOp): void
  slotHere(engine: EngineCore, chain: Link | undefined): Slot | null
  placeHere(reuse: boolean, engine: EngineCore): TransactionPlace
  transactionHere(): Enclosing | null
  settingsHere(): Settings | null
  chainHere(): Link | undefined
  handleHere(): Handle | null
  defaultsHere(engine?: EngineCore, chain?: Link): QueryDefaults | null
  dialectHere(): Dialect
}

/** An engine or a db: it follows the context. */
export interface AmbientRunner<E extends StatementEngine = StatementEngine> extends Runner {
  engineHere(): E | Promise<E>
  /** The `Db` frames are opened through; null for an engine. */
  token(): object | null
  scope<T>(work: () => Promise<T> | T): Promise<T>
  detached<T>(work: () => Promise<T> | T): Promise<T>
  transaction<T>(work: () => Promise<T> | T): Promise<T>
  scalar<V>(text: string, params: Params, options: Limits): Promise<V | undefined>
}
