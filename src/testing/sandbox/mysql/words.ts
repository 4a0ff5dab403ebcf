// MySQL and MariaDB in a sandbox: an error ends one statement, settings outlive a rollback, and much commits by itself. Each view has its
// own variables, settings and database: where the turn goes to another, the server itself puts away what one has set and takes out
// that of the other, so values keep their types. Temporary tables and locks go when the view that made them has come back.
import type { Failure, Op } from '../../../driver/driver.ts'
import { TransactionStateError } from '../../../errors/index.ts'
import { controlOf } from '../../../mysql/control.ts'
import { readsOnly } from '../../../mysql/errno.ts'
import { type Compiled, Dirty, Pin } from '../../../sql/compiled.ts'
import { refusedWith, type SandboxView, serverError, type Step, Words } from '../contract.ts'
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
/** Questions about the statement before, which in a sandbox may be one of the sandbox itself. */
const asksLast =
  /\b(?:row_count|found_rows)\s*\(|@@\s*(?:session\.)?(?:warning_count|error_count)\b|^\s*(?:show|get)\b/i
const writes = new Set(['INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'LOAD'])
/** WITH … UPDATE. */
const changesBehind = /\)\s*(?:insert|replace|update|delete)\b/i
const notTransactional = '1196'

export class MysqlWords extends Words {
  readonly control: typeof controlOf = controlOf
  readonly lenient = true
  readonly started = 'START'
  readonly level = "show session variables where variable_name in ('tx_isolation', 'transaction_isolation')"
  readonly readOnly: null = null
  /** The database of the login; empty for none. */
  #home = ''
  /** Whose number `last_insert_id()` gives; null: that of a view which has come back, or of nobody. */
  #numbered: SandboxView | null = null
  readonly #states = new Map<SandboxView, ViewState>()
  /** Those whose number is in a variable. */
  readonly #putAway = new WeakSet<SandboxView>()
  /** Whose variables and settings the session has. */
  #holder: SandboxView | null = null
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

  async learn(): Promise<void> {
    const database = this.shared.own('select database() as name')
    await this.shared.send([database])
    const [row] = database.rows as { name: string | null }[]
    this.#home = row?.name ?? ''
    this.#database = this.#home
  }

  stepsFor(view: SandboxView, ops: readonly Op[]): Step[] {
    const steps: Step[] = []
    const set = (changes: readonly string[]): void => {
      if (changes.length > 0) steps.push(this.shared.own(`SET ${changes.join(', ')}`))
    }
    const fresh = targetsOf(ops).filter((target) => !target.startsWith('@') && !this.#known.has(target))
    set(fresh.map((target) => `${this.#kept(0, target)} = ${valueOf(target)}`))
    // It may be gone: then nothing behind it has run, and the session has what it had.
    const database = this.#databaseOf(view)
    if (database !== '' && database !== this.#database) {
      steps.push(this.shared.own(`USE ${this.shared.engine.dialect.quote(database)}`))
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
    if (this.#numbered !== view && ops.some(({ stmt }) => usesNumber(stmt))) {
      const putAway = this.#numbered === null ? [] : [`${this.#numberOf(this.#numbered)} = LAST_INSERT_ID()`]
      const own = this.#putAway.has(view) ? this.#numberOf(view) : '0'
      set([...putAway, `@${numberPrefix}0 = LAST_INSERT_ID(${own})`])
      if (this.#numbered !== null) this.#putAway.add(this.#numbered)
    }
    return steps
  }

  applied(view: SandboxView, ops: readonly Op[]): void {
    const targets = targetsOf(ops)
    if (targets.length > 0 || this.#holder !== null || this.#left.size > 0) this.#holder = view
    this.#left.clear()
    this.#database = this.#databaseOf(view)
    for (const target of targets) {
      this.#stateOf(view).targets.add(target)
      if (!target.startsWith('@')) this.#known.add(target)
    }
    if (ops.some(({ stmt }) => usesNumber(stmt))) this.#numbered = view
  }

  note(view: SandboxView, { stmt }: Op): void {
    view.holds |= stmt.dirties & held
    const database = databaseOf(stmt)
    if (database !== null) {
      this.#stateOf(view).database = database
      this.#database = database
    }
    const made = temporaryOf(stmt)
    if (made === null) return
    const { dialect } = this.shared.engine
    const name = made.length > 1 || this.#database === null ? made : [this.#database, ...made]
    this.#stateOf(view).temporary.add(name.map((part) => dialect.quote(part)).join('.'))
  }

  forget(view: SandboxView, dirty: number): void {
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
    if (this.#numbered === view) this.#numbered = null
    this.#putAway.delete(view)
    view.holds = 0
  }

  async cleanUp(): Promise<void> {
    const steps: Step[] = []
    if (this.#toDrop.size > 0)
      steps.push(this.shared.own(`DROP TEMPORARY TABLE IF EXISTS ${[...this.#toDrop].join(', ')}`))
    this.#toDrop.clear()
    if (this.#toFree && ![...this.shared.views].some(({ holds }) => (holds & Dirty.locks) !== 0)) {
      this.#toFree = false
      steps.push(this.shared.own('DO RELEASE_ALL_LOCKS()'))
    }
    if (steps.length > 0) await this.shared.guarded(steps)
  }

  override async rollBack(): Promise<string | null> {
    // A ROLLBACK leaves older warnings where they are; a statement with a table does not.
    await this.shared.send([this.shared.own('select 1 from (select 1) as cleared')])
    await super.rollBack()
    const warnings = this.shared.own('show warnings')
    await this.shared.send([warnings])
    const rows = warnings.rows as { Code: number }[]
    return rows.some(({ Code }) => String(Code) === notTransactional)
      ? 'A table was changed whose engine has no transactions, such as MyISAM, Aria or MEMORY: these changes stay. Make the tables of ' +
          'tests with ENGINE = InnoDB.'
      : null
  }

  refusal(view: SandboxView, { stmt }: Op): string | Failure | null {
    const { cls, verb, dirties, pins, text } = stmt
    if (cls === 'commits')
      return verb === 'CALL'
        ? 'CALL cannot run in a sandbox, because a procedure of MySQL may commit. Run it outside of the sandbox.'
        : `${verb} commits what was done before on MySQL, so a sandbox could not take it back. Run it outside of the sandbox.`
    if ((dirties & Dirty.role) !== 0)
      return 'SET ROLE cannot run in a sandbox, because MySQL does not say which role to go back to.'
    if ((dirties & (Dirty.prepared | Dirty.cursors)) !== 0)
      return `${verb} cannot run in a sandbox, where all connections are one session. Test it outside of one.`
    const { beyond } = touchedBy(stmt)
    if (beyond !== null || (verb === 'SET' && cls === 'write' && dirties === 0))
      return `${beyond ?? 'SET GLOBAL'} cannot run in a sandbox: it acts on more than the session, or on transactions that begin later.`
    if (databaseOf(stmt) !== null && this.#home === '')
      return 'USE cannot run in this sandbox, because its connection began without a database to go back to. Give the URL one.'
    if (cls === 'control') return controlRefusal(view, text)
    const change = writes.has(verb) || (verb === 'WITH' && cls === 'write' && changesBehind.test(text))
    if (change && view.transaction?.readOnly === true)
      return serverError(String(readsOnly.errno), readsOnly.message, readsOnly.sqlState)
    return (pins & Pin.sequences) !== 0 && verb !== 'SIGNAL' && verb !== 'RESIGNAL' ? this.#asked(view, stmt) : null
  }

  aborted(message: string): Failure {
    return refusedWith(new TransactionStateError(`${message[0]?.toUpperCase()}${message.slice(1)}.`))
  }

  #asked(view: SandboxView, stmt: Compiled): string | null {
    // Each view has what last_insert_id() gives it. Where that is not in the session, a statement of the sandbox puts it there.
    const has = this.#numbered === view || !usesNumber(stmt)
    const behind = (view.transaction?.savepoint ?? null) !== null && this.shared.last === view
    return !asksLast.test(stmt.text) || (behind && has)
      ? null
      : 'In a sandbox this would answer for a statement of another connection, or of the sandbox: all connections are one session. Use ' +
          'the answer of status(), or ask in the transaction of the statement, right behind it.'
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

  #numberOf(view: SandboxView): string {
    return `@${numberPrefix}${this.#stateOf(view).number}`
  }

  #databaseOf(view: SandboxView): string {
    return this.#states.get(view)?.database ?? this.#home
  }

  #stateOf(view: SandboxView): ViewState {
    let state = this.#states.get(view)
    if (state === undefined) {
      state = { number: ++this.#numbers, targets: new Set(), database: null, temporary: new Set() }
      this.#states.set(view, state)
    }
    return state
  }
}

function controlRefusal({ transaction }: SandboxView, text: string): string | null {
  const control = controlOf(text)
  if (control.kind === 'begin' && (transaction?.savepoint ?? null) !== null)
    return 'BEGIN inside a transaction commits it on MySQL. COMMIT first, or use a savepoint.'
  if (control.kind !== 'modes') return null
  if (transaction !== null) return 'SET TRANSACTION cannot run inside a transaction on MySQL: run it before BEGIN.'
  return control.readOnly ? 'SET TRANSACTION READ ONLY cannot run in a sandbox: use START TRANSACTION READ ONLY.' : null
}

const counting: ReadonlySet<string> = new Set(['INSERT', 'REPLACE', 'LOAD'])

/** Whether a statement may give `last_insert_id()` another value, or asks for it. */
function usesNumber({ verb, text }: Compiled): boolean {
  return counting.has(verb) || /\b(?:last_insert_id|identity)\b/i.test(text)
}

function targetsOf(ops: readonly Op[]): string[] {
  return ops.flatMap(({ stmt }) => touchedBy(stmt).targets)
}

function valueOf(target: string): string {
  return target.replace(/^SESSION /, '@@session.')
}
