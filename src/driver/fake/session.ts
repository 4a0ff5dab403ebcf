// One session of the fake server: its transaction, its settings, what else it holds. The backend feeds it statements
// one by one and ends each unit with `sync`; what statements mean is in statements.ts. Knows nothing of connections,
// faults or time.
import { inspect } from 'node:util'
import { Dirty } from '../../sql/compiled.ts'
import { controlOf, runStatement, splitStatements, type Control } from './statements.ts'
import { refused } from './values.ts'

export type Fields = Readonly<Record<string, string>>

export type FakeRow = Readonly<Record<string, unknown>>

/** One row of a table removed, added or (both) replaced. */
export interface Change {
  readonly table: string
  readonly removed: FakeRow | null
  readonly added: FakeRow | null
}

/** What the server says to one statement. */
export interface Rows {
  readonly rows: readonly (FakeRow | readonly unknown[])[]
  /** Names of the columns, for rows that are arrays; else `column1`, … */
  readonly columns?: readonly string[]
  readonly tag: string
  readonly count: number
}
export interface Refused {
  readonly error: Fields
}
/** The answer takes its time; Infinity: until cancelled. */
export interface Waiting extends Rows {
  readonly waitMs: number
}
export type Reply = Rows | Refused | Waiting

/** What a session needs of its server. */
export interface FakeServer {
  /** The committed rows of a table and, on top of them, these changes. */
  rows(table: string, changes?: readonly Change[]): FakeRow[]
  commit(changes: readonly Change[]): void
  /** The user's answer to a text that is no fake SQL; null: none. */
  answer(text: string, params: readonly unknown[], session: FakeSession): Reply | null
  notify(channel: string, payload: string, session: FakeSession): void
}

export interface SessionListener {
  notice(fields: Fields): void
  parameter(name: string, value: string): void
  notification(channel: string, payload: string, session: number): void
  /** The server ended the session by itself. */
  killed(fields: Fields): void
}

export interface FakeCursor {
  readonly reply: Rows
  readonly hold: boolean
  at: number
}

interface Savepoint {
  readonly name: string
  readonly changes: number
  readonly notes: number
  readonly state: SessionState
}

export interface FakeTransaction {
  explicit: boolean
  failed: boolean
  readOnly: boolean
  readonly changes: Change[]
  readonly notes: { readonly channel: string; readonly payload: string }[]
  readonly before: SessionState
  readonly savepoints: Savepoint[]
}

/** What a session holds and a rollback restores. */
export class SessionState {
  readonly settings: Map<string, string>
  /** `SET LOCAL`: until the transaction ends. */
  readonly local: Map<string, string>
  readonly temp: Set<string>
  readonly listen: Set<string>
  readonly cursors: Map<string, FakeCursor>

  constructor(from?: SessionState) {
    this.settings = new Map(from?.settings)
    this.local = new Map(from?.local)
    this.temp = new Set(from?.temp)
    this.listen = new Set(from?.listen)
    this.cursors = new Map(from?.cursors)
  }
}

const defaults: Readonly<Record<string, string>> = {
  application_name: '',
  client_encoding: 'UTF8',
  role: 'none',
  search_path: '"$user", public',
  server_version: '18.0',
  standard_conforming_strings: 'on',
  statement_timeout: '0',
  timezone: 'UTC',
  transaction_isolation: 'read committed',
}
const reported = new Set(['application_name', 'client_encoding', 'search_path', 'timezone'])
const roles = ['role', 'session_authorization']

export class FakeSession {
  static {
    Object.defineProperty(this.prototype, inspect.custom, {
      value(this: FakeSession): string {
        return this.toString()
      },
    })
  }

  readonly id: number
  readonly server: FakeServer
  /** Survive a rollback. */
  readonly locks: Set<string> = new Set()
  readonly prepared: Set<string> = new Set()
  /** Settings with a dot that were ever made up here: without a value they are empty, and no longer unknown. */
  readonly #custom = new Set<string>()
  listener: SessionListener | null = null
  state: SessionState = new SessionState()
  /** True once the session is over, whoever ended it. */
  ended = false
  #transaction: FakeTransaction | null = null
  readonly #left: () => void

