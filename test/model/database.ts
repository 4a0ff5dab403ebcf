// The world of programs on a real server, through the public API alone.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Db, Executor, Transaction } from 'genever'
import type { Executors } from './program.ts'
import type { ScopeWishes, Seen, World } from './play.ts'

export interface Place {
  /** The handle of the innermost callback that gave one. */
  readonly handle: Executor
  /** The connection of the innermost scope around, or a handle from `acquire()`. */
  readonly connection: Connection | null
  readonly transactions: readonly Transaction[]
}

const LOOK = `select pg_backend_pid() as session, coalesce(current_setting('app.tenant', true), '') as tenant,
  coalesce(current_setting('app.pin', true), '') as pin,
  coalesce((select array_agg(n order by n) from seen where program = $1), '{}')::int[] as rows`

export class Database implements World<Place> {
  readonly root: Place
  readonly #db: Db
  readonly #program: number

  constructor(db: Db, program: number) {
    this.#db = db
    this.#program = program
    this.root = { handle: db, connection: null, transactions: [] }
  }

  look(here: Place, by: Executors): Promise<Seen> {
    return this.#by(here, by).one<Seen & Record<string, unknown>>(LOOK, [this.#program])
  }

  async insert(here: Place, by: Executors, n: number): Promise<void> {
    await this.#by(here, by).status('insert into seen values ($1, $2)', [this.#program, n])
  }

  async fail(here: Place, by: Executors): Promise<void> {
    await this.#by(here, by).scalar('select 1 / 0')
  }

  async pin(_here: Place, value: string): Promise<void> {
    await this.#db.status(`set app.pin = '${value}'`)
  }

  async wait(): Promise<void> {
    await sleep(1)
  }

  async forNow(here: Place): Promise<void> {
    await here.connection?.release({ permanent: false })
  }

  current(): boolean {
    return this.#db.current !== undefined
  }

  async hook(_here: Place, on: 'commit' | 'rollback', work: () => void): Promise<void> {
    await (on === 'commit' ? this.#db.afterCommit(work) : this.#db.afterRollback(work))
  }

  async scope(here: Place, wishes: ScopeWishes, work: (inside: Place) => Promise<void>): Promise<void> {
    const { reuse, reusable, hold, tenant } = wishes
    await this.#db.scope((connection) => work({ ...here, handle: connection, connection }), {
      reuse,
      reusable,
      hold,
      ...(tenant ? { settings: { 'app.tenant': 'a' } } : {}),
    })
  }

  transaction(here: Place, reuse: boolean, work: (inside: Place) => Promise<void>): Promise<unknown> {
    return this.#db.transaction<unknown>(
      (tx) => work({ ...here, handle: tx, transactions: [...here.transactions, tx] }),
      { reuse },
    )
  }

  raise(here: Place, kind: 'commit' | 'rollback', outermost: boolean, value: string): never {
    const tx = here.transactions.at(outermost ? 0 : -1) as Transaction
    return kind === 'commit' ? tx.raiseCommit(value) : tx.raiseRollback(value)
  }

  async acquire(here: Place, ambient: boolean, work: (inside: Place) => Promise<void>): Promise<void> {
    const connection = await this.#db.acquire()
    try {
      const inside = (): Promise<void> => work({ ...here, handle: connection, connection })
      await (ambient ? connection.run(inside) : inside())
    } finally {
      await connection.release()
    }
  }

  async idle(_here: Place, work: () => Promise<void>): Promise<void> {
    await this.#db.idle(work)
  }

  async detached(_here: Place, work: (inside: Place) => Promise<void>): Promise<void> {
    await this.#db.detached(() => work(this.root))
  }

  captured(work: () => Promise<void>): () => Promise<void> {
    const context = AsyncLocalStorage.snapshot()
    return () => context(work)
  }

  #by(here: Place, by: Executors): Executor {
    return by === 'db' ? this.#db : here.handle
  }
}
