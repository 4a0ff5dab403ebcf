// What a tenant is, said once where the database is made: a schema, settings of the session, or a database.
import type { Settings } from '../engine/context/frame.ts'
import { pathSettings, type Place } from '../engine/context/place.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { TenantError, UsageError } from '../errors/index.ts'
import { schemaRefusal, searchPath, tenantSchemaRefusal } from '../postgres/schema-path.ts'
import { settingsOf } from '../sql/settings.ts'
import { boolean, callback, describeType, integer, isPlain, milliseconds } from '../util/options.ts'
import { type Checks, readOptions } from '../util/options.ts'

/** Options of every kind of tenancy. */
export interface CommonTenancy<T> {
  /** True: models may also be used outside of a tenant. There they use the main database as it is. Default false: they throw. */
  readonly optional?: boolean | undefined
  /** Lists all tenants, for migrations and the shell. */
  readonly list?: (() => readonly T[] | Promise<readonly T[]>) | undefined
}

/** A schema for each tenant. */
export interface SchemaTenancy<T> extends CommonTenancy<T> {
  /** The name of the schema. It is data: it is quoted, and never put into the text of a statement. */
  readonly schema: (tenant: T) => string
  /** Schemas after that of the tenant in the search path, for extensions and shared tables. Default: none, not even `public`. */
  readonly shared?: readonly string[] | undefined
  readonly settings?: undefined
  readonly database?: undefined
}

/**
 * Settings of the session for each tenant. Row-level security tells rows apart by them: see `rowSecurity()`. On MySQL and MariaDB the
 * setting `database` is the database of the tenant.
 */
export interface SettingsTenancy<T> extends CommonTenancy<T> {
  readonly settings: (tenant: T) => Settings
  readonly schema?: undefined
  readonly database?: undefined
}

/** A database for each tenant. */
export interface DatabaseTenancy<T> extends CommonTenancy<T> {
  /** Gives the database of a tenant. It is called again if the tenant's pool was closed meanwhile. */
  readonly database: (tenant: T) => TenantSource | Promise<TenantSource>
  /** The key by which a tenant is recognised. It is required if tenants are objects. Default: the tenant as text. */
  readonly key?: ((tenant: T) => string) | undefined
  /** The most open connections of all tenants together, those of `listen()` and to replicas among them. Default 100. */
  readonly maxConnections?: number | undefined
  /** The pool of a tenant is closed after this time without use, in milliseconds. Default 60_000. */
  readonly idleMs?: number | undefined
  readonly schema?: undefined
  readonly settings?: undefined
}

/** A URL, or options with or without a `url`. */
export type TenantSource = string | URL | (EngineOptions & { readonly url?: string | URL | undefined })

/** The way in which tenants are kept apart: by a schema, by settings for row-level security, or by a database for each. */
export type Tenancy<T> = SchemaTenancy<T> | SettingsTenancy<T> | DatabaseTenancy<T>

type Given = Readonly<
  Record<'schema' | 'settings' | 'database' | 'key' | 'list', ((tenant: unknown) => unknown) | undefined>
> & {
  readonly shared?: readonly string[] | undefined
  readonly optional?: boolean | undefined
  readonly maxConnections?: number | undefined
  readonly idleMs?: number | undefined
}

const schemas = (value: unknown): string | undefined => {
  if (!Array.isArray(value)) return `must be a list of schemas, not ${describeType(value)}`
  const wrong = value.find((name) => schemaRefusal(name) !== null) as unknown
  return wrong === undefined && !value.includes(undefined) ? undefined : `names a schema that ${schemaRefusal(wrong)}`
}

const checks: Checks<Given> = {
  schema: callback,
  settings: callback,
  database: callback,
  key: callback,
  list: callback,
  shared: schemas,
  optional: boolean,
  maxConnections: integer(1),
  idleMs: milliseconds(1),
}

const kinds = ['schema', 'settings', 'database'] as const

/** What belongs to one kind alone. */
const ofKind: Readonly<Record<string, (typeof kinds)[number]>> = {
  shared: 'schema',
  key: 'database',
  maxConnections: 'database',
  idleMs: 'database',
}

export class Tenants {
  readonly kind: (typeof kinds)[number]
  readonly shared: readonly string[]
  readonly optional: boolean
  readonly given: Given

  /** @throws {InvalidOptionError}, {UsageError} */
  constructor(tenancy: unknown) {
    const given = readOptions<Given>(tenancy, checks, 'tenancy')
    const said = kinds.filter((kind) => given[kind] !== undefined)
    const [kind] = said
    if (kind === undefined || said.length > 1)
      throw new UsageError(
        `The option tenancy needs one of schema, settings and database; it was given ${said.length === 0 ? 'none' : said.join(' and ')}.`,
      )
    for (const name of Object.keys(given)) {
      const wanted = ofKind[name]
      if (wanted !== undefined && wanted !== kind)
        throw new UsageError(`tenancy was given ${name}, which belongs to tenancy: { ${wanted} }, beside ${kind}.`)
    }
    this.kind = kind
    this.shared = Object.freeze([...(given.shared ?? [])])
    this.optional = given.optional === true
    this.given = given
  }

  /** @throws {TenantError} when there is none: only null says that none is meant. */
  check(tenant: unknown): void {
    if (tenant === undefined)
      throw new TenantError('The tenant is undefined. Where none is meant, say so: null stands for no tenant.')
  }

  /** The schemas of its search path. @throws {TenantError} for a name that no schema of a tenant can have. */
  schemasOf(tenant: unknown): readonly string[] {
    const name = this.given.schema?.(tenant)
    const refusal = tenantSchemaRefusal(name)
    if (refusal !== null) throw new TenantError(`The name of the tenant's schema ${refusal}.`)
    return [name as string, ...this.shared]
  }

  /** @throws {UsageError} when these are no settings. */
  settingsOf(tenant: unknown): Settings {
    const given = this.given.settings?.(tenant)
    const settings = isPlain(given) ? settingsOf(given) : undefined
    if (settings === undefined)
      throw new UsageError(
        'The function settings of tenancy gave no settings. A tenant without any would be every tenant.',
      )
    return settings
  }

  /** What it is known by. @throws {TenantError}, {UsageError} */
  keyOf(tenant: unknown): string {
    const { key } = this.given
    if (key === undefined && typeof tenant === 'object')
      throw new UsageError('Tenants are objects here: tenancy needs key, a function that gives what one is known by.')
    const known = key === undefined ? String(tenant) : key(tenant)
    if (typeof known === 'string' && known !== '') return known
    throw new TenantError(`A tenant is known by a text that is not empty, not by ${describeType(known)}.`)
  }

  /** @throws {UsageError} where they are not listed. */
  async list(): Promise<readonly unknown[]> {
    if (this.given.list === undefined)
      throw new UsageError('tenancy needs list, a function that gives all tenants, for what is done for each of them.')
    const all = await this.given.list(undefined)
    if (!Array.isArray(all)) throw new UsageError(`The function list of tenancy gave ${describeType(all)}, not a list.`)
    for (const tenant of all) this.check(tenant)
    return all as readonly unknown[]
  }
}

/** The place of statements in these schemas. */
export function schemaPlace(said: Place['said'], names: readonly string[]): Place {
  return { said, settings: pathSettings(searchPath(names)) }
}
