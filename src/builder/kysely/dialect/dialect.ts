// The dialect: Kysely's own compiler, adapter and introspection for PostgreSQL on a driver of ours.
import {
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
} from 'kysely'
import { needsExecutor } from '../../../engine/handle.ts'
import { GeneverDriver, type Lend } from './driver.ts'
import { connectionOf, type KyselySource, statementsOf } from './source.ts'

/**
 * A dialect for `new Kysely({ dialect })` on a database of Genever.
 *
 * Statements run on the ambient connection, or on a free one. A transaction of Kysely takes place on the ambient connection,
 * as a savepoint when a transaction is open there; but it is not ambient itself: Kysely gives a dialect no say in how its
 * callback is called. In the callback statements have to go through `trx`; one through `db` never joins the transaction: on
 * the same connection it is refused with `TransactionStateError`, elsewhere it stands alone. `kysely(db)` has no such limit.
 *
 * Nothing is borrowed before the first statement, and `destroy()` does not close the database.
 */
export function geneverDialect(source: KyselySource): Dialect {
  const checked = needsExecutor(source, 'geneverDialect()')
  return new GeneverDialect((atOnce) => connectionOf(checked, atOnce))
}

/** For a Kysely that opens transactions and connections by itself: what is lent serves single statements. */
export function statementDialect(source: KyselySource): Dialect {
  return new GeneverDialect(async (atOnce) => (atOnce ? connectionOf(source, true) : statementsOf(source)))
}

class GeneverDialect implements Dialect {
  readonly #lend: Lend

  constructor(lend: Lend) {
    this.#lend = lend
  }

  createDriver(): GeneverDriver {
    return new GeneverDriver(this.#lend)
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler()
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(db)
  }
}
