// The databases and schemas that a run of migrations is for, and the search path in each.
import { createDb, type Db } from '../db/db.ts'
import type { Engine } from '../engine/engine.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { MigrationError } from '../errors/index.ts'
import { currentDatabase } from '../mysql/dialect.ts'
import { resolveOptions } from '../options/options.ts'
import { formatPlace } from '../options/url.ts'
import type { TenantTargets } from '../db/places.ts'
import type { MigrateOptions } from './options.ts'
import { unconverted } from '../sql/conversions.ts'
import { searchPath, tenantSchemaRefusal as refusal } from '../postgres/schema-path.ts'
import { doneSql } from '../postgres/tool-sql.ts'

export interface Target {
  /** Null: that of the db that was given. */
  readonly database: string | null
  /** Null: none was named. */
  readonly schema: string | null
}

export interface TargetDatabase {
  /** For reports: without user and password. */
  readonly name: string
  readonly open: () => Db
}

/** For the lock, the work, and what runs in no transaction behind a pooler. */
const mostConnections = 3

/** @throws {InvalidUrlError}, {InvalidOptionError} for a source that is not understood, before any is opened. */
export async function databasesOf(db: Db, given: NonNullable<MigrateOptions['databases']>): Promise<TargetDatabase[]> {
  const all = given === 'all' ? await targetsOf(db, 'database') : null
  const sources = given === 'all' ? [] : typeof given === 'function' ? await given() : given
  const parts = [
    ...(all?.databases ?? []),
    ...sources.map((each) => ({ source: each instanceof URL ? each.href : each, options: undefined })),
  ]
  const seen = new Map<string, TargetDatabase>()
  for (const { source, options: more } of parts) {
    const options: EngineOptions = { ...more, pool: { ...more?.pool, max: mostConnections } }
    const resolved = resolveOptions(source, options)
    seen.set(resolved.describe(), { name: resolved.name, open: () => createDb(source, options) })
  }
  return [...seen.values()]
}

/**
 * The databases that tenants have by their settings, where all share the connections of one pool; null where tenants are something
 * else. Each once.
 *
 * @throws {MigrationError} for a tenant without one. @throws {UsageError} where tenants are not listed.
 */
export async function databasesBySettings(
  db: Db,
  { dialect }: Engine,
  given: NonNullable<MigrateOptions['databases']>,
): Promise<readonly string[] | null> {
  if (given !== 'all' || db.tenantKind !== 'settings' || !dialect.settings.alone.has(currentDatabase)) return null
  const targets = await db.tenantTargets()
  if (targets.kind !== 'settings') return null
  const names = (await targets.each()).map((settings) => settings[currentDatabase])
  if (names.length > 0 && names.every((name) => name === undefined)) return null
  const without = names.findIndex((name) => name === undefined)
  if (without !== -1)
    throw new MigrationError(
      `migrate() was given databases: 'all', and the settings of tenant ${without + 1} of tenancy.list name no database, as those of ` +
        'others do. Nothing was applied.',
      { outcome: 'not_started' },
    )
  return [...new Set(names.map(String))]
}

/** @throws {MigrationError} where tenants are something else. @throws {UsageError} where they are not listed. */
async function targetsOf<K extends TenantTargets['kind']>(
  db: Db,
  kind: K,
): Promise<Extract<TenantTargets, { readonly kind: K }>> {
  const targets = await db.tenantTargets()
  if (targets.kind === kind) return targets as Extract<TenantTargets, { readonly kind: K }>
  const why =
    targets.kind === 'settings'
      ? 'tenants are rows of tables that all share: migrate once, without it'
      : `a tenant is a ${targets.kind}: give ${targets.kind}s: 'all'`
  throw new MigrationError(`migrate() was given ${kind}s: 'all', and ${why}.`, { outcome: 'not_started' })
}

/** For reports: that of its server, with the name of a database. */
export function nameOf({ options }: Engine, database: string): string {
  const { host, port } = options.connection as { readonly host?: string; readonly port?: number }
  return `${formatPlace(host, port)}/${database}`
}

/** Options with the schemas of all tenants, where these were asked for. @throws as `targetsOf`. */
export async function withAllSchemas(db: Db, options: MigrateOptions): Promise<MigrateOptions> {
  if (options.schemas !== 'all') return options
  const { schemas, shared } = await targetsOf(db, 'schema')
  return { ...options, schemas, shared: options.shared ?? shared }
}

/** `[null]` where none are named. @throws {MigrationError} for one that is not there, or cannot be a tenant's. */
export async function schemasOf(db: Db, { schemas }: MigrateOptions): Promise<(string | null)[]> {
  if (schemas === undefined) return [null]
  if (schemas instanceof RegExp)
    return [...(await schemasThere(db))]
      .filter((name) => refusal(name) === null && name.search(schemas) !== -1)
      .toSorted()
  const wanted = typeof schemas === 'function' ? await schemas() : schemas === 'all' ? [] : schemas
  const wrong = await wrongSchema(db, wanted)
  if (wrong !== null) throw new MigrationError(`${wrong}. Nothing was applied.`, { outcome: 'not_started' })
  return [...new Set(wanted)]
}

/** Why one of these schemas cannot be a tenant's, as a sentence without its end; null: they all can. */
export async function wrongSchema(db: Db, wanted: readonly string[]): Promise<string | null> {
  const there = await schemasThere(db)
  for (const name of wanted) {
    const wrong = refusal(name) ?? (there.has(name) ? null : 'does not exist: a search path would ignore it')
    if (wrong !== null) return `The schema ${JSON.stringify(name)} ${wrong}`
  }
  return null
}

async function schemasThere(db: Db): Promise<ReadonlySet<string>> {
  const rows = await db.all<{ name: string }>(doneSql.schemas, [], unconverted)
  return new Set(rows.map(({ name }) => name))
}

/** Whether all connections of an engine are views of one now. */
export function isSandboxed(engine: Engine): boolean {
  return engine.pool.source.oneSession === true
}

export function pathOf(schema: string, shared: readonly string[]): string {
  return searchPath([schema, ...shared])
}
