// Runs a folder of migrations, once or once for each tenant's schema: each file exactly once, whoever else runs them.
import { type Db } from '../db/db.ts'
import type { Connection } from '../engine/connection.ts'
import { currentChain, openTransaction } from '../engine/context/chain.ts'
import { GeneverError, MigrationError, TransactionStateError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { type Folder, type Migration, readFolder } from './folder.ts'
import { MigrationLock, waitForLock } from './lock.ts'
import {
  type AppliedMigration,
  type FailedMigration,
  type MigrateOptions,
  type MigrateReport,
  type MigrationDrift,
  type MigrationStatus,
  type PendingMigration,
  readMigrateOptions,
} from './options.ts'
import { MigrationRecord, type Plan } from './record.ts'
import { createdNames, inSchema, isControl } from './statements.ts'
import { needsSteps, runSteps } from './steps.ts'
import { pathOf, targetsOf } from './targets.ts'

const defaultLockMs = 60_000

/**
 * Applies the migrations of a folder that were not applied yet, in their order. Folders of drizzle-kit (with a journal, and of
 * 1.0) and numbered `.sql` files are understood; drizzle-kit's own record is read and written, so that either tool can go on.
 *
 * Each file is one transaction, together with its record. A file with a statement that refuses a transaction (CREATE INDEX
 * CONCURRENTLY, VACUUM, …) runs statement by statement, and a run that was cut off goes on where it ended. Only one run at a
 * time works on one record; others wait, then find nothing to do.
 *
 * With `schemas` it rejects with the first failure, unless `onError` is `continue`: then failures are in the report.
 *
 * @throws {MigrationError} when a file fails (`cause` says why), cannot be read, has changed or is missing, or the lock cannot be had.
 * @throws {TransactionStateError} inside of a transaction.
 * @throws {InvalidOptionError}, {ConnectError}
 */
export async function migrate(db: Db, options: MigrateOptions): Promise<MigrateReport> {
  const run = await begin(db, options, 'migrate()')
  const report = {
    applied: [] as AppliedMigration[],
    upToDate: [] as (string | null)[],
    failed: [] as FailedMigration[],
  }
  const drift: MigrationDrift[] = []
  await run.each(async (target) => {
    try {
      const done = await run.apply(target)
      drift.push(...done.drift)
      report.applied.push(...done.applied)
      if (done.applied.length === 0) report.upToDate.push(target)
    } catch (error) {
      if (target === null || run.options.onError !== 'continue') throw error
      report.failed.push({ schema: target, error: error as Error })
    }
  })
  return { ...report, drift }
}

/** What `migrate` would find: nothing is applied, no table is made, no lock is taken. */
export async function migrationStatus(db: Db, options: MigrateOptions): Promise<MigrationStatus> {
  const run = await begin(db, options, 'migrationStatus()')
  const pending: PendingMigration[] = []
  const upToDate: (string | null)[] = []
  const drift: MigrationDrift[] = []
  await run.each(async (target) => {
    const plan = await run.planned(target)
    if (plan.pending.length === 0) upToDate.push(target)
    pending.push(...plan.pending.map(({ name }) => ({ schema: target, file: name })))
    drift.push(...plan.drift.map((each) => ({ schema: target, ...each })))
  })
  return { pending, upToDate, drift }
}

async function begin(db: Db, given: MigrateOptions, of: string): Promise<Run> {
  const options = readMigrateOptions(given, of)
  const engine = await db.engineHere()
  if (openTransaction(engine, currentChain()) !== null)
    throw new TransactionStateError(`${of} cannot run inside of a transaction: each file is one. Call it outside.`)
  const folder = await readFolder(options.folder)
  for (const { name, statements } of folder.migrations)
    if (statements.some(isControl))
      throw new MigrationError(
        `${name} holds BEGIN, COMMIT or the like: a file is one transaction already. Take it out.`,
        {
          outcome: 'not_started',
        },
      )
  return new Run(db, engine.options.pool.max, folder, options)
}

class Run {
  readonly options: MigrateOptions
  readonly #db: Db
  readonly #folder: Folder
  /** There is no second connection for the lock. */
  readonly #alone: boolean
  readonly #atOnce: number
  readonly #created: ReadonlySet<string>
  #version = 0

  constructor(db: Db, connections: number, folder: Folder, options: MigrateOptions) {
    this.options = options
    this.#db = db
    this.#folder = folder
    this.#alone = connections < 2
    // Each schema has two connections: one holds the lock.
    this.#atOnce = this.#alone ? 1 : Math.min(options.concurrency ?? 1, Math.floor(connections / 2))
    this.#created = createdNames(folder.migrations.flatMap(({ statements }) => statements))
  }

  /** For each schema, some at once; the first error ends it when those that run have ended. */
  async each(work: (target: string | null) => Promise<void>): Promise<void> {
    return this.#db.detached(async () => {
      const targets = await targetsOf(this.#db, this.options)
      const failures: unknown[] = []
      const worker = async (): Promise<void> => {
        for (let next = targets.shift(); next !== undefined && failures.length === 0; next = targets.shift())
          await work(next).catch((error: unknown) => failures.push(error))
      }
      await Promise.all(Array.from({ length: this.#atOnce }, worker))
      if (failures.length > 0) throw failures[0]
    })
  }

  planned(target: string | null): Promise<Plan> {
    return this.#in(target, (connection) => this.#record(target).plan(connection))
  }

  async apply(target: string | null): Promise<{ applied: AppliedMigration[]; drift: MigrationDrift[] }> {
    const record = this.#record(target)
    if (this.options.dryRun === true) {
      const plan = await this.planned(target)
      this.#refuseDrift(plan, target)
      const applied = plan.pending.map(({ name, statements }) => ({ schema: target, file: name, ms: 0, statements }))
      return { applied, drift: driftOf(plan, target) }
    }
    const lockMs = this.options.lockTimeoutMs ?? defaultLockMs
    await using lock = await MigrationLock.take(this.#db, record.path, this.#alone, lockMs, this.options.signal)
    // Awaited here: the lock is given back at the end of this block.
    return await this.#in(target, async (connection) => {
      this.#version ||= (await connection.scalar<number>("select current_setting('server_version_num')::int")) ?? 0
      await record.prepare(connection)
      const plan = await record.plan(connection)
      this.#refuseDrift(plan, target)
      const applied: AppliedMigration[] = []
      for (const migration of plan.pending) {
        await lock.check()
        const started = clock.now()
        const tell = (statement: number): void => {
          this.options.signal?.throwIfAborted()
          this.options.onProgress?.({
            schema: target,
            file: migration.name,
            statement: statement + 1,
            statements: migration.statements.length,
            done: applied.length,
            total: plan.pending.length,
          })
        }
        const statements = await this.#runFile(connection, record, migration, target, tell)
        if (statements !== null)
          applied.push({ schema: target, file: migration.name, ms: clock.now() - started, statements })
      }
      return { applied, drift: driftOf(plan, target) }
    })
  }

  /** Null: another run has applied it meanwhile. */
  async #runFile(
    connection: Connection,
    record: MigrationRecord,
    migration: Migration,
    target: string | null,
    tell: (statement: number) => void,
  ): Promise<readonly string[] | null> {
    const shared = this.options.shared ?? []
    const statements =
      target === null
        ? migration.statements
        : migration.statements.map((each) => inSchema(each, target, this.#created, shared, migration.name))
    let at = 0
    const begins = (statement: number): void => {
      at = statement
      tell(statement)
    }
    try {
      if (needsSteps(statements, this.#version)) {
        await runSteps(connection, { path: record.stepsPath, hash: migration.hash, statements, begins })
        await connection.transaction(async (tx) => {
          await record.add(tx, migration)
          await tx.status(`delete from ${record.stepsPath} where hash = $1`, [migration.hash])
        })
        return statements
      }
      return await connection.transaction(async (tx) => {
        if (this.#alone) {
          await waitForLock(tx, record.path, this.options.lockTimeoutMs ?? defaultLockMs, this.options.signal)
          if (!(await record.plan(tx)).pending.some(({ name }) => name === migration.name)) return null
        }
        for (const [index, statement] of statements.entries()) {
          begins(index)
          await tx.status(statement)
        }
        await record.add(tx, migration)
        return statements
      })
    } catch (error) {
      if (error instanceof MigrationError || this.options.signal?.aborted === true) throw error
      throw failed(migration, at, target, error)
    }
  }

  #refuseDrift({ drift }: Plan, target: string | null): void {
    const allowed: readonly string[] = this.options.allow ?? []
    const wrong = drift.filter(({ kind }) => kind !== 'out-of-order' && !allowed.includes(kind))
    if (wrong.length === 0) return
    const list = wrong.map(({ file, kind }) =>
      kind === 'changed' ? `${file} has changed since it was applied` : `${file} was applied and is not in the folder`,
    )
    throw new MigrationError(
      `${where(target)}${list.join('; ')}. Nothing was applied. Bring the files back, or let it pass by the option allow.`,
      { outcome: 'not_started' },
    )
  }

  #record(target: string | null): MigrationRecord {
    return new MigrationRecord(this.#folder, this.options, target)
  }

  #in<T>(target: string | null, work: (connection: Connection) => Promise<T>): Promise<T> {
    if (target === null) return this.#db.scope(work, { reuse: false })
    const settings = { search_path: pathOf(target, this.options.shared ?? []) }
    return this.#db.scope(work, { reuse: false, settings })
  }
}

function driftOf({ drift }: Plan, target: string | null): MigrationDrift[] {
  return drift.map((each) => ({ schema: target, ...each }))
}

function where(target: string | null): string {
  return target === null ? '' : `In the schema ${JSON.stringify(target)}: `
}

function failed({ name, statements }: Migration, at: number, target: string | null, cause: unknown): MigrationError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const outcome = cause instanceof GeneverError ? cause.outcome : 'unknown'
  return new MigrationError(
    `${where(target)}Migration ${name} failed at statement ${at + 1} of ${statements.length}: ${reason}`,
    { cause, outcome },
  )
}
