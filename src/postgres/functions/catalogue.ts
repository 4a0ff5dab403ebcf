// What the functions of one database may do to a session, read from its catalogue once per engine. A statement is held
// against it by its mentions. Nothing here sends anything: the engine runs `catalogueQuery` and gives the answer.
import { Dirty } from '../../sql/compiled.ts'
import type { FunctionBook, FunctionDialect, KnownFunctions, Reach } from '../../sql/functions.ts'
import { effectOf, namesSession } from '../verdict.ts'
import { judgeSource, mentionsOf } from './mentions.ts'

/** One row, one column: JSON, as `CatalogueAnswer` has it. Runs on PostgreSQL 12 and newer, and PGlite. */
export const catalogueQuery: string = `
with parts (aggregate, names) as (
  select a.aggfnoid::oid, json_agg(q.proname) from pg_aggregate a join pg_proc q on q.oid in (a.aggtransfn, a.aggfinalfn, a.aggcombinefn)
  where a.aggfnoid >= 16384 group by a.aggfnoid
), mine as (
  select p.oid, p.proname as name, l.lanname as language, p.provolatile = 'v' as volatile,
    p.prosrc = '' and p.prokind <> 'a' as defined, p.prosrc as source, parts.names as parts,
    p.oid in (select objid from pg_depend where classid = 'pg_proc'::regclass and deptype in ('e', 'i')) as extension,
    case when p.pronargs - p.pronargdefaults <= 1 and t.typtype in ('c', 'd', 'p') then true end as field
  from pg_proc p join pg_language l on l.oid = p.prolang left join parts on parts.aggregate = p.oid
    left join pg_type t on t.oid = p.proargtypes[0]
  where p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
), fired as (
  select t.tgrelid as relation, t.tgfoid as function from pg_trigger t where not t.tgisinternal and t.tgenabled <> 'D'
), reach (written, relation) as (
  select relation, relation from fired
  union select c.oid, c.oid from pg_class c join pg_rewrite r on r.ev_class = c.oid where r.ev_type <> '1'
), links (written, relation) as (
  select inhparent, inhrelid from pg_inherits
  union all select confrelid, conrelid from pg_constraint
    where contype = 'f' and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))
  union all select r.ev_class, d.refobjid from pg_rewrite r
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    where r.ev_type = '1' and d.refobjid <> r.ev_class
), called (rule, function) as (
  select objid, refobjid from pg_depend where classid = 'pg_rewrite'::regclass and refclassid = 'pg_proc'::regclass
  union select r.oid, p.oid from pg_rewrite r
    join pg_class c on c.oid = r.ev_class and c.relkind = 'v'
      and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    cross join lateral regexp_matches(r.ev_action::text, ':(?:op)?funcid ([0-9]+)', 'g') as found
    join pg_proc p on p.oid = found[1]::oid and p.oid < 16384 and p.provolatile <> 'i'
), policies (relation, function) as (
  select y.polrelid, p.oid from pg_policy y
    cross join lateral regexp_matches(concat(y.polqual::text, y.polwithcheck::text), ':(?:op)?funcid ([0-9]+)', 'g') as found
    join pg_proc p on p.oid = found[1]::oid and p.provolatile = 'v'
), unseen (kind, name, function) as (
  select 'operator', o.oprname, o.oprcode::oid from pg_operator o where o.oid >= 16384
  union all select 'domain', t.typname, found[1]::oid from pg_constraint c join pg_type t on t.oid = c.contypid
    cross join lateral regexp_matches(c.conbin::text, ':(?:op)?funcid ([0-9]+)', 'g') as found
  union all select 'cast', '', c.castfunc from pg_cast c where c.oid >= 16384 and c.castfunc <> 0
), closed as (
  select * from (
    with recursive all_reach (written, relation) as (
      select written, relation from reach
      union select l.written, a.relation from all_reach a join links l on l.relation = a.written
    ) select * from all_reach
  ) as reached
)
select json_build_object(
  'volatile', (select coalesce(json_agg(distinct proname), '[]') from pg_proc
    where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v'),
  'builtin', (select json_agg(name) from (
    select proname as name from pg_proc where pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    union select word from pg_get_keywords()) as known),
  'functions', (select coalesce(json_agg(json_build_object('name', name, 'language', language, 'volatile', volatile, 'defined', defined,
      'source', case when extension then '' when defined then pg_get_functiondef(oid) else source end, 'extension', extension,
      'parts', parts, 'field', field)), '[]') from mine),
  'triggers', (select coalesce(json_agg(distinct jsonb_build_object('table', c.relname, 'function', p.proname)), '[]')
    from closed r join fired f on f.relation = r.relation join pg_class c on c.oid = r.written join pg_proc p on p.oid = f.function),
  'rules', (select coalesce(json_agg(distinct c.relname), '[]') from closed x join pg_rewrite r on r.ev_class = x.relation and r.ev_type <> '1'
    join pg_class c on c.oid = x.written),
  'views', (select coalesce(json_agg(distinct jsonb_build_object('view', c.relname, 'function', p.proname)), '[]')
    from pg_rewrite r join pg_class c on c.oid = r.ev_class and c.relkind = 'v'
    join called d on d.rule = r.oid join pg_proc p on p.oid = d.function),
  'policies', (select coalesce(json_agg(distinct jsonb_build_object('table', c.relname, 'function', p.proname)), '[]')
    from policies y join pg_class c on c.oid = y.relation join pg_proc p on p.oid = y.function),
  'unseen', (select coalesce(json_agg(distinct jsonb_build_object('kind', u.kind, 'name', u.name, 'function', p.proname)), '[]')
    from unseen u join pg_proc p on p.oid = u.function and p.provolatile = 'v'
    where p.oid not in (select objid from pg_depend where classid = 'pg_proc'::regclass and deptype = 'e')),
  'nested', (select coalesce(json_agg(distinct jsonb_build_object('view', c.relname, 'within', u.relname)), '[]')
    from pg_rewrite r join pg_class c on c.oid = r.ev_class and c.relkind = 'v'
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    join pg_class u on u.oid = d.refobjid and u.oid <> c.oid
      and (u.relkind = 'v' or u.oid in (select relation from policies))),
  'events', (select coalesce(json_agg(distinct p.proname), '[]') from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid
    where e.evtenabled <> 'D'),
  'within', (select coalesce(json_agg(distinct p.proname), '[]') from pg_depend d join pg_proc p on p.oid = d.refobjid
    where d.refclassid = 'pg_proc'::regclass and d.deptype <> 'e' and d.classid <> all (array['pg_trigger', 'pg_event_trigger', 'pg_proc', 'pg_rewrite']::regclass[]))
)::text`

