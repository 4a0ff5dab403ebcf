// Runs a folder of migrations: once, or once for each schema or database of a tenant.
import { type Db } from '../db/db.ts'
import { currentChain, openTransaction } from '../engine/context/chain.ts'
import { placeAround } from '../engine/context/place.ts'
import type { Engine } from '../engine/engine.ts'
import { MigrationError, TransactionStateError, UsageError } from '../errors/index.ts'
import { type Folder, readFolder } from './folder.ts'
import {
  type AppliedMigration,
  type FailedMigration,
  type MigrateOptions,
  type MigrateReport,
  type MigrationDrift,
  type MigrationPlace,
  type MigrationStatus,
  type PendingMigration,
  readMigrateOptions,
} from './options.ts'
import { statementsOf as mysqlStatementsOf } from '../mysql/classify.ts'
import { statementsOf } from '../postgres/lexer.ts'
import { checkDialect } from '../sql/statement.ts'
import { MysqlRun } from './mysql-run.ts'
import { checkFile } from './mysql-statements.ts'
import { baselinedAt, driftAt } from './record.ts'
import { connectionsEach, TargetRun } from './run.ts'
import { isControl } from './statements.ts'
import { databasesBySettings, databasesOf, nameOf, schemasOf, type Target, withAllSchemas } from './targets.ts'

/**
 * Applies the migrations of a folder that were not applied yet, in their order. The folder is one of drizzle-kit (with a
 * journal, or of 1.0), or has numbered `.sql` files. drizzle-kit's own record is read and written, so you can go on with
 * either tool.
 *
 * Each file is one READ COMMITTED transaction, together with its record. A file with a statement that cannot run in a
 * transaction (CREATE INDEX CONCURRENTLY, VACUUM, …) runs statement by statement. A run of it that was cut off goes on where
 * it ended. Only one run at a time works on one record. Others wait, and then find nothing to do.
 *
 * With `schemas` or `databases` it rejects with the first failure. If `onError` is `continue`, the failures are in the
 * report instead.
 *
 * @throws {MigrationError} when a file fails (`cause` says why), cannot be read, has changed or is missing.
 * @throws {MigrationError} when the lock cannot be taken.
 * @throws {QueryError} on MySQL, when the database that a tenant has by its settings does not exist.
 * @throws {TransactionStateError} inside of a transaction.
 * @throws {InvalidOptionError}, {ConnectError}
 */
export async function migrate(db: Db, options: MigrateOptions): Promise<MigrateReport> {
  const all = await begin(db, options, 'migrate()')
  const applied: AppliedMigration[] = []
  const baselined: PendingMigration[] = []
  const upToDate: MigrationPlace[] = []
  const failed: FailedMigration[] = []
  const drift: MigrationDrift[] = []
  await all.each(
    async (run, { database, schema }) => {
      const done = await run.apply()
      drift.push(...done.drift)
      applied.push(...done.applied)
      baselined.push(...done.baselined)
      if (done.applied.length + done.baselined.length === 0) upToDate.push({ database, schema })
    },
    ({ database, schema }, error) => failed.push({ database, schema, error }),
  )
  return { applied, baselined, upToDate, failed, drift }
}

/**
 * Reports what `migrate` would do. It applies nothing, makes no table and takes no lock.
 *
 * @throws the errors of `migrate`, except for drift, which is in the report.
 */
export async function migrationStatus(db: Db, options: MigrateOptions): Promise<MigrationStatus> {
  const all = await begin(db, options, 'migrationStatus()')
  const pending: PendingMigration[] = []
  const baselined: PendingMigration[] = []
  const upToDate: MigrationPlace[] = []
  const failed: FailedMigration[] = []
  const drift: MigrationDrift[] = []
  await all.each(
    async (run, target) => {
      const plan = await run.planned()
      if (plan.pending.length + plan.baselined.length === 0) upToDate.push(target)
      pending.push(...plan.pending.map(({ name }) => ({ ...target, file: name })))
      baselined.push(...baselinedAt(target, plan.baselined))
      drift.push(...driftAt(target, plan))
    },
    ({ database, schema }, error) => failed.push({ database, schema, error }),
  )
  return { pending, baselined, upToDate, failed, drift }
}

