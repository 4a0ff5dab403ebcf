// What the functions of one database may do to a session, read from its catalogue once per engine. A statement is held
// against it by its mentions. Nothing here sends anything: the engine runs `catalogueQuery` and gives the answer.
import { Dirty } from '../../sql/compiled.ts'
import type { FunctionBook, FunctionDialect, KnownFunctions, Reach } from '../../sql/functions.ts'
import { effectOf, namesSession } from '../verdict.ts'
import { type CatalogueAnswer, catalogueQuery } from './catalogue-query.ts'
import { judgeSource, mentionsOf } from './mentions.ts'

/** Volatile, and still of no effect on anything: they may run on any connection. */
const aimless: ReadonlySet<string> = new Set([
  'clock_timestamp',
  'timeofday',
  'random',
  'random_normal',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'pg_sleep',
  'pg_sleep_for',
  'pg_sleep_until',
])

/** They describe the session that asks, so another connection would answer otherwise. */
const ofSession: ReadonlySet<string> = new Set(
  `pg_backend_pid pg_my_temp_schema pg_is_other_temp_schema pg_listening_channels inet_client_addr inet_client_port inet_server_addr
  inet_server_port pg_cursor pg_cursors pg_prepared_statement pg_prepared_statements pg_lock_status pg_locks pg_current_xact_id
  pg_current_xact_id_if_assigned txid_current txid_current_if_assigned pg_export_snapshot pg_stat_get_xact_tuples_inserted
  pg_get_backend_memory_contexts pg_backend_memory_contexts pg_notification_queue_usage pg_temp pg_trigger_depth currval lastval nextval
  setval pg_advisory_lock pg_blocking_pids pg_safe_snapshot_blocking_pids`.split(/\s+/),
)

/** Verbs that leave nothing but what their own text shows, and what the functions do that they call. */
const shown: ReadonlySet<string> = new Set(
  `select values table with insert update delete merge copy create alter drop comment grant revoke reassign truncate call vacuum
  analyze explain lock show begin start commit end rollback abort savepoint release set reset listen unlisten notify prepare
  deallocate declare fetch move close discard checkpoint security reindex cluster import (`.split(/\s+/),
)

const definition = /^(?:create|alter|drop|comment|grant|revoke|security|import|reindex|refresh)$/

/** Operators that keywords mean too: IN, BETWEEN, LIKE, IS DISTINCT FROM and the like. */
const spoken: ReadonlySet<string> = new Set('= <> < > <= >= ~~ !~~ ~~* !~~*'.split(' '))

interface Own {
  stateful: boolean
  asks: boolean
  plain: boolean
  draws: boolean
}

export class Catalogue implements FunctionBook {
  readonly #volatile: ReadonlySet<string>
  readonly #builtin: ReadonlySet<string>
  /** Names of functions outside of PostgreSQL: what the functions of that name may do. */
  readonly #own = new Map<string, Own>()
  /** What a write of a table calls that may leave state: triggers, rules, defaults and the like. */
  readonly #triggers = new Map<string, string[]>()
  /** Views that call what is not plain, and those that call what may change something. */
  readonly #unplainViews = new Set<string>()
  readonly #doingViews = new Set<string>()
  /** Views, tables with policies and types, by name: what they call that may leave state. */
  readonly #readers = new Map<string, string>()
  /** Operators that call what may leave state. */
  readonly #leavingOperators = new Map<string, string>()
  /** Functions that can be called like columns. */
  readonly #fields = new Set<string>()
  /** Any text may call what may change something, by a cast or an operator; or those with one of these operators or domains. */
  #anywhere = false
  readonly #operators: string[] = []
  readonly #domains = new Set<string>()
  readonly #events: readonly string[]
  readonly hidden: readonly string[]
  readonly judgesReads: boolean
  readonly readsLeave: boolean

