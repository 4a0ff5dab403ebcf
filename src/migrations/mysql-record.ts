// The tables that say which migrations were applied on MySQL or MariaDB: drizzle-kit's, in the form of 0.x or of 1.0, or ours, which
// is the same; and beside it that of the statements of a file which is not done.
import type { Executor } from '../engine/query/executor.ts'
import { MigrationError } from '../errors/index.ts'
import { mysql } from '../mysql/dialect.ts'
import { unconverted } from '../sql/conversions.ts'
import { digest, type Folder, type Migration } from './folder.ts'
import type { MigrateOptions } from './options.ts'
import { type Entry, type Plan, planOf } from './record.ts'

/** A statement that was begun. */
export interface StepMark {
  /** Of the text that was begun. */
  readonly statement: string
  /** Of the definition before it; `''` where there was none, null where nothing would show. */
  readonly shape: string | null
  readonly done: boolean
}

export class MysqlRecord {
  readonly #database: string
  readonly #table: string
  readonly #folder: Folder
  readonly #baseline: string | undefined

  private constructor(database: string, folder: Folder, options: MigrateOptions) {
    this.#database = database
    this.#folder = folder
    this.#baseline = options.baseline
    this.#table = options.table?.name ?? (folder.form === 'files' ? 'genever_migrations' : '__drizzle_migrations')
  }

  /** @throws {MigrationError} when the connection has no database. */
  static async of(executor: Executor, folder: Folder, options: MigrateOptions): Promise<MysqlRecord> {
    const database = await executor.scalar<string | null>('select database()', [], unconverted)
    if (typeof database === 'string') return new MysqlRecord(database, folder, options)
    throw new MigrationError('Migrations need a database: name one in the URL, or by the option database.', {
      outcome: 'not_started',
    })
  }

  /** The name of its lock: the server has one space of names, of 64 characters, for all databases. */
  get lock(): string {
    return `genever ${digest(this.#path).slice(0, 40)}`
  }

  async plan(executor: Executor): Promise<Plan> {
    const named = await this.#named(executor)
    if (named === null) return planOf(this.#folder, [], this.#baseline)
    const rows = await executor.all<{ hash: string; createdAt: number | string; name: string | null }>(
      `select hash, created_at as createdAt, ${named ? 'name' : 'null as name'} from ${this.#path} order by id`,
      [],
      unconverted,
    )
    const entries = rows.map(({ hash, createdAt, name }): Entry => ({ hash, createdAt: Number(createdAt), name }))
    return planOf(this.#folder, entries, this.#baseline)
  }

  /** Makes the tables where they are missing. */
  async prepare(executor: Executor): Promise<void> {
    const names =
      this.#folder.form === 'journal' ? '' : ', name text, applied_at timestamp null default current_timestamp'
    await executor.status(
      `create table if not exists ${this.#path} (id serial primary key, hash text not null, created_at bigint${names}) engine = InnoDB`,
    )
    await executor.status(
      `create table if not exists ${this.#steps} (file varchar(255) character set utf8mb4 collate utf8mb4_bin not null, ` +
        'step int not null, statement char(64) not null, shape char(64), done boolean not null, primary key (file, step)) engine = InnoDB',
    )
  }

  /** Instead of its statements the file itself is recorded now. */
  async add(executor: Executor, { name, when, hash }: Migration): Promise<void> {
    if ((await this.#named(executor)) === true)
      await executor.status(`insert into ${this.#path} (hash, created_at, name) values (?, ?, ?)`, [hash, when, name])
    else await executor.status(`insert into ${this.#path} (hash, created_at) values (?, ?)`, [hash, when])
    await executor.status(`delete from ${this.#steps} where file = ?`, [name])
  }

  async marks(executor: Executor, file: string): Promise<Map<number, StepMark>> {
    const rows = await executor.all<{ step: number; done: number | bigint | string } & Omit<StepMark, 'done'>>(
      `select step, statement, shape, done + 0 as done from ${this.#steps} where file = ?`,
      [file],
      unconverted,
    )
    return new Map(
      rows.map(({ step, statement, shape, done }) => [step, { statement, shape, done: Number(done) === 1 }]),
    )
  }

  async mark(executor: Executor, file: string, step: number, { statement, shape, done }: StepMark): Promise<void> {
    await executor.status(`replace into ${this.#steps} (file, step, statement, shape, done) values (?, ?, ?, ?, ?)`, [
      file,
      step,
      statement,
      shape,
      done,
    ])
  }

  /** It was refused, so nothing of it was done. */
  async unmark(executor: Executor, file: string, step: number): Promise<void> {
    await executor.status(`delete from ${this.#steps} where file = ? and step = ?`, [file, step])
  }

  get #path(): string {
    return `${mysql.quote(this.#database)}.${mysql.quote(this.#table)}`
  }

  get #steps(): string {
    return `${mysql.quote(this.#database)}.${mysql.quote(`${this.#table}_steps`)}`
  }

  /** Whether the table has names. Null: there is no table. */
  async #named(executor: Executor): Promise<boolean | null> {
    const columns = await executor.all<{ name: string }>(
      'select column_name as name from information_schema.columns where table_schema = ? and table_name = ?',
      [this.#database, this.#table],
      unconverted,
    )
    return columns.length === 0 ? null : columns.some(({ name }) => name === 'name')
  }
}
