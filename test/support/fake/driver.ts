/** The fake driver with a server that understands a little SQL and keeps rows: for tests of the engine and the pool. */

import {
  FakeDriver as AnsweringDriver,
  type FakeDriverOptions as AnsweringOptions,
} from '../../../src/driver/fake/driver.ts'
import type { Answerer, FakeRow } from '../../../src/driver/fake/session.ts'
import type { ConnectionHooks } from '../../../src/driver/driver.ts'
import type { ConnectionHost } from '../../../src/driver/fake/backend.ts'
import { UsageError } from '../../../src/errors/index.ts'
import { CheckedConnection } from './connection.ts'
import { SqlSession, type Change, type Store } from './session.ts'

export interface FakeDriverOptions extends AnsweringOptions {
  /** Committed rows by table. */
  readonly tables?: Readonly<Record<string, readonly FakeRow[]>> | undefined
}

/** Its option `answer` is asked for what is not SQL of statements.ts. */
export class FakeDriver extends AnsweringDriver {
  declare readonly sessions: SqlSession[]
  /** Rules of the contract that the owner of a connection broke. */
  readonly violations: string[] = []
  readonly #tables = new Map<string, FakeRow[]>()
  readonly #store: Store = {
    rows: (table, changes) => this.rows(table, changes),
    commit: (changes) => this.#commit(changes),
    notify: (channel, payload, from) => this.#notify(channel, payload, from),
  }

  constructor({ tables = {}, ...options }: FakeDriverOptions = {}) {
    super(options)
    for (const [table, rows] of Object.entries(tables)) this.#tables.set(table, [...rows])
  }

  /** The committed rows of a table. */
  rows(table: string, changes: readonly Change[] = []): FakeRow[] {
    const rows = [...(this.#tables.get(table) ?? [])]
    for (const change of changes) if (change.table === table) replace(rows, change)
    return rows
  }

  protected override makeSession(id: number, answer: Answerer): SqlSession {
    return new SqlSession(id, this.#store, answer)
  }

  protected override makeConnection(
    session: SqlSession,
    host: ConnectionHost,
    hooks: ConnectionHooks,
  ): CheckedConnection {
    return new CheckedConnection(session, host, hooks, (rule) => {
      this.violations.push(rule)
      throw new UsageError(`The contract of drivers was broken: ${rule}.`)
    })
  }

  override toString(): string {
    const broken = this.violations.length
    return broken === 0 ? super.toString() : super.toString().replace(/ }$/, `, ${broken} violations }`)
  }

  #commit(changes: readonly Change[]): void {
    for (const change of changes) {
      const rows = this.#tables.get(change.table) ?? []
      this.#tables.set(change.table, rows)
      replace(rows, change)
    }
  }

  #notify(channel: string, payload: string, from: SqlSession): void {
    for (const session of this.sessions)
      if (session.state.listen.has(channel)) session.heard?.notification(channel, payload, from.id)
  }
}

/** Of two updates of one row the later commit wins; an update of a row that is gone does nothing. */
function replace(rows: FakeRow[], { removed, added }: Change): void {
  const at = removed === null ? rows.length : rows.indexOf(removed)
  if (at >= 0) rows.splice(at, removed === null ? 0 : 1, ...(added === null ? [] : [added]))
}
