// The places of a registry: databases by name, tenants and schemas, as views and as callbacks.
import type { Db } from '../db/db.ts'
import { PlacedDb } from '../db/placed-db.ts'
import type { TenantDatabase, TenantStay, TenantTargets } from '../db/places.ts'
import { currentChain, type Link, openTransaction, runIn } from '../engine/context/chain.ts'
import { chainAt, chainOn, type Place, placeAround, type PlaceName } from '../engine/context/place.ts'
import type { From } from '../engine/core.ts'
import type { Engine } from '../engine/engine.ts'
import type { Executor } from '../engine/query/executor.ts'
import { TenantError, TransactionStateError, UsageError } from '../errors/index.ts'
import { schemaRefusal } from '../postgres/schema-path.ts'
import { describeType, isPlain } from '../util/options.ts'
import { inRoot } from '../util/context.ts'
import type { Life } from './life.ts'
import { checkPath } from './path-check.ts'
import { schemaPlace, type Tenants, type TenantSource } from './tenancy.ts'
import { partsOf, type TenantDb, TenantPools } from './tenant-pools.ts'

/** Options of `withSchema()`. */
export interface SchemaOptions {
  /**
   * Schemas after it in the search path, for extensions and shared tables. Default: those of `tenancy`, else none. `public`
   * is not among them unless you name it.
   */
  readonly shared?: readonly string[] | undefined
}

/** A place: a database by name, and a schema or a tenant in it. */
export interface Using<Names extends string, Tenant> extends SchemaOptions {
  readonly database?: Names | undefined
  readonly schema?: string
  /** Null: no tenant, on purpose. */
  readonly tenant?: Tenant | null
  /** Where its reads go, if the database has replicas. Writes go to the primary. */
  readonly from?: From | undefined
}

/** The place that was asked for, read. */
interface Asked {
  readonly database: string | undefined
  /** Null: the database as it is. */
  readonly place: { readonly place: Place; readonly schemas: readonly string[] } | null
  /** Of a tenant with a database. */
  readonly tenantDb: TenantDb | null
  readonly said: PlaceName
  /** The same text for the same place; null where a tenant is an object. */
  readonly key: string | null
}

/** Views that are remembered: each is what models on it are remembered by. */
const mostViews = 2_000

const members: readonly string[] = ['database', 'schema', 'shared', 'tenant', 'from']
const froms: readonly unknown[] = ['primary', 'replica', undefined]

export class Places {
  readonly tenants: Tenants | null
  readonly pools: TenantPools | null
  /** Whether models need a tenant. */
  readonly strict: boolean
  readonly #registry: Db
  readonly #databases: ReadonlyMap<string, Db>
  readonly #views = new Map<string, Db>()

  constructor(
    registry: Db,
    databases: ReadonlyMap<string, Db>,
    tenants: Tenants | null,
    life: Pick<Life, 'closing' | 'used'>,
  ) {
    this.#registry = registry
    this.#databases = databases
    this.tenants = tenants
    this.pools = tenants?.kind === 'database' ? new TenantPools(tenants, life) : null
    this.strict = tenants !== null && !tenants.optional
  }