async function begin(db: Db, given: MigrateOptions, of: string): Promise<AllTargets> {
  const read = readMigrateOptions(given, of)
  const engine = await db.engineHere()
  const onMysql = engine.dialect.name === 'mysql'
  if (onMysql) refuseSchemas(read, of)
  else checkDialect('postgres', engine.dialect)
  const options = await withAllSchemas(db, read)
  if (openTransaction(engine, currentChain()) !== null)
    throw new TransactionStateError(`${of} cannot run inside of a transaction: each file is one. Call it outside.`)
  if (placeAround(db.token(), currentChain())?.own)
    throw new TransactionStateError(
      `${of} cannot run inside of withTenant() or withSchema(). Call it outside, and name the schemas by the option schemas: ['…'].`,
    )
  const folder = await readFolder(options.folder, onMysql ? mysqlStatementsOf : statementsOf)
  const { baseline } = options
  if (baseline !== undefined && !folder.migrations.some(({ name }) => name === baseline))
    throw new MigrationError(`The folder has no migration ${baseline}, which the option baseline names.`, {
      outcome: 'not_started',
    })
  if (onMysql) {
    for (const migration of folder.migrations) checkFile(migration)
    return new AllTargets(db, folder, options)
  }
  for (const { name, statements } of folder.migrations)
    if (statements.some(isControl))
      throw new MigrationError(
        `${name} contains transaction control such as BEGIN or COMMIT, but each file is one transaction already. Take it out.`,
        { outcome: 'not_started' },
      )
  return new AllTargets(db, folder, options)
}

/** @throws {UsageError} */
function refuseSchemas({ schemas, shared, table }: MigrateOptions, of: string): void {
  const given = { schemas, shared, 'table.schema': table?.schema }
  for (const [name, value] of Object.entries(given))
    if (value !== undefined)
      throw new UsageError(
        `${of} has no ${name} on MySQL and MariaDB, where a tenant has a database. Give the databases by the option databases.`,
      )
}

type Run = TargetRun | MysqlRun
type Work = (run: Run, target: Target) => Promise<void>
type Failed = (target: Target, error: Error) => void

class AllTargets {
  readonly #db: Db
  readonly #folder: Folder
  readonly #options: MigrateOptions

  constructor(db: Db, folder: Folder, options: MigrateOptions) {
    this.#db = db
    this.#folder = folder
    this.#options = options
  }

  /** For each place, some at once; the first error ends it when those that run have ended, unless failures are collected. */
  each(work: Work, failed: Failed): Promise<void> {
    const { concurrency = 1, databases } = this.#options
    return this.#db.detached(async () => {
      if (databases === undefined) return this.#inDatabase(this.#db, null, concurrency, work, failed)
      const engine = await this.#db.engineHere()
      const bySettings = await databasesBySettings(this.#db, engine, databases)
      if (bySettings !== null)
        return this.#some(bySettings, Math.min(concurrency, engine.options.pool.max), (name) => {
          const target = { database: nameOf(engine, name), schema: null }
          const run = new MysqlRun(this.#db, target, this.#folder, this.#options, name)
          return this.#try(target, true, failed, () => work(run, target))
        })
      const sources = await databasesOf(this.#db, databases)
      return this.#some(sources, concurrency, async ({ name, open }) => {
        const target = { database: name, schema: null }
        await this.#try(target, true, failed, async () => {
          await using opened = open()
          await opened.open()
          await this.#inDatabase(opened, name, 1, work, failed)
        })
      })
    })
  }

  async #inDatabase(db: Db, database: string | null, concurrency: number, work: Work, failed: Failed): Promise<void> {
    const engine = await db.engineHere()
    checkDialect((await this.#db.engineHere()).dialect.family, engine.dialect)
    const schemas = await schemasOf(db, this.#options)
    const { pool, pooler } = engine.options
    const each = connectionsEach(pooler !== undefined && this.#options.schemas !== undefined)
    const atOnce = Math.max(1, Math.min(concurrency, Math.floor(pool.max / each)))
    await this.#some(schemas, atOnce, (schema) => {
      const target = { database, schema }
      return this.#try(target, schema !== null, failed, () => work(this.#run(db, engine, target), target))
    })
  }

  #run(db: Db, engine: Engine, target: Target): Run {
    if (engine.dialect.name === 'mysql') return new MysqlRun(db, target, this.#folder, this.#options)
    return new TargetRun(db, engine, target, this.#folder, this.#options)
  }

  async #try(target: Target, oneOfSeveral: boolean, failed: Failed, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!oneOfSeveral || this.#options.onError !== 'continue') throw error
      failed(target, error as Error)
    }
  }

  async #some<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
    const left = [...items]
    const failures: unknown[] = []
    const worker = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined && failures.length === 0; next = left.shift())
        await work(next).catch((error: unknown) => failures.push(error))
    }
    await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
    if (failures.length > 0) throw failures[0]
  }
}
