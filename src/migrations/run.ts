// One run of a folder of migrations in one place: a schema, or a database as it is. Each file exactly once, whoever else runs
// them and wherever a run before was cut off.
//
// A run that was killed may have left sessions that still finish what was sent to them. They hold the lock of a file until
// they are done, so each transaction takes that lock first, and looks again at what is recorded.
import type { Db } from '../db/db.ts'
import type { Connection } from '../engine/connection.ts'
import type { Engine } from '../engine/engine.ts'
import type { Executor } from '../engine/query/executor.ts'
import type { Transaction } from '../engine/transaction/transaction.ts'
import { MigrationError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { unconverted } from '../sql/conversions.ts'
import { failedAt, refuseDrift } from './failures.ts'
import type { Folder, Migration } from './folder.ts'
import { holdForSession, inLock, MigrationLock, type Patience } from './lock.ts'
import { type AppliedMigration, defaultLockMs, type MigrateOptions } from './options.ts'
import { baselinedAt, driftAt, foreseen, MigrationRecord, type Outcome, type Plan } from './record.ts'
import { createdNames, inSchema, isAlone, quoteSchema as quote, tokensOf, type Word } from './statements.ts'
import { needsSteps, runSteps } from './steps.ts'
import { isSandboxed, pathOf, type Target } from './targets.ts'
import { Token } from '../postgres/lexer.ts'
import { doneSql, recordSql } from '../postgres/tool-sql.ts'

/** One connection holds the lock, one works; behind a pooler one more runs in a schema what refuses a transaction. */
export function connectionsEach(schemaBehindPooler: boolean): number {
  return schemaBehindPooler ? 3 : 2
}

export class TargetRun {
  readonly #db: Db
  readonly #engine: Engine
  readonly #target: Target
  readonly #folder: Folder
  readonly #options: MigrateOptions
  readonly #record: MigrationRecord
  /** There is no second connection for the lock. */
  readonly #alone: boolean
  /** It runs in a sandbox. */
  readonly #inSandbox: boolean

  constructor(db: Db, engine: Engine, target: Target, folder: Folder, options: MigrateOptions) {
    this.#db = db
    this.#engine = engine
    this.#target = target
    this.#folder = folder
    this.#options = options
    this.#record = new MigrationRecord(folder, options, target.schema)
    this.#inSandbox = isSandboxed(engine)
    this.#alone = this.#inSandbox || engine.options.pool.max < 2
  }

  /** What would be done. Reads only. */
  planned(): Promise<Plan> {
    return this.#in((connection) => this.#record.plan(connection))
  }

  async apply(): Promise<Outcome> {
    if (this.#options.dryRun === true) {
      const plan = await this.planned()
      refuseDrift(plan, this.#target, this.#options)
      return foreseen(this.#target, plan)
    }
    await using lock = await MigrationLock.take(this.#db, this.#record.path, this.#alone, this.#patience)
    // Awaited here: the lock is given back at the end of this block.
    return await this.#in((connection) => this.#applyOn(connection, lock))
  }

  get #patience(): Patience {
    return { lockTimeoutMs: this.#options.lockTimeoutMs ?? defaultLockMs, signal: this.#options.signal }
  }

  async #applyOn(connection: Connection, lock: MigrationLock): Promise<Outcome> {
    const version = (await connection.scalar<number>(doneSql.version, [], unconverted)) ?? 0
    await this.#locked(connection, (tx) => this.#record.prepare(tx))
    const plan = await this.#record.plan(connection)
    refuseDrift(plan, this.#target, this.#options)
    const baselined = plan.baselined.length === 0 ? [] : await this.#locked(connection, (tx) => this.#baseline(tx))
    const applied: AppliedMigration[] = []
    for (const migration of plan.pending) {
      await lock.check()
      const started = clock.now()
      const begins = (statement: number): void => {
        this.#options.signal?.throwIfAborted()
        this.#options.onProgress?.({
          ...this.#target,
          file: migration.name,
          statement: statement + 1,
          statements: migration.statements.length,
          done: applied.length,
          total: plan.pending.length,
        })
      }
      const statements = await this.#runFile(connection, migration, version, begins)
      if (statements !== null)
        applied.push({ ...this.#target, file: migration.name, ms: clock.now() - started, statements })
    }
    return { applied, baselined: baselinedAt(this.#target, baselined), drift: driftAt(this.#target, plan) }
  }

  /** What no other run has recorded meanwhile. */
  async #baseline(tx: Transaction): Promise<readonly Migration[]> {
    const { baselined } = await this.#record.plan(tx)
    for (const migration of baselined) await this.#record.add(tx, migration)
    return baselined
  }

  /** Null: another run has applied it meanwhile. */
  async #runFile(
    connection: Connection,
    migration: Migration,
    version: number,
    tell: (statement: number) => void,
  ): Promise<readonly string[] | null> {
    const statements = this.#statementsOf(migration)
    let at = 0
    const begins = (statement: number): void => {
      at = statement
      tell(statement)
    }
    try {
      if (needsSteps(statements, version))
        return await this.#runSteps(connection, migration, statements, version, begins)
      return await this.#locked(connection, async (tx) => {
        if (!(await this.#isPending(tx, migration))) return null
        for (const [index, statement] of statements.entries()) {
          begins(index)
          await tx.status(statement)
        }
        await this.#record.add(tx, migration)
        return statements
      })
    } catch (error) {
      if (error instanceof MigrationError || this.#options.signal?.aborted === true) throw error
      throw failedAt(this.#target, migration, at, error)
    }
  }

  async #runSteps(
    connection: Connection,
    migration: Migration,
    statements: readonly string[],
    version: number,
    begins: (statement: number) => void,
  ): Promise<readonly string[] | null> {
    if (this.#inSandbox)
      throw new MigrationError(
        `${migration.name} has statements that refuse a transaction, or that need what was committed before, and in a sandbox all is ` +
          'one transaction. Run these migrations before the sandbox begins.',
        { outcome: 'not_started' },
      )
    const { pooler, pool } = this.#engine.options
    const least = connectionsEach(this.#target.schema !== null)
    if (pooler !== undefined && pool.max < least)
      throw new MigrationError(
        `${migration.name} holds statements that refuse a transaction. Behind a pooler they need more connections: set pool.max ` +
          `to ${least} or more.`,
        { outcome: 'not_started' },
      )
    const release = this.#alone ? await holdForSession(connection, this.#record.path, this.#patience) : null
    try {
      if (!(await this.#isPending(connection, migration))) return null
      await runSteps(connection, {
        path: this.#record.stepsPath,
        hash: migration.hash,
        statements,
        begins,
        version,
        patience: this.#patience,
        transaction: (work) => this.#locked(connection, work),
        runAlone: this.#aloneOn(connection, statements),
      })
      await this.#locked(connection, async (tx) => {
        // Its own transaction may have been finished by the session of a run that was killed.
        if (await this.#isPending(tx, migration)) await this.#record.add(tx, migration)
        await tx.status(recordSql.forget(this.#record.stepsPath), [migration.hash])
      })
      return statements
    } finally {
      await release?.()
    }
  }

  /** Behind a pooler settings are set in transactions only, so there the names get the schema. */
  #aloneOn(connection: Connection, statements: readonly string[]): (statement: string) => Promise<unknown> {
    const { schema } = this.#target
    if (schema === null || this.#engine.options.pooler === undefined) return (text) => connection.status(text)
    // What cannot be done this way is refused before the first of them runs.
    for (const each of statements.filter(isAlone)) withSchema(each, schema)
    return (text) => this.#db.detached(() => this.#db.status(withSchema(text, schema)))
  }

  async #isPending(executor: Executor, migration: Migration): Promise<boolean> {
    return (await this.#record.plan(executor)).pending.some(({ name }) => name === migration.name)
  }

  /** A transaction that no other session is in at the same time, for this record. */
  #locked<T>(connection: Connection, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { path } = this.#record
    const file = `${path} file`
    return inLock(connection, this.#alone ? [path, file] : [file], this.#patience, work)
  }

  #statementsOf({ name, statements }: Migration): readonly string[] {
    const { schema } = this.#target
    if (schema === null) return statements
    const created = createdNames(this.#folder.migrations.flatMap((each) => each.statements))
    return statements.map((each) => inSchema(each, schema, created, this.#options.shared ?? [], name))
  }

  #in<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const { schema } = this.#target
    if (schema === null) return this.#db.scope(work, { reuse: false })
    const settings = { search_path: pathOf(schema, this.#options.shared ?? []) }
    return this.#db.scope(work, { reuse: false, settings })
  }
}

// Statements that refuse a transaction, in the schema of a tenant and behind a pooler: no search path can be set for them there,
// so the objects they name get their schema, and what else a path would decide is refused.

/** @throws {MigrationError} where more than the names of tables and indexes depends on the search path. */
export function withSchema(statement: string, schema: string): string {
  const words = tokensOf(statement)
  const places = namesIn(words)
  if (places === null)
    throw new MigrationError(
      'Behind a pooler no search path can be set for a statement that refuses a transaction, and this one may need it: ' +
        `${statement.replaceAll(/\s+/g, ' ').slice(0, 120)}. Run these migrations with a URL of the server itself.`,
      { outcome: 'not_started' },
    )
  let text = ''
  let from = 0
  for (const place of places) {
    const word = words[place]
    if (word === undefined || words[place + 1]?.raw === '.') continue
    text += `${statement.slice(from, word.start)}${quote(schema)}.`
    from = word.start
  }
  return text + statement.slice(from)
}

/** Which words name something in a schema; null where that is not known. */
function namesIn(words: readonly Word[]): number[] | null {
  const said = words.map(({ text, kind }) => (kind === Token.word ? text : ''))
  const [verb, second] = said
  const after = (word: string): number => said.indexOf(word) + 1
  if (verb === 'create' && (second === 'index' || said[2] === 'index')) {
    const table = after('on') + (said[after('on')] === 'only' ? 1 : 0)
    return callsNothing(words.slice(table)) ? [table] : null
  }
  if (verb === 'drop' && second === 'index') {
    const first = after('concurrently') + (said[after('concurrently')] === 'if' ? 2 : 0)
    return [first, ...words.flatMap(({ raw }, index) => (raw === ',' ? [index + 1] : []))]
  }
  if (verb === 'reindex' && /^(?:index|table)$/.test(second ?? '')) return [words.length - 1]
  if (/^(?:vacuum|analyze|analyse|cluster)$/.test(verb ?? '')) {
    if (words.some(({ raw }) => raw === '(' || raw === ',' || raw === '.')) return null
    return /^(?:|vacuum|analyze|analyse|cluster|full|freeze|verbose)$/.test(said.at(-1) ?? '') &&
      words.at(-1)?.kind === Token.word
      ? []
      : [words.length - 1]
  }
  return /^(?:checkpoint)$/.test(verb ?? '') || /^(?:system|database|tablespace)$/.test(second ?? '') ? [] : null
}

const beforeParentheses = /^(?:include|where|and|or|not|in|with|is)$/

/** Behind the name of a table: no function, and no type. */
function callsNothing(words: readonly Word[]): boolean {
  const list = words.findIndex(({ raw }) => raw === '(')
  return words.every(({ raw, start }, index) => {
    if (raw === ':' && words[index + 1]?.raw === ':' && words[index + 1]?.start === start + 1) return false
    if (raw.includes('::') || raw.toLowerCase() === 'cast') return false
    if (raw !== '(' || index === list) return true
    const before = words[index - 1]
    return before?.kind === Token.word ? beforeParentheses.test(before.text) : before?.kind !== Token.quoted
  })
}
