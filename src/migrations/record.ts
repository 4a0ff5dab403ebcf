// The table that says which migrations were applied: drizzle-kit's, in the form of 0.x or of 1.0, or ours, which is the same.
import type { Executor } from '../engine/query/executor.ts'
import { recordSql } from '../postgres/tool-sql.ts'
import { unconverted } from '../sql/conversions.ts'
import { MigrationError } from '../errors/index.ts'
import type { Folder, FolderForm, Migration } from './folder.ts'
import type { AppliedMigration, DriftKind, MigrateOptions, MigrationDrift, PendingMigration } from './options.ts'
import { quoteSchema as quote } from './statements.ts'
import type { Target } from './targets.ts'

export interface Entry {
  readonly hash: string
  /** Milliseconds: what tells entries of 0.x apart. */
  readonly createdAt: number
  /** Null in the form of 0.x. */
  readonly name: string | null
}

export interface Plan {
  /** What is recorded without being run. */
  readonly baselined: readonly Migration[]
  readonly pending: readonly Migration[]
  readonly drift: readonly { readonly file: string; readonly kind: DriftKind }[]
}

export class MigrationRecord {
  readonly #schema: string
  readonly #table: string
  readonly #folder: Folder
  readonly #baseline: string | undefined
  /** Whether the table has names. Null: there is no table. */
  #named: boolean | null = null

  constructor(folder: Folder, options: MigrateOptions, tenant: string | null) {
    const numbered = folder.form === 'files'
    this.#schema = tenant ?? options.table?.schema ?? (numbered ? 'public' : 'drizzle')
    this.#table = options.table?.name ?? (numbered ? 'genever_migrations' : '__drizzle_migrations')
    this.#folder = folder
    this.#baseline = options.baseline
  }

  /** The name of the table, for SQL and for the key of the lock. */
  get path(): string {
    return `${quote(this.#schema)}.${quote(this.#table)}`
  }

  /** The name of the table of steps beside it. */
  get stepsPath(): string {
    return `${quote(this.#schema)}.${quote(`${this.#table}_steps`)}`
  }

  /** What is to be applied, and where folder and record differ. Reads only. */
  async plan(executor: Executor): Promise<Plan> {
    return planOf(this.#folder, await this.#entries(executor), this.#baseline)
  }

  /** Makes the tables where they are missing. */
  async prepare(executor: Executor): Promise<void> {
    await this.#look(executor)
    if (this.#named === null) {
      if ((await executor.scalar(recordSql.schema, [quote(this.#schema)], unconverted)) === null)
        await executor.status(recordSql.makeSchema(quote(this.#schema)))
      await executor.status(recordSql.make(this.path, this.#folder.form !== 'journal'))
      await this.#look(executor)
    }
    await executor.status(recordSql.makeSteps(this.stepsPath))
  }

  async add(executor: Executor, { name, when, hash }: Migration): Promise<void> {
    const named = this.#named === true
    await executor.status(recordSql.add(this.path, named), named ? [hash, when, name] : [hash, when])
  }

  async #look(executor: Executor): Promise<void> {
    const columns = await executor.all<{ name: string }>(recordSql.columns, [this.path], unconverted)
    this.#named = columns.length === 0 ? null : columns.some(({ name }) => name === 'name')
  }

  async #entries(executor: Executor): Promise<Entry[]> {
    await this.#look(executor)
    if (this.#named === null) return []
    return executor.all<{ hash: string; createdAt: number; name: string | null }>(
      recordSql.entries(this.path, this.#named),
      [],
      unconverted,
    )
  }
}

/** What a run in one target did, or would do. */
export interface Outcome {
  readonly applied: AppliedMigration[]
  readonly baselined: PendingMigration[]
  readonly drift: MigrationDrift[]
}

export function driftAt(target: Target, { drift }: Plan): MigrationDrift[] {
  return drift.map((each) => ({ ...target, ...each }))
}

export function baselinedAt(target: Target, baselined: readonly Migration[]): PendingMigration[] {
  return baselined.map(({ name }) => ({ ...target, file: name }))
}

/** If nothing is in its way. */
export function foreseen(target: Target, plan: Plan): Outcome {
  const applied = plan.pending.map(({ name, statements }) => ({ ...target, file: name, ms: 0, statements }))
  return { applied, baselined: baselinedAt(target, plan.baselined), drift: driftAt(target, plan) }
}

/**
 * What of a folder is to be applied, and where it differs from its record.
 * @throws {MigrationError} if the record has begun without the baseline.
 */
export function planOf({ migrations, form }: Folder, entries: readonly Entry[], baseline: string | undefined): Plan {
  const known = new Map<Migration, Entry>()
  const left = new Set(entries)
  for (const migration of migrations) {
    const entry = entryOf(migration, form, left)
    if (entry === undefined) continue
    known.set(migration, entry)
    left.delete(entry)
  }
  const unknown = migrations.filter((migration) => !known.has(migration))
  const baselined = baseline === undefined ? [] : upTo(baseline, migrations, known)
  const pending = unknown.filter((migration) => !baselined.includes(migration))
  const newest = migrations.findLastIndex((migration) => known.has(migration))
  const drift: { file: string; kind: DriftKind }[] = []
  for (const [index, migration] of migrations.entries()) {
    const entry = known.get(migration)
    if (entry !== undefined && entry.hash !== migration.hash) drift.push({ file: migration.name, kind: 'changed' })
    if (entry === undefined && index < newest) drift.push({ file: migration.name, kind: 'out-of-order' })
  }
  for (const { name, createdAt } of left)
    drift.push({ file: name ?? new Date(createdAt).toISOString(), kind: 'missing' })
  return { baselined, pending, drift }
}

/** Those that are not recorded yet, out of the baseline and what is before it. */
function upTo(baseline: string, migrations: readonly Migration[], known: ReadonlyMap<Migration, Entry>): Migration[] {
  const last = migrations.findIndex(({ name }) => name === baseline)
  const unknown = migrations.slice(0, last + 1).filter((migration) => !known.has(migration))
  if (unknown.length > 0 && known.size > 0)
    throw new MigrationError(
      `The option baseline begins a record, and this one has begun: ${[...known.keys()].map(({ name }) => name).join(', ')}. ` +
        `It lacks ${unknown.map(({ name }) => name).join(', ')}. Leave baseline out to apply them.`,
      { outcome: 'not_started' },
    )
  return unknown
}

/**
 * By name where the record has names and the folder is not one of a journal; otherwise by the time, and among equal times by
 * the hash. Times of 1.0 are whole seconds.
 */
function entryOf({ name, when, hash }: Migration, form: FolderForm, entries: ReadonlySet<Entry>): Entry | undefined {
  const all = [...entries]
  const named = all.find((entry) => entry.name === name)
  if (named !== undefined || form === 'files') return named
  const second = (ms: number): number => (form === 'folders' ? Math.floor(ms / 1_000) : ms)
  const sameTime = all.filter(
    (entry) => second(entry.createdAt) === second(when) && (entry.name === null || form === 'journal'),
  )
  return sameTime.find((entry) => entry.hash === hash) ?? (sameTime.length === 1 ? sameTime[0] : undefined)
}