  constructor(id: number, server: FakeServer, left: () => void) {
    this.id = id
    this.server = server
    this.#left = left
  }

  /** The status byte of the next ReadyForQuery. */
  get status(): 'idle' | 'tx' | 'failed' {
    const tx = this.#transaction
    if (tx === null || !tx.explicit) return 'idle'
    return tx.failed ? 'failed' : 'tx'
  }

  /** The transaction a statement runs in; without BEGIN it lasts until the next `sync`. */
  get transaction(): FakeTransaction {
    this.#transaction ??= {
      explicit: false,
      failed: false,
      readOnly: false,
      changes: [],
      notes: [],
      before: new SessionState(this.state),
      savepoints: [],
    }
    return this.#transaction
  }

  execute(text: string, params: readonly unknown[]): Reply {
    let reply: Reply = { rows: [], tag: '', count: -1 }
    for (const part of splitStatements(text)) {
      const control = controlOf(part)
      const ends = control !== null && /^(?:commit|rollback)/.test(control.verb)
      if (this.transaction.failed && !ends) {
        reply = refused('25P02', 'current transaction is aborted, commands ignored until end of transaction block')
      } else if (control === null) {
        reply = runStatement(part, params, this) ?? this.server.answer(part, params, this) ?? unknown(part)
      } else reply = this.#control(control)
      if ('error' in reply) {
        this.transaction.failed = true
        break
      }
    }
    return reply
  }

  /** The server refuses a statement instead of running it. A COMMIT that is refused has rolled back. */
  refuse(text: string, error: Fields): Refused {
    if (controlOf(text)?.verb === 'commit' && this.#transaction?.explicit === true) this.#end(false)
    else this.transaction.failed = true
    return { error }
  }

  /** The end of a unit. False: what it did outside of a transaction block was rolled back. */
  sync(): boolean {
    const tx = this.#transaction
    if (tx === null || tx.explicit) return true
    this.#end(!tx.failed)
    return !tx.failed
  }

  setting(name: string): string | undefined {
    const key = name.toLowerCase()
    const unset = this.#custom.has(key) ? '' : undefined
    return this.state.local.get(key) ?? this.state.settings.get(key) ?? defaults[key] ?? unset
  }

  set(name: string, value: string | null, local: boolean = false): void {
    const key = name.toLowerCase()
    const { settings } = this.state
    if (key.includes('.')) this.#custom.add(key)
    if (local) this.state.local.set(key, value ?? defaults[key] ?? '')
    else {
      this.state.local.delete(key)
      if (value === null) settings.delete(key)
      else settings.set(key, value)
    }
    if (reported.has(key)) this.listener?.parameter(key, this.setting(key) ?? '')
  }

  /** The rows of `pg_settings`, without the defaults. */
  get shown(): FakeRow[] {
    const own = [...this.state.settings].filter(([name]) => !roles.includes(name))
    return own.map(([name, setting]) => ({ name, setting, source: 'session' }))
  }

  resetAll(): void {
    for (const name of this.state.settings.keys()) if (!roles.includes(name)) this.set(name, null)
  }

  /** Undoes what these `Dirty` bits stand for. Named statements of the driver are kept. */
  reset(dirty: number, baseline: string): void {
    if (this.#transaction !== null) this.#end(false)
    const all = (dirty & Dirty.unknown) !== 0
    const { state } = this
    if (all || dirty & Dirty.settings) this.resetAll()
    if (all || dirty & Dirty.role) for (const role of roles) this.set(role, null)
    if (all || dirty & Dirty.temp) state.temp.clear()
    if (all || dirty & Dirty.listen) state.listen.clear()
    if (all || dirty & Dirty.cursors) state.cursors.clear()
    if (all || dirty & Dirty.locks) this.locks.clear()
    if (all || dirty & Dirty.prepared) this.prepared.clear()
    if (baseline !== '') this.execute(baseline, [])
    this.sync()
  }

  /** The session is over: an open transaction is rolled back. Idempotent. */
  end(): void {
    if (this.ended) return
    if (this.#transaction !== null) this.#end(false)
    this.ended = true
    this.state = new SessionState()
    this.locks.clear()
    this.#left()
  }

  /** Ends the session as `pg_terminate_backend` does; the connection finds out in a later step. */
  kill(code: string = '57P01', message: string = 'terminating connection due to administrator command'): void {
    if (this.ended) return
    this.end()
    this.listener?.killed({ severity: 'FATAL', code, message })
  }

  notice(code: string, message: string, severity: string = 'WARNING'): void {
    this.listener?.notice({ severity, code, message })
  }

  #control({ verb, name, text }: Control): Reply {
    const tx = this.transaction
    const done = (tag: string): Rows => ({ rows: [], tag, count: -1 })
    if (verb === 'begin') {
      if (tx.explicit) this.notice('25001', 'there is already a transaction in progress')
      tx.explicit = true
      tx.readOnly = /\bread\s+only\b/i.test(text)
      const isolation = /\bisolation\s+level\s+(serializable|repeatable\s+read|read\s+(?:un)?committed)\b/i.exec(
        text,
      )?.[1]
      if (isolation !== undefined) this.set('transaction_isolation', isolation.toLowerCase(), true)
      return done(/^start/i.test(text) ? 'START TRANSACTION' : 'BEGIN')
    }
    if (verb === 'commit' || verb === 'rollback') {
      if (!tx.explicit) this.notice('25P01', 'there is no transaction in progress')
      const commits = verb === 'commit' && !tx.failed
      this.#end(commits)
      return done(commits ? 'COMMIT' : 'ROLLBACK')
    }
    const tag = verb === 'rollback to' ? 'ROLLBACK' : verb.toUpperCase()
    if (!tx.explicit) return refused('25P01', `${verb.toUpperCase()} can only be used in transaction blocks`)
    const { savepoints } = tx
    if (verb === 'savepoint') {
      const state = new SessionState(this.state)
      savepoints.push({ name, changes: tx.changes.length, notes: tx.notes.length, state })
      return done(tag)
    }
    const at = savepoints.findLastIndex((savepoint) => savepoint.name === name)
    const savepoint = savepoints[at]
    if (savepoint === undefined) return refused('3B001', `savepoint "${name}" does not exist`)
    if (verb === 'release') savepoints.length = at
    else {
      savepoints.length = at + 1
      tx.changes.length = savepoint.changes
      tx.notes.length = savepoint.notes
      tx.failed = false
      this.state = new SessionState(savepoint.state)
    }
    return done(tag)
  }

  #end(commits: boolean): void {
    const tx = this.transaction
    this.#transaction = null
    if (commits) {
      this.server.commit(tx.changes)
      for (const [name, cursor] of this.state.cursors) if (!cursor.hold) this.state.cursors.delete(name)
    } else this.state = tx.before
    this.state.local.clear()
    if (commits) for (const { channel, payload } of tx.notes) this.server.notify(channel, payload, this)
  }

  toString(): string {
    const { settings, temp, listen, cursors } = this.state
    const parts = [this.ended ? 'ended' : this.status, ...[...settings].map(([name, value]) => `${name}=${value}`)]
    const held = { temp, listen, cursors, locks: this.locks, prepared: this.prepared }
    for (const [name, values] of Object.entries(held)) {
      if (values.size > 0) parts.push(`${name}: ${[...values.keys()].join(' ')}`)
    }
    return `FakeSession ${this.id} { ${parts.join(', ')} }`
  }
}

function unknown(text: string): Refused {
  return refused('42601', `the fake server does not know: ${text}`)
}
