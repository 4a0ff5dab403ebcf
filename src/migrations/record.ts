// The table that says which migrations were applied: drizzle-kit's, in the form of 0.x or of 1.0, or ours, which is the same.
import type { Executor } from '../engine/query/executor.ts'
import type { Folder, Migration } from './folder.ts'
import type { DriftKind, MigrateOptions } from './options.ts'
import { quoteSchema as quote } from './statements.ts'

interface Entry {
  readonly hash: string
  /** Milliseconds: what tells entries of 0.x apart. */
  readonly createdAt: number
  /** Null in the form of 0.x. */
  readonly name: string | null
}

export interface Plan {
  readonly pending: readonly Migration[]
  readonly drift: readonly { readonly file: string; readonly kind: DriftKind }[]
}

export class MigrationRecord {
  readonly #schema: string
  readonly #table: string
  readonly #folder: Folder
  /** Whether the table has names. Null: there is no table. */
  #named: boolean | null = null

  constructor(folder: Folder, options: MigrateOptions, tenant: string | null) {
    const own = folder.form === 'files'
    this.#schema = tenant ?? options.table?.schema ?? (own ? 'public' : 'drizzle')
    this.#table = options.table?.name ?? (own ? 'genever_migrations' : '__drizzle_migrations')
    this.#folder = folder
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
    const entries = await this.#entries(executor)
    const known = new Map<Migration, Entry>()
    const left = new Set(entries)
    for (const migration of this.#folder.migrations) {
      const entry = this.#entryOf(migration, left)
      if (entry === undefined) continue
      known.set(migration, entry)
      left.delete(entry)
    }
    const pending = this.#folder.migrations.filter((migration) => !known.has(migration))
    const newest = this.#folder.migrations.findLastIndex((migration) => known.has(migration))
    const drift: { file: string; kind: DriftKind }[] = []
    for (const [index, migration] of this.#folder.migrations.entries()) {
      const entry = known.get(migration)
      if (entry !== undefined && entry.hash !== migration.hash) drift.push({ file: migration.name, kind: 'changed' })
      if (entry === undefined && index < newest) drift.push({ file: migration.name, kind: 'out-of-order' })
    }
    for (const { name, createdAt } of left)
      drift.push({ file: name ?? new Date(createdAt).toISOString(), kind: 'missing' })
    return { pending, drift }
  }

  /** Makes the tables where they are missing. */
  async prepare(executor: Executor): Promise<void> {
    await this.#look(executor)
    if (this.#named === null) {
      if ((await executor.scalar('select to_regnamespace($1)::text', [quote(this.#schema)])) === null)
        await executor.status(`create schema if not exists ${quote(this.#schema)}`)
      const names =
        this.#folder.form === 'journal' ? '' : ', name text, applied_at timestamp with time zone default now()'
      await executor.status(
        `create table if not exists ${this.path} (id serial primary key, hash text not null, created_at bigint${names})`,
      )
      await this.#look(executor)
    }
    await executor.status(
      `create table if not exists ${this.stepsPath} (hash text not null, step integer not null, done boolean not null, primary key (hash, step))`,
    )
  }

  async add(executor: Executor, { name, when, hash }: Migration): Promise<void> {
    if (this.#named === true)
      await executor.status(`insert into ${this.path} (hash, created_at, name) values ($1, $2, $3)`, [hash, when, name])
    else await executor.status(`insert into ${this.path} (hash, created_at) values ($1, $2)`, [hash, when])
  }

  async #look(executor: Executor): Promise<void> {
    const columns = await executor.all<{ name: string }>(
      `select attname as name from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`,
      [this.path],
    )
    this.#named = columns.length === 0 ? null : columns.some(({ name }) => name === 'name')
  }

  async #entries(executor: Executor): Promise<Entry[]> {
    await this.#look(executor)
    if (this.#named === null) return []
    return executor.all<{ hash: string; createdAt: number; name: string | null }>(
      `select hash, created_at as "createdAt", ${this.#named ? 'name' : 'null::text as name'} from ${this.path} order by id`,
    )
  }

  /**
   * By name where the record has names and the folder is not one of a journal; otherwise by the time, and among equal times by
   * the hash. Times of 1.0 are whole seconds.
   */
  #entryOf({ name, when, hash }: Migration, entries: ReadonlySet<Entry>): Entry | undefined {
    const all = [...entries]
    const named = all.find((entry) => entry.name === name)
    if (named !== undefined || this.#folder.form === 'files') return named
    const second = (ms: number): number => (this.#folder.form === 'folders' ? Math.floor(ms / 1_000) : ms)
    const sameTime = all.filter(
      (entry) => second(entry.createdAt) === second(when) && (entry.name === null || this.#folder.form === 'journal'),
    )
    return sameTime.find((entry) => entry.hash === hash) ?? (sameTime.length === 1 ? sameTime[0] : undefined)
  }
}
