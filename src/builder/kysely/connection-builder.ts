// What `kysely(db).connection()` gives: Kysely's builder, whose callback runs in a scope of ours.
import { ConnectionBuilder, type Kysely, type KyselyProps } from 'kysely'
import { Source } from '../../engine/source.ts'
import type { Abortable } from './dialect/connection.ts'
import type { KyselySource } from './dialect/source.ts'

type On<DB> = (source: KyselySource) => Kysely<DB>

export class ScopedConnectionBuilder<DB> extends ConnectionBuilder<DB> {
  readonly #source: KyselySource
  readonly #on: On<DB>

  constructor(props: KyselyProps, source: KyselySource, on: On<DB>) {
    super(props)
    this.#source = source
    this.#on = on
  }

  /** A signal that has aborted already is the only one to matter: nothing is waited for before `callback` is called. */
  override async execute<T>(callback: (db: Kysely<DB>) => Promise<T>, options?: Abortable): Promise<T> {
    options?.signal?.throwIfAborted()
    const source = this.#source
    if (source instanceof Source) return source.scope((connection) => callback(this.#on(connection)))
    return source.run(() => callback(this.#on(source)))
  }
}