export interface CatalogueAnswer {
  /** Functions of PostgreSQL that may change something. */
  readonly volatile: readonly string[]
  /** Every function of PostgreSQL, and every keyword. */
  readonly builtin: readonly string[]
  readonly functions: readonly {
    readonly name: string
    readonly language: string
    readonly volatile: boolean
    readonly source: string
    /** The source is the whole definition: the body is no text. */
    readonly defined: boolean
    readonly extension: boolean
    /** Of an aggregate: the functions it is made of. */
    readonly parts: readonly string[] | null
    /** It can be called like a column of its only argument: `row.f` for `f(row)`. Null: no. */
    readonly field: boolean | null
  }[]
  /** A table, and a function that is called by a trigger when it is written. */
  readonly triggers: readonly { readonly table: string; readonly function: string }[]
  /** Tables whose rules put other statements in place of a write. */
  readonly rules: readonly string[]
  /** A view, and a function that it calls; those of PostgreSQL for views of users alone, and unless they are immutable. */
  readonly views: readonly { readonly view: string; readonly function: string }[]
  /** A table, and a volatile function that one of its policies calls. */
  readonly policies: readonly { readonly table: string; readonly function: string }[]
  /** Volatile functions of users that operators, casts and checks of domains call, with the name of the operator or domain. */
  readonly unseen: readonly {
    readonly kind: 'operator' | 'domain' | 'cast'
    readonly name: string
    readonly function: string
  }[]
  /** A view, and one that it reads, or a table with such a policy. */
  readonly nested: readonly { readonly view: string; readonly within: string }[]
  /** Functions of event triggers. */
  readonly events: readonly string[]
  /** Functions that defaults, policies, constraints, indexes and operators call. */
  readonly within: readonly string[]
}

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
  readonly #triggers = new Map<string, readonly string[]>()
  /** Views that call what is not plain, those that call what may change something, and of these what may leave state. */
  readonly #unplainViews = new Set<string>()
  readonly #doingViews = new Set<string>()
  readonly #views = new Map<string, string>()
  /** Functions that can be called like columns. */
  readonly #fields = new Set<string>()
  /** Any text may call what may change something, by a cast or an operator; or those with one of these operators or domains. */
  #anywhere = false
  readonly #operators: string[] = []
  readonly #domains = new Set<string>()
  readonly #events: readonly string[]
  readonly hidden: readonly string[]
  readonly judgesReads: boolean

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
      if (leaving.has(name)) this.#triggers.set(table, [...(this.#triggers.get(table) ?? []), name])
    for (const table of answer.rules)
      this.#triggers.set(table, [...(this.#triggers.get(table) ?? []), `the rules of ${table}`])
    for (const { view, function: name } of answer.views) {
      if (!this.#isPlain(name)) this.#unplainViews.add(view)
      if (!this.#mayRepeat(name)) this.#doingViews.add(view)
      if (leaving.has(name) || name === 'set_config' || (effectOf(name)?.[0] ?? 0) !== 0) this.#views.set(view, name)
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
    this.#spread(answer)
    this.#events = answer.events.filter((name) => leaving.has(name))
    this.hidden = answer.within.filter((name) => leaving.has(name))
    this.judgesReads = this.#actsUnseen()
  }

  /** Whether a text without a call may change something, or leave something in the session: by a view, a field, a cast or an operator. */
  #actsUnseen(): boolean {
    if (this.#anywhere || this.#operators.length > 0) return true
    if (this.#views.size > 0 || this.#doingViews.size > 0 || this.#domains.size > 0) return true
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
    const count = (): number => this.#unplainViews.size + this.#doingViews.size + this.#views.size
    for (let before = -1; before !== count();) {
      before = count()
      for (const { view, within } of nested) {
        const name = this.#views.get(within)
        if (name !== undefined && !this.#views.has(view)) this.#views.set(view, name)
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
    const triggered = writes.flatMap((table) =>
      (this.#triggers.get(table) ?? []).map((name) => `${name} (a trigger of ${table})`),
    )
    if (this.#views.size > 0)
      for (const name of names)
        if (this.#views.has(name)) triggered.push(`${this.#views.get(name)} (of the view ${name})`)
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

const isOfSession = (name: string): boolean => ofSession.has(name) || namesSession(name)

/** Names of functions that may leave state, ask for drawn numbers or draw some: by their own source, or by what they reach. */
function judge(
  { functions, triggers }: CatalogueAnswer,
  { harmless, stateful }: KnownFunctions,
  columns: ReadonlySet<string>,
): Record<'leaving' | 'asking' | 'drawing', ReadonlySet<string>> {
  const leaving = new Set<string>(stateful)
  const asking = new Set<string>()
  const drawing = new Set<string>()
  const callers: { readonly name: string; readonly calls: readonly string[] }[] = []
  const fired = new Map<string, string[]>()
  for (const each of triggers) fired.set(each.table, [...(fired.get(each.table) ?? []), each.function])
  for (const { name, language, source, defined, extension, parts } of functions) {
    if (extension) continue
    if (parts !== null) {
      callers.push({ name, calls: parts })
      continue
    }
    const { leaves, asks, draws, calls, fields, writes } = judgeSource(language, source, defined)
    if (asks) asking.add(name)
    if (draws) drawing.add(name)
    if (leaves && !harmless.has(name)) leaving.add(name)
    const read = [...fields].filter((field) => columns.has(field))
    callers.push({ name, calls: [...calls, ...read, ...writes.flatMap((table) => fired.get(table) ?? [])] })
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

export const functions: FunctionDialect = Object.freeze<FunctionDialect>({
  query: catalogueQuery,
  read: (answer, known) => new Catalogue(JSON.parse(answer) as CatalogueAnswer, known),
  changes: (text) => mentionsOf(text).changes,
})
