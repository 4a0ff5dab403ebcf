// What `kysely(db).transaction()` gives: Kysely's builder, whose callback runs inside a transaction of ours.
import {
  type AccessMode,
  type IsolationLevel,
  type KyselyProps,
  type Transaction as KyselyTransaction,
  TransactionBuilder,
  type TransactionSettings,
} from 'kysely'
import type { Transaction } from '../../engine/transaction/transaction.ts'
import { optionsOf } from './dialect/driver.ts'
import type { KyselySource } from './dialect/source.ts'

type Inside<DB> = (tx: Transaction) => KyselyTransaction<DB>

export class ScopedTransactionBuilder<DB> extends TransactionBuilder<DB> {
  readonly #props: KyselyProps
  readonly #source: KyselySource
  readonly #inside: Inside<DB>
  readonly #settings: TransactionSettings

  constructor(props: KyselyProps, source: KyselySource, inside: Inside<DB>, settings: TransactionSettings = {}) {
    super(props)
    this.#props = props
    this.#source = source
    this.#inside = inside
    this.#settings = settings
  }

  override setAccessMode(accessMode: AccessMode): ScopedTransactionBuilder<DB> {
    return this.#with({ ...this.#settings, accessMode })
  }

  override setIsolationLevel(isolationLevel: IsolationLevel): ScopedTransactionBuilder<DB> {
    return this.#with({ ...this.#settings, isolationLevel })
  }

  override execute<T>(callback: (trx: KyselyTransaction<DB>) => Promise<T>): Promise<T> {
    return this.#source.transaction((tx) => callback(this.#inside(tx)), optionsOf(this.#settings))
  }

  #with(settings: TransactionSettings): ScopedTransactionBuilder<DB> {
    return new ScopedTransactionBuilder<DB>(this.#props, this.#source, this.#inside, settings)
  }
}
