// A Kysely whose callbacks run in frames of ours: what it opens is ambient inside. Only what Kysely documents is
// overridden: the builders of transactions and connections, and the methods that make copies.
import {
  type Dialect,
  type DrainOuterGeneric,
  Kysely,
  type KyselyPlugin,
  type KyselyProps,
  type LogConfig,
  type QueryExecutor,
  Transaction as KyselyTransaction,
  ConnectionBuilder,
  type AccessMode,
  type IsolationLevel,
  TransactionBuilder,
  type TransactionSettings,
} from 'kysely'
import { callOptions, needsExecutor } from '../../engine/handle.ts'
import type { Transaction } from '../../engine/transaction/transaction.ts'
import { must, type Checks } from '../../util/options.ts'
import { statementDialect } from './dialect/dialect.ts'
import { GeneverDriver, optionsOf } from './dialect/driver.ts'
import { traced } from './plugins.ts'
import { type KyselySource, statementsOf } from './dialect/source.ts'
import { Source } from '../../engine/source.ts'
import type { Abortable } from './dialect/connection.ts'

/** Options of Kysely besides its dialect. */
export interface KyselyOptions {
  readonly plugins?: readonly KyselyPlugin[] | undefined
  /** Kysely's own option. Channels of `node:diagnostics_channel` see the statements too. */
  readonly log?: LogConfig | undefined
}

const checks: Checks<KyselyOptions> = {
  plugins: must('a list of plugins', (value) => Array.isArray(value)),
  log: must('a list of events, or a function', (value) => Array.isArray(value) || typeof value === 'function'),
}

/**
 * A Kysely on a database of Genever, or on one of its connections or transactions.
 *
 * - Statements run on the ambient connection, or on a free one. Values are decoded as everywhere in Genever, and errors are
 *   Genever's.
 * - `transaction().execute(work)` is `db.transaction(work)`. It is ambient inside, a savepoint within another, and rolled
 *   back when `work` throws.
 * - `connection().execute(work)` is `db.scope(work)`. `startTransaction()` is `db.begin()`.
 * - Nothing is borrowed before the first statement, and `destroy()` does not close the database.
 */
export function kysely<DB>(source: KyselySource, given?: KyselyOptions): Kysely<DB> {
  const options = callOptions<KyselyOptions>(given, checks, 'kysely()')
  return new ScopedKysely<DB>(needsExecutor(source, 'kysely()'), options)
}

class ScopedKysely<DB> extends Kysely<DB> {
  readonly #source: KyselySource
  readonly #options: KyselyOptions
  readonly #dialect: Dialect

  /** With an executor it is a copy that differs in its plugins only. */
  constructor(source: KyselySource, options: KyselyOptions, executor?: QueryExecutor) {
    const dialect = statementDialect(source)
    const config = configOf(dialect, options)
    super(executor === undefined ? config : propsOf(source, dialect, options, executor))
    this.#source = source
    this.#options = options
    this.#dialect = dialect
  }

