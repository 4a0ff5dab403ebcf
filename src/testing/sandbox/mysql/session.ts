// One session of MySQL for all views. Each has its own variables, settings and database: where the turn goes to another view, the
// server itself puts away what one has set and takes out that of the other, so values keep their types. No rollback takes
// them back. Temporary tables and locks go when the view that made them has come back.
import type { Op } from '../../../driver/driver.ts'
import { type Compiled, Dirty } from '../../../sql/compiled.ts'
import type { SessionView, SessionWire, SharedSession } from '../contract.ts'
import type { Step } from '../wire/step.ts'
import { databaseOf, temporaryOf, touchedBy } from './names.ts'

interface ViewState {
  readonly number: number
  readonly targets: Set<string>
  /** Null: that of the login. */
  database: string | null
  readonly temporary: Set<string>
}

/** Begins the names of the variables that keep the `last_insert_id()` of each view. */
const numberPrefix = 'genever_sandbox_number_'
const none: ReadonlySet<string> = new Set()
const held = Dirty.locks | Dirty.temp

export class MysqlSession implements SharedSession {
  readonly constraints: null = null
  inForce = 0
  /** The database of the login; empty for none. */
  home = ''
  /** Whose number `last_insert_id()` gives; null: that of a view which has come back, or of nobody. */
  numbered: SessionView | null = null
  readonly #shared: SessionWire
  readonly #states = new Map<SessionView, ViewState>()
  /** Those whose number is in a variable. */
  readonly #putAway = new WeakSet<SessionView>()
  /** Whose variables and settings the session has. */
  #holder: SessionView | null = null
  /** In force, of a view that has come back. */
  readonly #left = new Set<string>()
  /** The current database; null: not known. */
  #database: string | null = null
  /** Settings whose first value was put away. */
  readonly #known = new Set<string>()
  readonly #toDrop = new Set<string>()
  #toFree = false
  #numbers = 0
  /** Numbers of targets, for names that are short and never the same. */
  readonly #targets = new Map<string, number>()

  constructor(shared: SessionWire) {
    this.#shared = shared
  }

  async learn(): Promise<void> {
    const database = this.#shared.own('select database() as name')
    await this.#shared.send([database])
    const [row] = database.rows as { name: string | null }[]
    this.home = row?.name ?? ''
    this.#database = this.home
  }

