// Finds the objects of a plan that the database has already, by one query over the catalogue. A name that stands for something else,
// a view for a table, is an error here and not a surprise later. Called in the transaction that makes or drops.
import type { Executor } from '../engine/query/executor.ts'
import { UsageError } from '../errors/index.ts'
import type { PlanItem } from './item.ts'
import { unconverted } from '../sql/conversions.ts'

/** Names without a schema are those of the current schema, where CREATE makes them. */
const lookUp = `
  with wanted as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as w (kind, schema, name, tab, place)
  ), placed as (
    select w.*, n.oid as namespace
    from wanted w left join pg_catalog.pg_namespace n on n.nspname = coalesce(w.schema, current_schema())
  )
  select p.place::int as place, case p.kind
    when 'schema' then (select 'schema' from pg_catalog.pg_namespace where nspname = p.name)
    when 'role' then (select 'role' from pg_catalog.pg_roles where rolname = p.name)
    when 'policy' then (
      select 'policy' from pg_catalog.pg_policy o join pg_catalog.pg_class c on c.oid = o.polrelid
      where o.polname = p.name and c.relname = p.tab and c.relnamespace = p.namespace)
    when 'enum' then (
      select case t.typtype when 'e' then 'enum' when 'd' then 'domain' else 'type' end
      from pg_catalog.pg_type t where t.typname = p.name and t.typnamespace = p.namespace)
    else (
      select case c.relkind
        when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
        when 'S' then 'sequence' when 'f' then 'foreign table' when 'c' then 'type' else 'index' end
      from pg_catalog.pg_class c where c.relname = p.name and c.relnamespace = p.namespace)
    end as found
  from placed p order by p.place`

/**
 * The items that exist.
 *
 * @throws {UsageError} when a name is taken by something of another kind.
 */
export async function existingOf(on: Executor, items: readonly PlanItem[]): Promise<Set<PlanItem>> {
  const columns = [
    items.map(({ kind }) => kind),
    items.map(({ schema }) => schema ?? null),
    items.map(({ name }) => name),
    items.map(({ table }) => table ?? null),
  ]
  const rows = await on.all<{ place: number; found: string | null }>(lookUp, columns, unconverted)
  const existing = new Set<PlanItem>()
  for (const { place, found } of rows) {
    const item = items[place - 1]
    if (item === undefined || found === null) continue
    if (found !== item.kind)
      throw new UsageError(`The schema has the ${item.kind} ${item.sqlName}, but in the database it is a ${found}.`)
    existing.add(item)
  }
  return existing
}

/** Two processes that look first and make then would both make: the second waits until the transaction of the first ends. */
export async function oneAtATime(on: Executor): Promise<void> {
  await on.all("select pg_advisory_xact_lock(hashtext('genever/schema'))")
}