  constructor(answer: CatalogueAnswer, known: KnownFunctions) {
    this.#volatile = new Set(answer.volatile)
    this.#builtin = new Set(answer.builtin)
    for (const { name, field } of answer.functions) if (field === true) this.#fields.add(name)
    const { leaving, asking, drawing } = judge(answer, known, this.#fields)
    for (const { name, volatile, extension } of answer.functions) {
      const before = this.#own.get(name)
      const [stateful, asks] = [leaving.has(name), asking.has(name)]
      const plain = (known.harmless.has(name) || (extension && !volatile)) && !stateful && !asks
      this.#own.set(name, { stateful, asks, plain: plain && (before?.plain ?? true), draws: drawing.has(name) })
    }
    for (const name of known.stateful)
      this.#own.set(name, { stateful: true, asks: asking.has(name), plain: false, draws: true })
    for (const { table, function: name } of answer.triggers)
      if (leaving.has(name)) this.#fires(table, `${name} (a trigger of ${table})`)
    for (const table of answer.rules) this.#fires(table, `the rules of ${table}`)
    for (const { view, function: name } of answer.views) {
      if (!this.#isPlain(name)) this.#unplainViews.add(view)
      if (!this.#mayRepeat(name)) this.#doingViews.add(view)
      if (leaving.has(name)) this.#readers.set(view, `${name} (of the view ${view})`)
    }
    for (const { table, function: name } of answer.policies) {
      if (!this.#isPlain(name)) this.#unplainViews.add(table)
      if (!this.#mayRepeat(name)) this.#doingViews.add(table)
    }
    for (const { kind, name, function: called } of answer.unseen) {
      if (this.#mayRepeat(called)) continue
      if (kind === 'domain') this.#domains.add(name)
      else if (kind === 'operator' && !spoken.has(name)) this.#operators.push(name)
      else this.#anywhere = true
    }
    this.#events = answer.events.filter((name) => leaving.has(name))
    this.hidden = this.#within(answer, leaving)
    this.#spread(answer)
    this.readsLeave = this.hidden.length + this.#leavingOperators.size + this.#readers.size > 0
    this.judgesReads = this.#actsUnseen()
  }

  #fires(table: string, what: string): void {
    append(this.#triggers, table, what)
  }

  /** Notes what calls functions that may leave something. Gives those that no text shows. */
  #within({ within }: CatalogueAnswer, leaving: ReadonlySet<string>): readonly string[] {
    const unseen = new Set<string>()
    for (const { kind, name, function: called } of within)
      if (!leaving.has(called)) continue
      else if (kind === 'write') this.#fires(name, `${called} (a default, constraint, index or type of ${name})`)
      else if (kind === 'read') this.#readers.set(name, `${called} (a policy of ${name})`)
      else if (kind === 'type') this.#readers.set(name, `${called} (of the type ${name})`)
      else if (kind === 'operator' && !spoken.has(name))
        this.#leavingOperators.set(name, `${called} (the operator ${name})`)
      else if (kind !== 'function') unseen.add(called)
    return [...unseen]
  }

  /** Whether a text without a call may change something, or leave something in the session: by a view, a field, a cast or an operator. */
  #actsUnseen(): boolean {
    if (this.readsLeave || this.#anywhere || this.#operators.length > 0) return true
    if (this.#doingViews.size > 0 || this.#domains.size > 0) return true
    for (const name of this.#fields) if (this.#own.get(name)?.stateful === true || !this.#mayRepeat(name)) return true
    return false
  }

  /** Whether a text may call something that may change something without a name for it. */
  #hides(text: string, names: ReadonlySet<string>): boolean {
    if (this.#anywhere || this.#operators.some((operator) => text.includes(operator))) return true
    for (const name of this.#domains) if (names.has(name)) return true
    return false
  }

  /** A view that reads another does what that one does. */
  #spread({ nested }: CatalogueAnswer): void {
    const count = (): number => this.#unplainViews.size + this.#doingViews.size + this.#readers.size
    for (let before = -1; before !== count();) {
      before = count()
      for (const { view, within } of nested) {
        const what = this.#readers.get(within)
        if (what !== undefined && !this.#readers.has(view)) this.#readers.set(view, what)
        for (const views of [this.#unplainViews, this.#doingViews]) if (views.has(within)) views.add(view)
      }
    }
  }

  reachOf(text: string): Reach {
    const { calls: called, fields, writes, names, verbs } = mentionsOf(text)
    const calls = [...called]
    for (const name of fields) if (this.#fields.has(name) && !called.includes(name)) calls.push(name)
    const own = calls.map((name) => this.#own.get(name))
    const direct = calls.filter(
      (name, at) => own[at]?.stateful === true || ((effectOf(name)?.[0] ?? 0) & Dirty.unknown) !== 0,
    )
    const opaque = verbs.filter((verb) => !shown.has(verb)).map((verb) => verb.toUpperCase())
    const triggered = writes.flatMap((table) => this.#triggers.get(table) ?? [])
    if (this.#readers.size > 0)
      for (const name of names) {
        const what = this.#readers.get(name)
        if (what !== undefined) triggered.push(what)
      }
    for (const [operator, what] of this.#leavingOperators) if (text.includes(operator)) triggered.push(what)
    triggered.push(...this.hidden)
    if (verbs.some((verb) => definition.test(verb)))
      triggered.push(...this.#events.map((name) => `${name} (an event trigger)`))
    const stateful = [...direct, ...opaque, ...triggered]
    let plain = stateful.length === 0
    if (plain) for (const name of calls) plain &&= this.#isPlain(name)
    if (plain) for (const name of names) plain &&= !isOfSession(name) && !this.#unplainViews.has(name)
    const hides = this.#hides(text, names)
    plain &&= !hides
    let once = stateful.length > 0 || hides
    if (!plain && !once) {
      for (const name of calls) once ||= !this.#mayRepeat(name)
      for (const name of names) once ||= this.#doingViews.has(name)
    }
    return {
      stateful,
      triggered,
      asks: calls.filter((_, at) => own[at]?.asks === true),
      draws: own.some((each) => each?.draws === true),
      plain,
      once,
      unknown: calls.filter((name) => !this.#own.has(name) && !this.#builtin.has(name)),
    }
  }

  /** A name that also exists outside of PostgreSQL counts as the user's. */
  #isPlain(name: string): boolean {
    const own = this.#own.get(name)
    if (own !== undefined) return own.plain
    return aimless.has(name) || (!this.#volatile.has(name) && !isOfSession(name))
  }

  /** Whether a second call changes nothing. */
  #mayRepeat(name: string): boolean {
    const own = this.#own.get(name)
    if (own !== undefined) return own.plain
    const tells = namesSession(name) && effectOf(name) === undefined
    return tells || aimless.has(name) || !this.#volatile.has(name)
  }
}

function append(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

const isOfSession = (name: string): boolean => ofSession.has(name) || namesSession(name)

/** The judgement of all functions of a database, by their sources and by what they reach. */
interface Judged {
  /** Functions that may leave something, those of PostgreSQL among them that are called where no text shows it. */
  readonly leaving: ReadonlySet<string>
  /** Functions that ask for the numbers which their session has drawn. */
  readonly asking: ReadonlySet<string>
  /** Functions that draw such numbers. */
  readonly drawing: ReadonlySet<string>
}

interface Caller {
  readonly name: string
  readonly calls: readonly string[]
}

// Callers that are not functions, as names beside those of functions.
const write = (table: string): string => `write ${table}`
const read = (relation: string): string => `read ${relation}`
const use = (operator: string): string => `use ${operator}`

/** Whether a function of PostgreSQL leaves something, if its arguments are not known. */
const leavesByItself = (name: string): boolean => name === 'set_config' || (effectOf(name)?.[0] ?? 0) !== 0

function judge(answer: CatalogueAnswer, known: KnownFunctions, columns: ReadonlySet<string>): Judged {
  const { harmless } = known
  const leaving = new Set<string>(known.stateful)
  const asking = new Set<string>()
  const drawing = new Set<string>()
  const callers = hiddenCallers(answer)
  const hidden = new Set(callers.map(({ name }) => name))
  const operators = new Set<string>()
  for (const { kind, name } of answer.within) if (kind === 'operator') operators.add(name)
  for (const { calls } of callers) for (const each of calls) if (leavesByItself(each)) leaving.add(each)
  for (const { name, language, source, defined, extension, parts } of answer.functions) {
    if (extension) continue
    if (parts !== null) {
      callers.push({ name, calls: parts })
      continue
    }
    const { leaves, asks, draws, calls, fields, writes, names } = judgeSource(language, source, defined)
    if (asks) asking.add(name)
    if (draws) drawing.add(name)
    if (leaves && !harmless.has(name)) leaving.add(name)
    // The arguments that a source gives to functions of PostgreSQL were judged with it.
    const followed = calls.filter((each) => !leavesByItself(each))
    for (const field of fields) if (columns.has(field)) followed.push(field)
    for (const table of writes) if (hidden.has(write(table))) followed.push(write(table))
    for (const relation of names) if (hidden.has(read(relation))) followed.push(read(relation))
    for (const operator of operators) if (source.includes(operator)) followed.push(use(operator))
    callers.push({ name, calls: followed })
  }
  for (let before = -1; before !== leaving.size + asking.size + drawing.size;) {
    before = leaving.size + asking.size + drawing.size
    for (const { name, calls } of callers) {
      if (!harmless.has(name) && calls.some((each) => each !== name && leaving.has(each))) leaving.add(name)
      for (const found of [asking, drawing]) if (calls.some((each) => found.has(each))) found.add(name)
    }
  }
  return { leaving, asking, drawing }
}

/** Triggers, views, policies and the like, with the functions that they call. */
function hiddenCallers({ triggers, views, nested, within }: CatalogueAnswer): Caller[] {
  const calls = new Map<string, string[]>()
  const add = (name: string, called: string): void => append(calls, name, called)
  for (const { table, function: called } of triggers) add(write(table), called)
  for (const { view, function: called } of views) add(read(view), called)
  for (const { view, within: inner } of nested) add(read(view), read(inner))
  for (const { kind, name, function: called } of within)
    if (kind === 'function') add(name, called)
    else if (kind === 'write') add(write(name), called)
    else if (kind === 'operator') add(use(name), called)
    else if (kind !== 'anywhere') add(read(name), called)
  return [...calls].map(([name, called]) => ({ name, calls: called }))
}

export const functions: FunctionDialect = Object.freeze<FunctionDialect>({
  query: catalogueQuery,
  read: (answer, known) => new Catalogue(JSON.parse(answer) as CatalogueAnswer, known),
  changes: (text) => mentionsOf(text).changes,
})
