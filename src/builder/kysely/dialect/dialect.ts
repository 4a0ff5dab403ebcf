// The dialect: Kysely's own compiler, adapter and introspection for PostgreSQL or MySQL on a driver of ours.
import {
  type DatabaseIntrospector,
  type DatabaseMetadataOptions,
  type Dialect,
  type DialectAdapter,
  type Kysely,
  type MigrationLockOptions,
  MysqlAdapter,
  MysqlIntrospector,
  PostgresAdapter,
  PostgresIntrospector,
  type QueryCompiler,
  type SchemaMetadata,
  type TableMetadata,
} from 'kysely'
import { needsExecutor } from '../../../engine/handle.ts'
import { isMysql, SourceCompiler } from './compiler.ts'
import { GeneverDriver, type Lend } from './driver.ts'
import { connectionOf, type KyselySource, statementsOf } from './source.ts'

/**
 * A dialect for `new Kysely({ dialect })` on a database of Genever.
 *
 * Statements run on the ambient connection, or on a free one. A transaction of Kysely runs on the ambient connection, as a
 * savepoint when a transaction is open there. But it is not ambient itself, because Kysely does not let a dialect decide how
 * its callback is called. In the callback, statements have to go through `trx`. A statement through `db` never joins the
 * transaction. On the same connection it is refused with `TransactionStateError`, elsewhere it stands alone. `kysely(db)`
 * has no such limit.
 *
 * Nothing is borrowed before the first statement, and `destroy()` does not close the database.
 */
export function geneverDialect(source: KyselySource): Dialect {
  const checked = needsExecutor(source, 'geneverDialect()')
  return new GeneverDialect(checked, (atOnce) => connectionOf(checked, atOnce))
}

/** For a Kysely that opens transactions and connections by itself: what is lent serves single statements. */
export function statementDialect(source: KyselySource): Dialect {
  return new GeneverDialect(source, async (atOnce) => (atOnce ? connectionOf(source, true) : statementsOf(source)))
}

class GeneverDialect implements Dialect {
  readonly #source: KyselySource
  readonly #lend: Lend

  constructor(source: KyselySource, lend: Lend) {
    this.#source = source
    this.#lend = lend
  }

  createDriver(): GeneverDriver {
    return new GeneverDriver(this.#lend)
  }

  createQueryCompiler(): QueryCompiler {
    return new SourceCompiler(this.#source)
  }

  createAdapter(): DialectAdapter {
    if (isUnknown(this.#source)) return new LateAdapter(this.#source)
    return isMysql(this.#source.dialectHere()) ? new MysqlAdapter() : new PostgresAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    if (isUnknown(this.#source)) return new LateIntrospector(this.#source, db)
    return isMysql(this.#source.dialectHere()) ? new MysqlIntrospector(db) : new PostgresIntrospector(db)
  }
}

/** An adapter for a database that is not known yet. Kysely makes it once, and asks it as long as it lives. */
class LateAdapter extends PostgresAdapter {
  readonly #source: KyselySource
  readonly #mysql = new MysqlAdapter()

  constructor(source: KyselySource) {
    super()
    this.#source = source
  }

  override get supportsTransactionalDdl(): boolean {
    return this.#isMysql ? this.#mysql.supportsTransactionalDdl : super.supportsTransactionalDdl
  }

  override get supportsReturning(): boolean {
    return this.#isMysql ? this.#mysql.supportsReturning : super.supportsReturning
  }

  override acquireMigrationLock(db: Kysely<unknown>, options: MigrationLockOptions): Promise<void> {
    return this.#isMysql ? this.#mysql.acquireMigrationLock(db, options) : super.acquireMigrationLock(db, options)
  }

  override releaseMigrationLock(db: Kysely<unknown>, options: MigrationLockOptions): Promise<void> {
    return this.#isMysql ? this.#mysql.releaseMigrationLock(db, options) : super.releaseMigrationLock(db, options)
  }

  get #isMysql(): boolean {
    return isMysql(this.#source.dialectHere())
  }
}

/** The same: it opens the database first. */
class LateIntrospector extends PostgresIntrospector {
  readonly #source: KyselySource
  readonly #mysql: MysqlIntrospector

  constructor(source: KyselySource, db: Kysely<unknown>) {
    super(db)
    this.#source = source
    this.#mysql = new MysqlIntrospector(db)
  }

  override async getSchemas(): Promise<SchemaMetadata[]> {
    return (await this.#isMysql()) ? this.#mysql.getSchemas() : super.getSchemas()
  }

  override async getTables(options?: DatabaseMetadataOptions): Promise<TableMetadata[]> {
    return (await this.#isMysql()) ? this.#mysql.getTables(options) : super.getTables(options)
  }

  async #isMysql(): Promise<boolean> {
    return isMysql((await this.#source.engineHere()).dialect)
  }
}

/** As far as anybody knows it is PostgreSQL. */
const isUnknown = (source: KyselySource): boolean => source.engineQuietly() === null && !isMysql(source.dialectHere())