  /** @throws {UsageError}, {TenantError} */
  databaseAt(where: unknown): Db {
    const asked = this.#read(where)
    if (asked.tenantDb !== null) return asked.tenantDb.reading(asked.place?.place.from)
    const base = this.#named(asked.database)
    if (asked.place === null) return base
    const known = asked.key === null ? undefined : this.#views.get(asked.key)
    if (known !== undefined) return known
    const { place, schemas } = asked.place
    const view = new PlacedDb(base, place, (engine) => this.#check(base, engine, schemas))
    if (asked.key !== null) {
      if (this.#views.size >= mostViews) this.#views.delete(this.#views.keys().next().value as string)
      this.#views.set(asked.key, view)
    }
    return view
  }

  /** For code that is there until it says that it has left. @throws {UsageError}, {TenantError}, {SchemaNotFoundError} */
  enter(where: unknown): TenantStay | Promise<TenantStay> {
    const asked = this.#read(where)
    const { tenantDb, said, place, database } = asked
    if (tenantDb !== null) return this.#enterTenantDb(asked, tenantDb)
    if (database !== undefined && said.what !== 'tenant') return this.#enterNamed(asked, this.#named(database))
    if (this.tenants?.kind === 'database' && said.what === 'tenant') return this.#enterHome(said)
    return this.#enterPlace(place, said, this.#registry)
  }

  /** @throws {TenantError}, {UsageError} */
  enterTenant(tenant: unknown): TenantStay | Promise<TenantStay> {
    this.#needTenants('withTenant()')
    return this.enter({ tenant })
  }

  tenantHere(): unknown {
    for (let link = currentChain(); link !== undefined; link = link.next) {
      const frame = placeAround(this.#registry, link)
      if (frame === null) return undefined
      if (frame.said.what === 'tenant') return frame.said.tenant
      link = linkOf(frame, link)
    }
    return undefined
  }

  /** @throws {TenantError} outside of every place. */
  checkModels(on: Executor | undefined): void {
    const handle = on?.handleHere()
    if (on !== undefined && on !== this.#registry && (handle === null || handle === undefined)) return
    if (placeAround(this.#registry, currentChain()) !== null) return
    if (handle !== null && handle !== undefined && placeAround(this.#registry, handle.chain) !== null) return
    throw new TenantError(
      'A model of a database with tenants was used outside of a tenant. Use it inside of withTenant(tenant, work), or of ' +
        'withTenant(null, work) where no tenant is meant; tenancy: { optional: true } allows it everywhere.',
    )
  }

  /** @throws {UsageError} where tenants are not listed, {TenantError} for one that cannot be. */
  async targets(): Promise<TenantTargets> {
    const tenants = this.#needTenants('A list of tenants')
    const { kind, shared } = tenants
    if (kind === 'settings')
      return { kind, each: async () => (await tenants.list()).map((each) => tenants.settingsOf(each)) }
    const all = await tenants.list()
    if (kind === 'schema') return { kind, schemas: all.map((each) => tenants.schemasOf(each)[0] as string), shared }
    const databases: TenantDatabase[] = []
    for (const each of all) databases.push(partsOf((await tenants.given.database?.(each)) as TenantSource))
    return { kind, databases }
  }

  #needTenants(what: string): Tenants {
    if (this.tenants !== null) return this.tenants
    throw new UsageError(`${what} needs a db with tenants. Give createRegistry() the option tenancy.`)
  }

  #named(name: unknown): Db {
    const found = this.#databases.get((name ?? 'main') as string)
    if (found !== undefined) return found
    const given = typeof name === 'string' ? JSON.stringify(name) : describeType(name)
    throw new UsageError(
      `The registry has no database named ${given}. It has ${[...this.#databases.keys()].join(', ')}.`,
    )
  }

  #check(db: Db, engine: Engine, schemas: readonly string[]): Promise<void> | null {
    return schemas.length === 0 ? null : checkPath(db, engine, schemas)
  }

  #read(where: unknown): Asked {
    if (!isPlain(where)) {
      this.#named(where ?? null)
      return { database: where as string, place: null, tenantDb: null, said: databaseSaid(where), key: null }
    }
    const wrong = Object.keys(where).find((name) => !members.includes(name))
    if (wrong !== undefined)
      throw new UsageError(`using() takes a name, or ${members.join(', ')}; not ${JSON.stringify(wrong.slice(0, 60))}.`)
    const { from, ...rest } = where
    if (!froms.includes(from)) throw new UsageError("using() takes from: 'primary' or from: 'replica'.")
    if (from !== undefined) return this.#from(from as From, rest)
    const { database, schema, tenant, shared } = where
    if (database !== undefined) this.#named(database)
    const [bySchema, byTenant] = [Object.hasOwn(where, 'schema'), Object.hasOwn(where, 'tenant')]
    if (bySchema && byTenant) throw new UsageError('using() takes a schema or a tenant, not both.')
    if (shared !== undefined && !bySchema) throw new UsageError('using() takes shared beside schema only.')
    if (bySchema) return this.#ofSchema(database as string | undefined, schema, shared)
    if (byTenant) return this.#ofTenant(database as string | undefined, tenant)
    if (database === undefined)
      throw new UsageError('using() was given nothing: name a database, a schema or a tenant.')
    return { database: database as string, place: null, tenantDb: null, said: databaseSaid(database), key: null }
  }

  /** The same place, with its reads somewhere. */
  #from(from: From, rest: Readonly<Record<string, unknown>>): Asked {
    const { database, place, tenantDb, said, key }: Asked =
      Object.keys(rest).length === 0
        ? { database: undefined, place: null, tenantDb: null, said: { what: 'server' }, key: 'main' }
        : this.#read(rest)
    const { place: there, schemas } = place ?? {
      place: { said: { what: 'server' } as const, settings: null },
      schemas: [],
    }
    const known = key ?? (place === null ? (database ?? null) : null)
    return {
      database,
      place: { place: { ...there, from }, schemas },
      tenantDb,
      said,
      key: known === null ? null : `${from} ${known}`,
    }
  }

  #ofSchema(database: string | undefined, schema: unknown, shared: unknown): Asked {
    const refusal = schemaRefusal(schema)
    if (refusal !== null) throw new TenantError(`The name of the schema ${refusal}.`)
    const behind = shared === undefined ? (this.tenants?.shared ?? []) : listed(shared)
    const schemas = [schema as string, ...behind]
    const said: PlaceName = { what: 'schema', schema: schema as string }
    const key = JSON.stringify([database ?? 'main', schemas])
    return { database, place: { place: schemaPlace(said, schemas), schemas }, tenantDb: null, said, key }
  }

  #ofTenant(database: string | undefined, tenant: unknown): Asked {
    const tenants = this.#needTenants('using({ tenant })')
    tenants.check(tenant)
    const said: PlaceName = { what: 'tenant', tenant }
    const none = { place: { said, settings: null }, schemas: [] }
    const key = tenant === null ? JSON.stringify([database ?? 'main', null]) : null
    if (tenant === null) return { database, place: none, tenantDb: null, said, key }
    if (tenants.kind === 'database') {
      if (database !== undefined)
        throw new UsageError(
          'using() was given a database and a tenant, but a tenant is a database here. Give one of them.',
        )
      return { database, place: null, tenantDb: (this.pools as TenantPools).databaseOf(tenant), said, key }
    }
    if (tenants.kind === 'settings')
      return {
        database,
        place: { place: { said, settings: tenants.settingsOf(tenant) }, schemas: [] },
        tenantDb: null,
        said,
        key,
      }
    const schemas = tenants.schemasOf(tenant)
    const known = typeof tenant === 'string' ? JSON.stringify([database ?? 'main', tenant, schemas, 'tenant']) : null
    return { database, place: { place: schemaPlace(said, schemas), schemas }, tenantDb: null, said, key: known }
  }

  #enterPlace(found: Asked['place'], said: PlaceName, db: Db): TenantStay | Promise<TenantStay> {
    const { place, schemas } = found ?? { place: { said, settings: null }, schemas: [] }
    const stay = (engine: Engine): TenantStay => new Stay(chainAt(place, engine, this.#registry, currentChain()))
    const checked = (engine: Engine): TenantStay | Promise<TenantStay> =>
      this.#check(db, engine, schemas)?.then(() => stay(engine)) ?? stay(engine)
    const engine = db.engineHere()
    return engine instanceof Promise ? engine.then(checked) : checked(engine)
  }

  async #enterNamed({ said, place }: Asked, db: Db): Promise<TenantStay> {
    const engine = await db.engineHere()
    const outer = new Stay(chainOn(engine, this.#registry, said))
    if (place === null) return outer
    const inner = await outer.run(() => this.#enterPlace(place, said, db))
    return within(outer, inner)
  }

  async #enterTenantDb({ said, place }: Asked, db: TenantDb): Promise<TenantStay> {
    const outer = await this.#enterDatabase(db, said)
    if (place === null) return outer
    try {
      const inner = await outer.run(() => this.#enterPlace(place, said, db))
      return within(outer, inner)
    } catch (error) {
      outer.end()
      throw error
    }
  }

  async #enterHome(said: PlaceName): Promise<TenantStay> {
    const engine = await inRoot(async () => this.#registry.engineHere())
    this.#refuseInTransaction(engine)
    return new Stay(chainOn(engine, this.#registry, said))
  }

  async #enterDatabase(db: TenantDb, said: PlaceName): Promise<TenantStay> {
    db.enter()
    try {
      const engine = await db.engineHere()
      this.#refuseInTransaction(engine)
      return new Stay(chainOn(engine, this.#registry, said), () => db.leave())
    } catch (error) {
      db.leave()
      throw error
    }
  }

  #refuseInTransaction(engine: Engine): void {
    const here = this.#registry.engineQuietly()
    if (here === null || here === engine || openTransaction(here, currentChain()) === null) return
    throw new TransactionStateError(
      'A tenant with another database was named inside of a transaction, and a transaction is in one database alone. Begin the ' +
        'transaction inside of withTenant().',
    )
  }
}

/** Code at a place, until it has left. */
class Stay implements TenantStay {
  readonly #chain: Link
  #left: (() => void) | undefined

  constructor(chain: Link, left?: () => void) {
    this.#chain = chain
    this.#left = left
  }

  run<R>(work: () => R): R {
    return runIn(this.#chain, work)
  }

  end(): void {
    if (!this.#chain.frame.live) return
    this.#chain.frame.end()
    this.loosen()
  }

  loosen(): void {
    const left = this.#left
    this.#left = undefined
    left?.()
  }
}

/** Code at a place of a database. */
function within(outer: TenantStay, inner: TenantStay): TenantStay {
  return {
    run: (work) => inner.run(work),
    loosen: () => outer.loosen(),
    end: () => {
      inner.end()
      outer.end()
    },
  }
}

const databaseSaid = (name: unknown): PlaceName => ({ what: 'database', name: name as string })

function listed(shared: unknown): readonly string[] {
  if (!Array.isArray(shared)) throw new UsageError(`shared is a list of schemas, not ${describeType(shared)}.`)
  for (const name of shared) {
    const refusal = schemaRefusal(name)
    if (refusal !== null) throw new TenantError(`The name of a shared schema ${refusal}.`)
  }
  return shared as readonly string[]
}

function linkOf(frame: object, link: Link): Link {
  let at = link
  while (at.frame !== frame && at.next !== undefined) at = at.next
  return at
}
