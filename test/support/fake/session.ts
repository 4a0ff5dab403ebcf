/** A session of the fake server that keeps rows, settings and all else a session of PostgreSQL can hold. */

import type { ControlText } from '../../../src/sql/control-text.ts'
import { Dirty } from '../../../src/sql/compiled.ts'
import { FakeSession, type Answerer, type FakeRow, type Reply } from '../../../src/driver/fake/session.ts'
import { runStatement } from './statements.ts'
import { strip } from './values.ts'

/** One row of a table removed, added or (both) replaced. */
export interface Change {
  readonly table: string
  readonly removed: FakeRow | null
  readonly added: FakeRow | null
}

/** Hears what only a server with channels says. */
export interface SessionListener {
  notification(channel: string, payload: string, session: number): void
}

/** What its sessions share. */
export interface Store {
  /** The committed rows of a table and, on top of them, these changes. */
  rows(table: string, changes?: readonly Change[]): FakeRow[]
  commit(changes: readonly Change[]): void
  notify(channel: string, payload: string, session: SqlSession): void
}

/** What a session holds and a rollback restores. */
class SessionState {
  readonly settings: Map<string, string>
  /** `SET LOCAL`: until the transaction ends. */
  readonly local: Map<string, string>
  readonly temp: Set<string>
  readonly listen: Set<string>

  constructor(from?: SessionState) {
    this.settings = new Map(from?.settings)
    this.local = new Map(from?.local)
    this.temp = new Set(from?.temp)
    this.listen = new Set(from?.listen)
  }
}

interface Saved {
  readonly cursors: unknown
  readonly state: SessionState
  readonly changes: number
  readonly notes: number
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
const roles = ['role', 'session_authorization']

export class SqlSession extends FakeSession {
  readonly store: Store
  heard: SessionListener | null = null
  /** Survive a rollback. */
  readonly locks: Set<string> = new Set()
  readonly prepared: Set<string> = new Set()
  /** Of the open transaction. */
  readonly changes: Change[] = []
  readonly notes: { readonly channel: string; readonly payload: string }[] = []
  readOnly = false
  state: SessionState = new SessionState()
  /** Settings with a dot that were ever made up here: without a value they are empty, and no longer unknown. */
  readonly #custom = new Set<string>()

  constructor(id: number, store: Store, answer: Answerer) {
    super(id, answer)
    this.store = store
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
  }

  /** The rows of `pg_settings`, without the defaults. */
  get shown(): FakeRow[] {
    const own = [...this.state.settings].filter(([name]) => !roles.includes(name))
    return own.map(([name, setting]) => ({ name, setting, source: 'session' }))
  }

  resetAll(): void {
    for (const name of this.state.settings.keys()) if (!roles.includes(name)) this.set(name, null)
  }

  discardAll(): void {
    this.undo(Dirty.unknown)
  }

  override run(text: string, params: readonly unknown[]): Reply | null {
    const bare = strip(text)
    return runStatement(bare, params, this) ?? super.run(bare, params)
  }

  override end(): void {
    if (this.ended) return
    super.end()
    this.state = new SessionState()
    this.locks.clear()
  }

  protected override save(): Saved {
    const { state, changes, notes } = this
    return { cursors: super.save(), state: new SessionState(state), changes: changes.length, notes: notes.length }
  }

  protected override restore(saved: unknown): void {
    const { cursors, state, changes, notes } = saved as Saved
    super.restore(cursors)
    this.state = new SessionState(state)
    this.changes.length = changes
    this.notes.length = notes
  }

  protected override begun(control: ControlText): void {
    if (!('readOnly' in control)) return
    this.readOnly = control.readOnly
    if (control.isolation !== null) this.set('transaction_isolation', control.isolation, true)
  }

  protected override finished(committed: boolean): void {
    super.finished(committed)
    const [changes, notes] = [this.changes.splice(0), this.notes.splice(0)]
    this.readOnly = false
    this.state.local.clear()
    if (!committed) return
    this.store.commit(changes)
    for (const { channel, payload } of notes) this.store.notify(channel, payload, this)
  }

  protected override undo(dirty: number): void {
    super.undo(dirty)
    const all = (dirty & Dirty.unknown) !== 0
    const { state } = this
    if (all || dirty & (Dirty.settings | Dirty.framed)) this.resetAll()
    if (all || dirty & (Dirty.role | Dirty.framed)) for (const role of roles) this.set(role, null)
    if (all || dirty & Dirty.temp) state.temp.clear()
    if (all || dirty & Dirty.listen) state.listen.clear()
    if (all || dirty & Dirty.locks) this.locks.clear()
    if (all || dirty & Dirty.prepared) this.prepared.clear()
  }

  protected override describe(): string[] {
    const { settings, temp, listen } = this.state
    const { cursors, locks, prepared } = this
    const parts = [...settings].map(([name, value]) => `${name}=${value}`)
    for (const [kind, values] of Object.entries({ temp, listen, cursors, locks, prepared }))
      if (values.size > 0) parts.push(`${kind}: ${[...values.keys()].join(' ')}`)
    return parts
  }
}
