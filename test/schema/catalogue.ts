/** What a database holds, as the server's catalogue tells it: readable, without anything that differs by accident. */

/** Runs text and gives its rows. */
export type Ask = (sql: string) => Promise<readonly object[]>

const mine = `not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_'`

/** By what they tell; every row begins with the names it is known by. */
const queries: Readonly<Record<string, string>> = {
  schemas: `select nspname as name, obj_description(oid) as comment from pg_namespace n where nspname ${mine}`,
  relations: `
    select n.nspname as schema, c.relname as name, c.relkind as kind, c.relrowsecurity as rls, c.relforcerowsecurity as force,
      (select array_agg(o order by o)::text from unnest(c.reloptions) as o) as options, c.relispopulated as populated, obj_description(c.oid, 'pg_class') as comment,
      case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end as query
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind <> 'i' and n.nspname ${mine}`,
  columns: `
    select n.nspname as schema, c.relname as table, a.attnum as place, a.attname as name,
      format_type(a.atttypid, a.atttypmod) as type, a.attndims as dimensions, a.attnotnull as required,
      a.attidentity as identity, a.attgenerated as generated, pg_get_expr(d.adbin, d.adrelid) as value,
      col_description(c.oid, a.attnum) as comment,
      replace(pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname), '"', '') as sequence
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v', 'm', 'p') and n.nspname ${mine}`,
  constraints: `
    select n.nspname as schema, c.relname as table, o.conname as name, o.contype as kind, pg_get_constraintdef(o.oid) as definition
    from pg_constraint o join pg_class c on c.oid = o.conrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname ${mine}`,
  indexes: `
    select n.nspname as schema, c.relname as name, pg_get_indexdef(i.indexrelid) as definition, i.indisvalid as valid
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname ${mine}`,
  enums: `
    select n.nspname as schema, t.typname as name, array_agg(e.enumlabel::text order by e.enumsortorder)::text as labels,
      obj_description(t.oid, 'pg_type') as comment
    from pg_enum e join pg_type t on t.oid = e.enumtypid join pg_namespace n on n.oid = t.typnamespace
    where n.nspname ${mine} group by 1, 2, t.oid`,
  sequences: `
    select n.nspname as schema, c.relname as name, format_type(s.seqtypid, null) as type, s.seqstart::text as start,
      s.seqincrement::text as step, s.seqmin::text as least, s.seqmax::text as most, s.seqcache::text as cache, s.seqcycle as cycle
    from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname ${mine}`,
  policies: `
    select schemaname as schema, tablename as table, policyname as name, permissive, roles::text as roles, cmd, qual, with_check
    from pg_policies p join pg_namespace n on n.nspname = p.schemaname where n.nspname ${mine}`,
}

export type Catalogue = Readonly<Record<string, readonly string[]>>

/**
 * The same with the implicit names of keys told by what they are: where a user gave none, 0.45 ends them in `_fk`,
 * `_unique` and `_pk`, and 1.0 in `_fkey`, `_key` and `_pkey`, each as its own kit does; too long ones are cut at 63 bytes.
 */
export async function catalogueWithoutImplicitNames(ask: Ask): Promise<Catalogue> {
  const told = await catalogue(ask)
  const names = new Map<string, string>()
  for (const line of told['constraints'] ?? []) {
    const { schema, table, name, definition } = JSON.parse(line) as Record<string, string>
    const { length } = Buffer.from(name ?? '')
    if (/_(fkey|fk|key|unique|pkey|pk)$/.test(name ?? '') || length === 63)
      names.set(name ?? '', `${schema}.${table}: ${definition}`)
  }
  const plain = (line: string): string => {
    const row = JSON.parse(line) as Record<string, unknown>
    const known = names.get(String(row['name']))
    if (known === undefined) return line
    const definition = String(row['definition']).replace(String(row['name']), 'implicit')
    return JSON.stringify({ ...row, name: known, definition })
  }
  const [constraints, indexes] = [told['constraints'] ?? [], told['indexes'] ?? []]
  return { ...told, constraints: constraints.map(plain).toSorted(), indexes: indexes.map(plain).toSorted() }
}

/** Each row as one line of JSON, sorted. */
export async function catalogue(ask: Ask): Promise<Catalogue> {
  const told: Record<string, string[]> = {}
  for (const [what, query] of Object.entries(queries))
    told[what] = (await ask(query)).map((row) => JSON.stringify(row)).toSorted()
  return told
}
