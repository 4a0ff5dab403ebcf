// Kysely's Driver: it lends connections that are executors of Genever, and maps Kysely's transactions on manual ones. It
// opens and closes no database. Called by Kysely only.
import type { DatabaseConnection, Driver, TransactionSettings } from 'kysely'
import type { TransactionOptions } from '../../../engine/transaction/options.ts'
import type { IsolationLevel } from '../../../sql/dialect.ts'
import type { Abortable, KyselyConnection } from './connection.ts'

/** `atOnce`: the caller can give up waiting for a connection, but not for a statement. */
export type Lend = (atOnce: boolean) => Promise<KyselyConnection>

export class GeneverDriver implements Driver {
  readonly #lend: Lend

  constructor(lend: Lend) {
    this.#lend = lend
  }

  async init(): Promise<void> {}

  acquireConnection(options?: Abortable): Promise<DatabaseConnection> {
    return this.#lend(options?.signal !== undefined)
  }

  releaseConnection(connection: DatabaseConnection): Promise<void> {
    return ours(connection).release()
  }

  beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    return ours(connection).begin(optionsOf(settings))
  }

  commitTransaction(connection: DatabaseConnection): Promise<void> {
    return ours(connection).commit()
  }

  rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    return ours(connection).rollback()
  }

  savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return ours(connection).savepoint(name)
  }

  rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return ours(connection).rollbackToSavepoint(name)
  }

  releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return ours(connection).releaseSavepoint(name)
  }

  /** The database is the user's, who closes it. */
  async destroy(): Promise<void> {}
}

/** Kysely's settings as ours; a level that PostgreSQL does not have is refused when the transaction is opened. */
export function optionsOf({ isolationLevel, accessMode }: TransactionSettings): TransactionOptions {
  return {
    isolation: isolationLevel as IsolationLevel | undefined,
    readOnly: accessMode === undefined ? undefined : accessMode === 'read only',
  }
}

/** Kysely gives back the object it was lent. */
function ours(connection: DatabaseConnection): KyselyConnection {
  return connection as KyselyConnection
}
