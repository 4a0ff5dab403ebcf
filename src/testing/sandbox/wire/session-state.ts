// Session state of views that share one session. Every view has its own settings: they are remembered, and made
// again when the view's turn comes after somebody else's. Other things that a session can hold (temporary tables, locks, …) are
// undone once the view that made them has come back and nobody is in the way.
import type { Op } from '../../../driver/driver.ts'
import { Dirty } from '../../../sql/compiled.ts'
import { statementsOf } from '../../../postgres/lexer.ts'
import { baseline as reading, resetText, undoes } from '../../../postgres/session-sql.ts'
import type { SessionView, SessionWire, Setting, Savepoint, SharedSession } from '../contract.ts'
import { DeferredConstraints } from './constraints.ts'
import { Step } from './step.ts'

const settingBits = Dirty.settings | Dirty.role | Dirty.framed
const held = Dirty.locks | Dirty.cursors | Dirty.temp | Dirty.prepared
/** The possible remains of a view that may have left anything: statements prepared by name are seen. */
const anything = held & ~Dirty.prepared

export class SessionState implements SharedSession {
  /** The serial of the last setting in force: 0 is the session as it was lent, -1 not known. */
  inForce = 0
  readonly constraints: DeferredConstraints
  readonly #shared: SessionWire
  /** Makes the session what it was when it was lent, statement by statement. */
  #clean: readonly string[] = []
  #serials = 0
  #leftovers = 0

  constructor(shared: SessionWire) {
    this.#shared = shared
    this.constraints = new DeferredConstraints(shared)
  }

  /** Remembers what the session is like before anything is changed. */
  async learn(): Promise<void> {
    const shared = this.#shared
    const asked = shared.own('select session_user as name')
    await shared.guarded([asked])
    const [row] = asked.rows as { name: string }[]
    // DEFAULT is not the user of every driver.
    const user = row === undefined ? 'DEFAULT' : shared.engine.dialect.quote(row.name)
    let { baseline } = shared.raw as { readonly baseline?: string | undefined }
    if (baseline === undefined) {
      // The driver does not say how its sessions begin. Settings with a dot in their names are not listed.
      const { sql, params } = reading.read([])
      const settings = shared.own(sql, params)
      await shared.guarded([settings])
      baseline = reading.restore(settings.rows as Record<string, unknown>[])
    }
    this.#clean = statementsOf(resetText(false, Dirty.role | Dirty.settings, user, baseline))
    await this.constraints.learn()
  }

  /** Puts the settings of a view in force; nothing when they are. */
  stepsFor({ settings }: SessionView): Step[] {
    if (this.inForce === lastOf(settings)) return []
    const shared = this.#shared
    return [
      ...this.#clean.map((text) => shared.own(text)),
      ...settings.map(({ op }) => new Step(op.stmt, null, op.params)),
    ]
  }

  /** Those steps have run. */
  applied({ settings }: SessionView): void {
    this.inForce = lastOf(settings)
  }

  /** A statement of a view has run: remembers what it set. */
  note(view: SessionView, op: Op): void {
    const { verb, text, dirties, cls } = op.stmt
    view.holds |= dirties & held
    if ((dirties & Dirty.unknown) !== 0 || cls === 'alone') this.constraints.stale = true
    const session = (dirties & settingBits) !== 0
    const sets = verb === 'SET' || verb === 'RESET' || /set_config/i.test(text)
    if (!(sets || session) || /^\s*set\s+(?:constraints|transaction)\b/i.test(text)) return
    if (!session && view.transaction === null) this.inForce = -1
    else if (cls !== 'multi' && (verb === 'SET' || verb === 'RESET' || verb === 'SELECT')) {
      const setting = { serial: ++this.#serials, op, local: !session }
      if (view.transaction === null) view.settings = view.settings.filter(({ op: old }) => !same(old, op))
      view.settings.push(setting)
      this.inForce = setting.serial
    }
  }

  /** The server went back to a savepoint, and the settings with it. */
  restore({ view, settings, inForce }: Savepoint): void {
    view.settings.length = Math.min(view.settings.length, settings)
    this.inForce = inForce
  }

  /** The transaction of a view was released: its local settings are over. */
  committed(view: SessionView, outermost: boolean): void {
    const kept = view.settings.filter(({ local }) => !local)
    // Settings made inside functions are not seen; where nobody else's can be hit everything is set again.
    if (outermost || kept.length < view.settings.length) this.inForce = -1
    view.settings = kept
  }

  /** A view came back: nothing of its session may be left. */
  forget(view: SessionView, dirty: number): void {
    if (view.settings.length > 0 || dirty !== 0) this.inForce = -1
    view.settings = []
    view.holds = 0
    this.#leftovers |= dirty & (held | Dirty.unknown)
  }

  /** Undoes what is left of views that came back, unless somebody's own would be undone with it. */
  async cleanUp(): Promise<void> {
    await this.constraints.learn()
    if (this.#leftovers === 0) return
    const bits = (this.#leftovers & Dirty.unknown) === 0 ? this.#leftovers : this.#leftovers | anything
    for (const { transaction, holds } of this.#shared.views) if (transaction !== null || holds !== 0) return
    const steps = undoes.filter(([bit]) => (bits & held & bit) !== 0).map(([, sql]) => this.#shared.own(sql))
    this.#leftovers = 0
    await this.#shared.guarded(steps)
  }
}

function lastOf(settings: readonly Setting[]): number {
  return settings.at(-1)?.serial ?? 0
}

function same(one: Op, other: Op): boolean {
  return one.stmt.text === other.stmt.text && one.params.every((value, at) => value === other.params[at])
}
