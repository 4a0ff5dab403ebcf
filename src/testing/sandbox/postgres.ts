// PostgreSQL in a sandbox. Every view has its own settings: they are remembered, and made again when the view's turn comes after
// somebody else's. Other things that a session can hold (temporary tables, locks, …) are undone once the view that made them has come
// back and nobody is in the way.
import type { Failure, Op } from '../../driver/driver.ts'
import { controlOf } from '../../postgres/control.ts'
import { statementsOf } from '../../postgres/lexer.ts'
import { baseline as reading, resetText, setter, undoes } from '../../postgres/session-sql.ts'
import { State } from '../../postgres/sqlstate.ts'
import { deferredSql, limitNames, limitsSql } from '../../postgres/tool-sql.ts'
import { Dirty } from '../../sql/compiled.ts'
import { type SandboxView, type Savepoint, serverError, Step, Words } from './contract.ts'

const settingBits = Dirty.settings | Dirty.role | Dirty.framed
const held = Dirty.locks | Dirty.cursors | Dirty.temp | Dirty.prepared
/** The possible remains of a view that may have left anything: statements prepared by name are seen. */
const anything = held & ~Dirty.prepared
/** Classed `alone` because they may do anything; in a transaction they do what they can. */
const harmless = new Set(['CALL', 'COPY'])

export class PostgresWords extends Words {
  readonly control: typeof controlOf = controlOf
  readonly lenient = false
  readonly started = 'START TRANSACTION'
  readonly level = "select current_setting('transaction_isolation') as level"
  readonly readOnly = 'SET TRANSACTION READ ONLY'
  /** Makes the session what it was when it was lent, statement by statement. */
  #clean: readonly string[] = []
  /** `Dirty` bits of what is left of views that came back. */
  #leftovers = 0
  /** Takes limits on open and idle transactions away; empty: the server has none. */
  #unlimit = ''
  /** The session began with one. */
  #limited = false
  /** Constraints that are initially deferred; null: the server has no such catalogue. */
  #deferred: readonly string[] | null = []
  /** That list may be out of date. */
  #stale = true

