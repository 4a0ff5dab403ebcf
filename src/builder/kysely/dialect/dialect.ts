// The dialect: Kysely's own compiler, adapter and introspection for PostgreSQL or MySQL on a driver of ours.
import {
  type CompiledQuery,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryId,
  type RootOperationNode,
} from 'kysely'
import { needsExecutor } from '../../../engine/handle.ts'
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
    return isMysql(this.#source) ? new MysqlAdapter() : new PostgresAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return isMysql(this.#source) ? new MysqlIntrospector(db) : new PostgresIntrospector(db)
  }
}

const isMysql = (source: KyselySource): boolean => source.dialectHere().name === 'mysql'

/** In the words of the database, which is known at the latest when a query is compiled for it. */
class SourceCompiler implements QueryCompiler {
  readonly #source: KyselySource

  constructor(source: KyselySource) {
    this.#source = source
  }

  compileQuery(node: RootOperationNode, queryId: QueryId): CompiledQuery {
    const compiler = isMysql(this.#source) ? new MysqlQueryCompiler() : new PostgresQueryCompiler()
    return compiler.compileQuery(node, queryId)
  }
}
