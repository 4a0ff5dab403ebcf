// The query that reads what the catalogue of a database says about functions: their sources, and what calls them where a text does not
// name them. And the shape of its answer.

/** Finds the functions and operators that a stored expression calls, as the server writes its trees. */
const calledIn = `':(?:op)?funcid ([0-9]+)'`

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
), edges (class, object, refclass, refobject) as (
  select classid, objid, refclassid, refobjid from pg_depend
    where refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass) and refobjid >= 16384 and deptype <> 'e'
  union all select 'pg_type'::regclass, contypid, 'pg_constraint'::regclass, oid from pg_constraint where contypid <> 0
  union all select 'pg_type'::regclass, reltype, 'pg_class'::regclass, oid from pg_class where relkind = 'c'
), dependent (class, object, function) as (
  select * from (
    with recursive up (class, object, function) as (
      select class, object, refobject from edges join mine on mine.oid = refobject and not mine.extension
            and mine.language not in ('c', 'internal')
        where refclass = 'pg_proc'::regclass
      union select e.class, e.object, u.function from up u join edges e on e.refclass = u.class and e.refobject = u.object
        where u.class <> 'pg_proc'::regclass
    ) select * from up
  ) as found
), expressions (kind, relation, name, tree) as (
  select 'write', adrelid, '', adbin::text from pg_attrdef
  union all select 'write', conrelid, '', conbin::text from pg_constraint where conrelid <> 0 and conbin is not null
  union all select 'type', 0, t.typname, c.conbin::text from pg_constraint c join pg_type t on t.oid = c.contypid
  union all select 'write', a.attrelid, '', concat(c.conbin::text, t.typdefaultbin::text) from pg_type t
    join pg_attribute a on a.atttypid = t.oid and not a.attisdropped left join pg_constraint c on c.contypid = t.oid where t.typtype = 'd'
  union all select 'write', tgrelid, '', tgqual::text from pg_trigger where tgqual is not null and tgenabled <> 'D'
  union all select 'read', polrelid, '', concat(polqual::text, polwithcheck::text) from pg_policy
  union all select 'function', 0, proname, proargdefaults::text from pg_proc where oid >= 16384 and proargdefaults is not null
), calls (kind, relation, name, function) as (
  select x.kind, x.relation, x.name, found[1]::oid from expressions x cross join lateral regexp_matches(x.tree, ${calledIn}, 'g') as found
), within (kind, relation, name, function) as (
  select 'write', a.adrelid, '', function from dependent join pg_attrdef a on a.oid = object where class = 'pg_attrdef'::regclass
  union select 'write', k.conrelid, '', function from dependent join pg_constraint k on k.oid = object and k.conrelid <> 0
    where class = 'pg_constraint'::regclass
  union select 'write', coalesce(i.indrelid, c.oid), '', function from dependent
    join pg_class c on c.oid = object and c.relkind in ('r', 'p', 'f', 'i', 'I') left join pg_index i on i.indexrelid = c.oid
    where class = 'pg_class'::regclass
  union select 'write', t.tgrelid, '', function from dependent
    join pg_trigger t on t.oid = object and t.tgenabled <> 'D' and t.tgfoid <> function where class = 'pg_trigger'::regclass
  union select 'read', y.polrelid, '', function from dependent join pg_policy y on y.oid = object where class = 'pg_policy'::regclass
  union select 'read', x.stxrelid, '', function from dependent join pg_statistic_ext x on x.oid = object
    where class = 'pg_statistic_ext'::regclass
  union select 'operator', 0, o.oprname, function from dependent join pg_operator o on o.oid = object where class = 'pg_operator'::regclass
  union select case when t.typtype in ('d', 'c') then 'type' else 'anywhere' end, 0, t.typname, function
    from dependent join pg_type t on t.oid = object and t.typelem = 0 where class = 'pg_type'::regclass
  union select 'function', 0, p.proname, function from dependent join pg_proc p on p.oid = object where class = 'pg_proc'::regclass
  union select 'anywhere', 0, '', function from dependent
    where class in ('pg_cast'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_amproc'::regclass, 'pg_amop'::regclass)
  union select kind, relation, name, p.oid from calls join pg_proc p on p.oid = function and p.oid < 16384 and p.provolatile = 'v'
      and p.proname <> all (array['nextval', 'random', 'clock_timestamp', 'gen_random_uuid'])
), reach (written, relation) as (
  select relation, relation from fired
  union select relation, relation from within where kind = 'write'
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
  union select object, function from dependent where class = 'pg_rewrite'::regclass
  union select r.oid, p.oid from pg_rewrite r
    join pg_class c on c.oid = r.ev_class and c.relkind = 'v'
      and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    cross join lateral regexp_matches(r.ev_action::text, ${calledIn}, 'g') as found
    join pg_proc p on p.oid = found[1]::oid and p.oid < 16384 and p.provolatile <> 'i'
), policies (relation, function) as (
  select relation, p.oid from calls join pg_proc p on p.oid = function and p.provolatile = 'v' where kind = 'read'
), unseen (kind, name, function) as (
  select 'operator', o.oprname, o.oprcode::oid from pg_operator o where o.oid >= 16384
  union all select 'domain', name, function from calls where kind = 'type'
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
      and (u.relkind = 'v' or u.oid in (select relation from policies union select relation from within where kind = 'read'))),
  'events', (select coalesce(json_agg(distinct p.proname), '[]') from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid
    where e.evtenabled <> 'D'),
  'within', (select coalesce(json_agg(distinct jsonb_build_object('kind', w.kind, 'name', coalesce(c.relname, w.name), 'function', p.proname)), '[]')
    from within w join pg_proc p on p.oid = w.function
    left join closed x on w.kind = 'write' and x.relation = w.relation
    left join pg_class c on c.oid = coalesce(x.written, nullif(w.relation, 0)))
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
  /**
   * Callers of functions of users, and of volatile ones of PostgreSQL, where a text does not name these: a table that is written (by a
   * default, a constraint, an index, a generated column), one that is read (by a policy), an operator, a type that values are cast to, a
   * function (by a default of its parameters), or `anywhere`, where no text shows the caller, such as a cast.
   */
  readonly within: readonly {
    readonly kind: 'write' | 'read' | 'operator' | 'type' | 'function' | 'anywhere'
    readonly name: string
    readonly function: string
  }[]
}