  stepsFor(view: SessionView, ops: readonly Op[]): Step[] {
    const steps: Step[] = []
    const set = (changes: readonly string[]): void => {
      if (changes.length > 0) steps.push(this.#shared.own(`SET ${changes.join(', ')}`))
    }
    const fresh = targetsOf(ops).filter((target) => !target.startsWith('@') && !this.#known.has(target))
    set(fresh.map((target) => `${this.#kept(0, target)} = ${valueOf(target)}`))
    // It may be gone: then nothing behind it has run, and the session has what it had.
    const database = this.#databaseOf(view)
    if (database !== '' && database !== this.#database) {
      steps.push(this.#shared.own(`USE ${this.#shared.engine.dialect.quote(database)}`))
      this.#database = null
    }
    if (this.#holder !== view) {
      const holding = this.#holder === null ? undefined : this.#states.get(this.#holder)
      const had = holding?.targets ?? none
      const state = this.#states.get(view)
      const wants = state?.targets ?? none
      set(Array.from(had, (target) => `${this.#kept(holding?.number ?? 0, target)} = ${valueOf(target)}`))
      const all = new Set([...had, ...this.#left, ...wants])
      set(
        Array.from(all, (target) =>
          wants.has(target) ? `${target} = ${this.#kept(state?.number ?? 0, target)}` : this.#untouched(target),
        ),
      )
    }
    if (this.numbered !== view && ops.some(({ stmt }) => usesNumber(stmt))) {
      const putAway = this.numbered === null ? [] : [`${this.#numberOf(this.numbered)} = LAST_INSERT_ID()`]
      const own = this.#putAway.has(view) ? this.#numberOf(view) : '0'
      set([...putAway, `@${numberPrefix}0 = LAST_INSERT_ID(${own})`])
      if (this.numbered !== null) this.#putAway.add(this.numbered)
    }
    return steps
  }

  applied(view: SessionView, ops: readonly Op[]): void {
    const targets = targetsOf(ops)
    if (targets.length > 0 || this.#holder !== null || this.#left.size > 0) this.#holder = view
    this.#left.clear()
    this.#database = this.#databaseOf(view)
    for (const target of targets) {
      this.#stateOf(view).targets.add(target)
      if (!target.startsWith('@')) this.#known.add(target)
    }
    if (ops.some(({ stmt }) => usesNumber(stmt))) this.numbered = view
  }

  note(view: SessionView, { stmt }: Op): void {
    view.holds |= stmt.dirties & held
    const database = databaseOf(stmt)
    if (database !== null) {
      this.#stateOf(view).database = database
      this.#database = database
    }
    const made = temporaryOf(stmt)
    if (made === null) return
    const { dialect } = this.#shared.engine
    const name = made.length > 1 || this.#database === null ? made : [this.#database, ...made]
    this.#stateOf(view).temporary.add(name.map((part) => dialect.quote(part)).join('.'))
  }

  restore(): void {}

  committed(): void {}

  forget(view: SessionView, dirty: number): void {
    const state = this.#states.get(view)
    this.#states.delete(view)
    if (this.#holder === view) {
      for (const target of state?.targets ?? none) this.#left.add(target)
      this.#holder = null
    }
    for (const name of state?.temporary ?? none) this.#toDrop.add(name)
    if ((view.holds & Dirty.locks) !== 0) this.#toFree = true
    // The client's own object, or a function, may have gone elsewhere.
    if ((dirty & Dirty.unknown) !== 0) this.#database = null
    if (this.numbered === view) this.numbered = null
    this.#putAway.delete(view)
    view.holds = 0
  }

  async cleanUp(): Promise<void> {
    const steps: Step[] = []
    if (this.#toDrop.size > 0)
      steps.push(this.#shared.own(`DROP TEMPORARY TABLE IF EXISTS ${[...this.#toDrop].join(', ')}`))
    this.#toDrop.clear()
    if (this.#toFree && ![...this.#shared.views].some(({ holds }) => (holds & Dirty.locks) !== 0)) {
      this.#toFree = false
      steps.push(this.#shared.own('DO RELEASE_ALL_LOCKS()'))
    }
    if (steps.length > 0) await this.#shared.guarded(steps)
  }

  /** The variable in which the value of a target is put away: of view `number`, or 0 for what the session began with. */
  #kept(number: number, target: string): string {
    let at = this.#targets.get(target)
    if (at === undefined) this.#targets.set(target, (at = this.#targets.size))
    return `@genever_sandbox_${number}_${at}`
  }

  /** Gives a target the value that it has where no view has set it. */
  #untouched(target: string): string {
    if (target.startsWith('@')) return `${target} = NULL`
    // A value would stop the clock.
    return `${target} = ${target === 'SESSION timestamp' ? 'DEFAULT' : this.#kept(0, target)}`
  }

  #numberOf(view: SessionView): string {
    return `@${numberPrefix}${this.#stateOf(view).number}`
  }

  #databaseOf(view: SessionView): string {
    return this.#states.get(view)?.database ?? this.home
  }

  #stateOf(view: SessionView): ViewState {
    let state = this.#states.get(view)
    if (state === undefined) {
      state = { number: ++this.#numbers, targets: new Set(), database: null, temporary: new Set() }
      this.#states.set(view, state)
    }
    return state
  }
}

const counting: ReadonlySet<string> = new Set(['INSERT', 'REPLACE', 'LOAD'])

/** Whether a statement may give `last_insert_id()` another value, or asks for it. */
export function usesNumber({ verb, text }: Compiled): boolean {
  return counting.has(verb) || /\b(?:last_insert_id|identity)\b/i.test(text)
}

function targetsOf(ops: readonly Op[]): string[] {
  return ops.flatMap(({ stmt }) => touchedBy(stmt).targets)
}

function valueOf(target: string): string {
  return target.replace(/^SESSION /, '@@session.')
}
