// One run of a folder of migrations in a database of MySQL or MariaDB. DDL commits by itself there, so a file is no transaction: each
// statement is recorded. Before one that cannot be taken back its intent is written down, with what the definition it changes looks
// like; a run that goes on compares.
//
// The session that does the work has the lock (GET_LOCK). A run that was killed therefore keeps it until the server is done with
// what was sent last, and the next one sees the end of it.
import type { Db } from '../db/db.ts'
import type { Connection } from '../engine/connection.ts'
import { MigrationError, QueryCanceledError, QueryError, TransactionStateError } from '../errors/index.ts'
import { currentDatabase } from '../mysql/dialect.ts'
import { explain } from '../mysql/errno.ts'
import { unconverted } from '../sql/conversions.ts'
import { clock } from '../util/clock.ts'
import { failedAt, refuseDrift, unseen } from './failures.ts'
import { digest, type Folder, type Migration } from './folder.ts'
import { waitUntil } from './lock.ts'
import { MysqlRecord } from './mysql-record.ts'
import { kindOf, subjectOf } from './mysql-statements.ts'
import { type AppliedMigration, defaultLockMs, type MigrateOptions } from './options.ts'
import { baselinedAt, driftAt, foreseen, type Outcome, type Plan } from './record.ts'
import { isSandboxed, type Target } from './targets.ts'

export class MysqlRun {
  readonly #db: Db
  readonly #target: Target
  readonly #folder: Folder
  readonly #options: MigrateOptions
  readonly #where: { readonly settings?: Readonly<Record<string, string>> }

  /** @param database Where it works, on a connection of the pool; null: in that of the connection. */
  constructor(db: Db, target: Target, folder: Folder, options: MigrateOptions, database: string | null = null) {
    this.#db = db
    this.#target = target
    this.#folder = folder
    this.#options = options
    this.#where = database === null ? {} : { settings: { [currentDatabase]: database } }
  }

  /** What would be done. Reads only. */
  planned(): Promise<Plan> {
    return this.#in(async (connection) => (await this.#record(connection)).plan(connection))
  }

  async apply(): Promise<Outcome> {
    if (this.#options.dryRun !== true) {
      const engine = await this.#db.engineHere()
      if (isSandboxed(engine))
        throw new TransactionStateError(
          `migrate() cannot run in a sandbox on ${engine.dialect.title}, where DDL commits by itself. Run it before the sandbox begins.`,
          { outcome: 'not_started' },
        )
      return this.#in((connection) => this.#locked(connection))
    }
    const plan = await this.planned()
    refuseDrift(plan, this.#target, this.#options)
    return foreseen(this.#target, plan)
  }

  #record(connection: Connection): Promise<MysqlRecord> {
    return MysqlRecord.of(connection, this.#folder, this.#options)
  }

  /** One session, from the lock to its end. */
  #in<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#db.scope(work, { reuse: false, hold: true, ...this.#where })
  }

  async #locked(connection: Connection): Promise<Outcome> {
    const record = await this.#record(connection)
    const { lockTimeoutMs = defaultLockMs, signal } = this.#options
    await waitUntil({ lockTimeoutMs, signal }, async () => {
      const got = await connection.scalar('select get_lock(?, 0)', [record.lock], unconverted)
      return Number(got) === 1
    })
    try {
      await record.prepare(connection)
      const plan = await record.plan(connection)
      refuseDrift(plan, this.#target, this.#options)
      if (plan.baselined.length > 0)
        await connection.transaction(async (tx) => {
          for (const migration of plan.baselined) await record.add(tx, migration)
        })
      const applied: AppliedMigration[] = []
      for (const migration of plan.pending) {
        const started = clock.now()
        await this.#runFile(connection, record, migration, applied.length, plan.pending.length)
        const { name, statements } = migration
        applied.push({ ...this.#target, file: name, ms: clock.now() - started, statements })
      }
      return { applied, baselined: baselinedAt(this.#target, plan.baselined), drift: driftAt(this.#target, plan) }
    } finally {
      // A connection that was lost has lost its locks.
      await connection.status('do release_lock(?)', [record.lock]).catch(() => {})
    }
  }

  async #runFile(
    connection: Connection,
    record: MysqlRecord,
    migration: Migration,
    done: number,
    total: number,
  ): Promise<void> {
    const { name, statements } = migration
    const { signal, onProgress } = this.#options
    let at = 0
    try {
      const marks = await record.marks(connection, name)
      for (const [step, statement] of statements.entries()) {
        at = step
        const mark = marks.get(step)
        const text = digest(statement)
        if (mark !== undefined && mark.statement !== text) throw changed(name, step)
        const kind = kindOf(statement)
        if (mark?.done === true && kind !== 'each-time') continue
        signal?.throwIfAborted()
        onProgress?.({ ...this.#target, file: name, statement: step + 1, statements: statements.length, done, total })
        if (kind === 'commits') {
          if (mark !== undefined && (await wasDone(connection, statement, mark.shape)))
            await record.mark(connection, name, step, { ...mark, done: true })
          else await runOnce(connection, record, name, step, statement)
        } else if (kind === 'each-time') await connection.status(statement)
        else
          await connection.transaction(async (tx) => {
            await tx.status(statement)
            await record.mark(tx, name, step, { statement: text, shape: null, done: true })
          })
      }
      await connection.transaction((tx) => record.add(tx, migration))
    } catch (error) {
      if (error instanceof MigrationError || signal?.aborted === true) throw error
      throw failedAt(this.#target, migration, at, error)
    }
  }
}

async function runOnce(
  connection: Connection,
  record: MysqlRecord,
  file: string,
  step: number,
  statement: string,
): Promise<void> {
  const mark = { statement: digest(statement), shape: await shapeOf(connection, statement) }
  await record.mark(connection, file, step, { ...mark, done: false })
  try {
    await connection.status(statement)
  } catch (error) {
    // One that names a single object is done as a whole or not at all, unless it was stopped.
    if (error instanceof QueryError && !(error instanceof QueryCanceledError) && mark.shape !== null)
      await record.unmark(connection, file, step)
    throw error
  }
  await record.mark(connection, file, step, { ...mark, done: true })
}

/** @throws {MigrationError} where nothing shows it. */
async function wasDone(connection: Connection, statement: string, before: string | null): Promise<boolean> {
  const now = await shapeOf(connection, statement)
  if (now === null || before === null) throw unseen(statement)
  return now !== before
}

/** What the definition looks like that a statement changes; `''` where there is none, null where nothing would show. */
async function shapeOf(connection: Connection, statement: string): Promise<string | null> {
  const subject = subjectOf(statement)
  if (subject === 'again') return ''
  if (subject === null) return null
  try {
    const rows = await connection.all(`show create ${subject.kind} ${subject.name}`, [], unconverted)
    // Numbers that were given meanwhile are no part of it.
    return digest(JSON.stringify(rows).replaceAll(/ AUTO_INCREMENT=\d+/g, ''))
  } catch (error) {
    // No such table, procedure, trigger, event, database.
    const kind = error instanceof QueryError ? explain(error.fields).kind : null
    if (kind === 'naming' || kind === 'unknown-object') return ''
    throw error
  }
}

function changed(file: string, step: number): MigrationError {
  return new MigrationError(
    `Statement ${step + 1} of ${file} was begun by a run that did not end, and has changed since. Bring the old one back, and put what is new into a file behind it.`,
    { outcome: 'not_started' },
  )
}