  override transaction(): ScopedTransactionBuilder<DB> {
    const props = propsOf(this.#source, this.#dialect, this.#options, this.getExecutor())
    return new ScopedTransactionBuilder<DB>(props, this.#source, (tx) => this.#inside(tx))
  }

  override connection(): ScopedConnectionBuilder<DB> {
    const props = propsOf(this.#source, this.#dialect, this.#options, this.getExecutor())
    return new ScopedConnectionBuilder<DB>(props, this.#source, (connection) => this.#on(connection))
  }

  override withPlugin(plugin: KyselyPlugin): Kysely<DB> {
    return this.#copy(super.withPlugin(traced(plugin)))
  }

  override withoutPlugins(): Kysely<DB> {
    return this.#copy(super.withoutPlugins())
  }

  override withSchema(schema: string): Kysely<DB> {
    return this.#copy(super.withSchema(schema))
  }

  override withTables<T extends Record<string, Record<string, unknown>>>(): Kysely<DrainOuterGeneric<DB & T>> {
    return this.#copy(this as unknown as Kysely<DrainOuterGeneric<DB & T>>)
  }

  override $extendTables<T extends Record<string, Record<string, unknown>>>(): Kysely<DrainOuterGeneric<DB & T>> {
    return this.#copy(this as unknown as Kysely<DrainOuterGeneric<DB & T>>)
  }

  override $omitTables<T extends keyof DB>(): Kysely<DB extends object ? Omit<DB, T> : DB> {
    return this.#copy(this as unknown as Kysely<DB extends object ? Omit<DB, T> : DB>)
  }

  override $pickTables<T extends keyof DB>(): Kysely<DB extends object ? Pick<DB, T> : DB> {
    return this.#copy(this as unknown as Kysely<DB extends object ? Pick<DB, T> : DB>)
  }

  #copy<T>(other: Kysely<T>): Kysely<T> {
    return new ScopedKysely<T>(this.#source, this.#options, other.getExecutor())
  }

  /** The same plugins and log on another source: a Kysely of its own, whose plugins are traced already. */
  #on(source: KyselySource): ScopedKysely<DB> {
    return new ScopedKysely<DB>(source, { ...this.#options, plugins: this.getExecutor().plugins })
  }

  #inside(tx: Transaction): KyselyTransaction<DB> {
    const { plugins } = this.getExecutor()
    const inner = this.#on(tx)
    return new KyselyTransaction<DB>(propsOf(tx, inner.#dialect, { ...this.#options, plugins }, inner.getExecutor()))
  }
}

function configOf(dialect: Dialect, { plugins, log }: KyselyOptions): KyselyProps['config'] {
  return {
    dialect,
    ...(plugins === undefined ? {} : { plugins: plugins.map(traced) }),
    ...(log === undefined ? {} : { log }),
  }
}

function propsOf(source: KyselySource, dialect: Dialect, options: KyselyOptions, executor: QueryExecutor): KyselyProps {
  const driver = new GeneverDriver(async () => statementsOf(source))
  return { config: configOf(dialect, options), dialect, driver, executor }
}

type On<DB> = (source: KyselySource) => Kysely<DB>

class ScopedConnectionBuilder<DB> extends ConnectionBuilder<DB> {
  readonly #source: KyselySource
  readonly #on: On<DB>

  constructor(props: KyselyProps, source: KyselySource, on: On<DB>) {
    super(props)
    this.#source = source
    this.#on = on
  }

  /** A signal that has aborted already is the only one to matter: nothing is waited for before `callback` is called. */
  override async execute<T>(callback: (db: Kysely<DB>) => Promise<T>, options?: Abortable): Promise<T> {
    options?.signal?.throwIfAborted()
    const source = this.#source
    if (source instanceof Source) return source.scope((connection) => callback(this.#on(connection)))
    return source.run(() => callback(this.#on(source)))
  }
}

type Inside<DB> = (tx: Transaction) => KyselyTransaction<DB>

class ScopedTransactionBuilder<DB> extends TransactionBuilder<DB> {
  readonly #props: KyselyProps
  readonly #source: KyselySource
  readonly #inside: Inside<DB>
  readonly #settings: TransactionSettings

  constructor(props: KyselyProps, source: KyselySource, inside: Inside<DB>, settings: TransactionSettings = {}) {
    super(props)
    this.#props = props
    this.#source = source
    this.#inside = inside
    this.#settings = settings
  }

  override setAccessMode(accessMode: AccessMode): ScopedTransactionBuilder<DB> {
    return this.#with({ ...this.#settings, accessMode })
  }

  override setIsolationLevel(isolationLevel: IsolationLevel): ScopedTransactionBuilder<DB> {
    return this.#with({ ...this.#settings, isolationLevel })
  }

  override execute<T>(callback: (trx: KyselyTransaction<DB>) => Promise<T>): Promise<T> {
    return this.#source.transaction((tx) => callback(this.#inside(tx)), optionsOf(this.#settings))
  }

  #with(settings: TransactionSettings): ScopedTransactionBuilder<DB> {
    return new ScopedTransactionBuilder<DB>(this.#props, this.#source, this.#inside, settings)
  }
}