  async learn(): Promise<void> {
    const shared = this.shared
    // DEFAULT is not the user of every driver.
    const [user] = await this.#ask<{ name: string }>('select session_user as name')
    const name = user === undefined ? 'DEFAULT' : shared.engine.dialect.quote(user.name)
    let baseline = (shared.raw as { readonly baseline?: { readonly sql: string } }).baseline?.sql
    if (baseline === undefined) {
      // The driver does not say how its sessions begin. Settings with a dot in their names are not listed.
      const { sql, params } = reading.read([])
      baseline = reading.restore(await this.#ask(sql, params))
    }
    this.#clean = statementsOf(resetText(false, Dirty.role | Dirty.settings, name, baseline))
    // On the server the transaction of the sandbox is open all the time.
    const known = await this.#ask<{ name: string; setting: string }>(limitsSql.read)
    if (known.length > 0) this.#unlimit = limitsSql.off(known.map((limit) => limit.name))
    this.#limited = known.some(({ setting }) => setting !== '0')
    if (this.#limited) await this.shared.send([this.shared.own(this.#unlimit)])
    await this.#learnDeferred()
  }

  override behind(ops: readonly Op[]): Step[] {
    return this.#unlimit !== '' && ops.some(setsLimit) ? [this.shared.own(this.#unlimit)] : []
  }

  /** None where the server does not know the answer. */
  async #ask<R extends object>(sql: string, params?: readonly unknown[]): Promise<R[]> {
    const question = this.shared.own(sql, params)
    await this.shared.guarded([question])
    return question.rows as R[]
  }

  /**
   * Deferred constraints in a transaction that never commits: outside of the transactions under test all are immediate, those to come
   * too, as a statement that commits by itself would find them. A violation surfaces at the outermost COMMIT, which checks them.
   */
  async #learnDeferred(): Promise<void> {
    if (!this.#stale || this.#deferred === null) return
    this.#stale = false
    const list = this.shared.own(deferredSql)
    const supported = await this.shared.guarded([list, ...this.check()])
    this.#deferred = supported ? (list.rows as { name: string }[]).map(({ name }) => name) : null
  }

  override deferral(): Step[] {
    const names = this.#deferred ?? []
    return names.length === 0 ? [] : [this.shared.own(`SET CONSTRAINTS ${names.join(', ')} DEFERRED`)]
  }

  /** Also those that a transaction has deferred itself. */
  override check(): Step[] {
    return this.#deferred === null ? [] : [this.shared.own('SET CONSTRAINTS ALL IMMEDIATE')]
  }

  refusal(_view: SandboxView, { stmt: { cls, verb } }: Op): string | null {
    return cls === 'alone' && !harmless.has(verb)
      ? `${verb} as written here cannot run inside a transaction, and a sandbox is one. Run it outside of the sandbox.`
      : null
  }

  aborted(message: string): Failure {
    return serverError(State.aborted, message)
  }

  override outside(kind: string): Failure {
    const verb = kind === 'savepoint' ? '' : `${kind.toUpperCase()} `
    return serverError(State.notInTransaction, `${verb}SAVEPOINT can only be used in transaction blocks`)
  }

  stepsFor({ settings }: SandboxView): Step[] {
    if (this.inForce === (settings.at(-1) ?? null)) return []
    const shared = this.shared
    return [
      ...this.#clean.map((text) => shared.own(text)),
      ...settings.map(({ op }) => new Step(op.stmt, null, op.params)),
      ...(this.#limited ? [shared.own(this.#unlimit)] : this.behind(settings.map(({ op }) => op))),
    ]
  }

  applied({ settings }: SandboxView): void {
    this.inForce = settings.at(-1) ?? null
  }

  note(view: SandboxView, op: Op): void {
    const { verb, text, dirties, cls } = op.stmt
    view.holds |= dirties & held
    this.#stale ||= (dirties & Dirty.unknown) !== 0 || cls === 'alone'
    const session = (dirties & settingBits) !== 0
    const sets = verb === 'SET' || verb === 'RESET'
    if (!(session || sets || setter.test(text)) || /^\s*set\s+(?:constraints|transaction)\b/i.test(text)) return
    if (!session && view.transaction === null) this.inForce = undefined
    else if (cls !== 'multi' && (sets || verb === 'SELECT')) {
      if (view.transaction === null) view.settings = view.settings.filter(({ op: old }) => !same(old, op))
      view.settings.push((this.inForce = { op, local: !session }))
    }
  }

  /** Settings go back with all else. */
  override restore({ view, settings, inForce }: Savepoint): void {
    view.settings.length = Math.min(view.settings.length, settings)
    this.inForce = inForce
  }

  /** Local settings are over. */
  override committed(view: SandboxView, outermost: boolean): void {
    const kept = view.settings.filter(({ local }) => !local)
    // Settings made inside functions are not seen; where nobody else's can be hit everything is set again.
    if (outermost || kept.length < view.settings.length) this.inForce = undefined
    view.settings = kept
  }

  forget(view: SandboxView, dirty: number): void {
    if (view.settings.length > 0 || dirty !== 0) this.inForce = undefined
    view.settings = []
    view.holds = 0
    this.#leftovers |= dirty & (held | Dirty.unknown)
  }

  /** … unless somebody's own would be undone with it. */
  async cleanUp(): Promise<void> {
    await this.#learnDeferred()
    for (const { transaction, holds } of this.shared.views) if (transaction !== null || holds !== 0) return
    const bits = (this.#leftovers & Dirty.unknown) === 0 ? this.#leftovers : this.#leftovers | anything
    const steps = undoes.filter(([bit]) => (bits & held & bit) !== 0).map(([, sql]) => this.shared.own(sql))
    this.#leftovers = 0
    if (steps.length > 0) await this.shared.guarded(steps)
  }
}

function setsLimit({ stmt: { text }, params }: Op): boolean {
  return [text, ...params].some((each) => typeof each === 'string' && limitNames.test(each))
}

function same(one: Op, other: Op): boolean {
  return one.stmt.text === other.stmt.text && one.params.every((value, at) => value === other.params[at])
}
