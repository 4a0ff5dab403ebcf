// The object that Kysely takes for one connection: an executor of Genever, with a stack of the transaction and savepoints that Kysely
// has opened by hand. Made by the driver. It borrows nothing itself, and passes errors on as they are.
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import type { Executor } from '../../../engine/query/executor.ts'
import type { Status } from '../../../engine/query/execute.ts'
import type { ManualTransaction } from '../../../engine/transaction/transaction.ts'
import type { TransactionOptions } from '../../../engine/transaction/options.ts'
import { captureStack, GeneverError, TransactionStateError } from '../../../errors/index.ts'
import { asLate } from './compiler.ts'

/** The options of a call in Kysely 0.29 that can be aborted; 0.28 has no name for them. */
export interface Abortable {
  readonly signal?: AbortSignal | undefined
}

/** How a connection opens a transaction, and what is due when Kysely gives it back. */
export interface Lending {
  begin(options: TransactionOptions): Promise<ManualTransaction>
  release?(): Promise<void>
}

interface Level {
  /** The name of the savepoint; empty for the transaction itself. */
  readonly name: string
  readonly transaction: ManualTransaction
}

const counted = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'REPLACE'])

export class KyselyConnection implements DatabaseConnection {
  readonly #executor: Executor
  readonly #lending: Lending
  readonly #levels: Level[] = []
  #cancel: AbortController | null = null

  constructor(executor: Executor, lending: Lending) {
    this.#executor = executor
    this.#lending = lending
  }

  async executeQuery<R>(query: CompiledQuery, options?: Abortable): Promise<QueryResult<R>> {
    const signal = options?.signal === undefined ? undefined : (this.#cancel = new AbortController()).signal
    try {
      const late = asLate<R>(query)
      if (late !== null) return resultOf(await this.#here.status(late, { signal }))
      return resultOf(await this.#here.status<R>(query.sql, query.parameters, { signal }))
    } catch (error) {
      throw nearer(error)
    }
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    const late = asLate<R>(query)
    const options = { batchSize: chunkSize }
    const cursor =
      late === null ? this.#here.iterate<R>(query.sql, query.parameters, options) : this.#here.iterate(late, options)
    for await (const rows of cursor.batches()) yield { rows }
  }

  /** Kysely calls it for the strategy `cancel query`, once the signal of the statement that runs has aborted. */
  async cancelQuery(): Promise<void> {
    this.#cancel?.abort()
  }

  async begin(options: TransactionOptions): Promise<void> {
    this.#levels.push({ name: '', transaction: await this.#lending.begin(options) })
  }

  /** With the savepoints that are still open, as the server would. What fails here has been rolled back. */
  async commit(): Promise<void> {
    await this.#commitTo(0)
  }

  /** Nothing happens when a failed commit has ended it before. */
  async rollback(): Promise<void> {
    await this.#rollbackTo(0)
  }

  async savepoint(name: string): Promise<void> {
    this.#levels.push({ name, transaction: await this.#outer(name).begin() })
  }

  /** The savepoint stays, as the server keeps it. */
  async rollbackToSavepoint(name: string): Promise<void> {
    await this.#rollbackTo(this.#find(name))
    await this.savepoint(name)
  }

  async releaseSavepoint(name: string): Promise<void> {
    await this.#commitTo(this.#find(name))
  }

  async release(): Promise<void> {
    await this.#lending.release?.()
  }

  get #here(): Executor {
    return this.#levels.at(-1)?.transaction ?? this.#executor
  }

  async #commitTo(index: number): Promise<void> {
    while (this.#levels.length > index) await this.#levels.pop()?.transaction.commit()
  }

  async #rollbackTo(index: number): Promise<void> {
    while (this.#levels.length > index) await this.#levels.pop()?.transaction.rollback()
  }

  #outer(name: string): ManualTransaction {
    const top = this.#levels.at(-1)
    if (top === undefined)
      throw new TransactionStateError(
        `The savepoint "${name}" needs an open transaction, and there is none here. Begin one first.`,
      )
    return top.transaction
  }

  #find(name: string): number {
    const index = this.#levels.findLastIndex((level, at) => at > 0 && level.name === name)
    if (index === -1)
      throw new TransactionStateError(`No savepoint "${name}" is open: it was released, or rolled back with another.`)
    return index
  }
}

/** As in Kysely's own dialects, only INSERT, UPDATE, DELETE and MERGE have a count, and only MySQL has an `insertId`. */
function resultOf<R>({ command, rowCount, rows, insertId }: Status<R>): QueryResult<R> {
  const result = { rows: rows as R[], ...(insertId === undefined ? {} : { insertId: BigInt(insertId) }) }
  return rowCount === null || !counted.has(command) ? result : { ...result, numAffectedRows: BigInt(rowCount) }
}

/** Kysely's layers are most of the ten lines of a stack: without those of the engine, the caller's line is among them. */
function nearer(error: unknown): unknown {
  if (error instanceof GeneverError) captureStack(error, nearer)
  return error
}
