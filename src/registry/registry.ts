// Several databases as one object: a main one, which it is itself, and others by name. They are opened and closed together.
import type { Db } from '../db/db.ts'
import type { HasPlaces, TenantStay, TenantTargets } from '../db/places.ts'
import { closeChecks, type CloseOptions } from '../engine/engine.ts'
import { callOptions } from '../engine/handle.ts'
import type { Executor } from '../engine/query/executor.ts'
import { TenantError, UsageError } from '../errors/index.ts'
import type { CloseReport } from '../pool/contract.ts'
import { postgres } from '../postgres/dialect.ts'
import { schemaRefusal, tenantSchemaRefusal } from '../postgres/schema-path.ts'
import { anyOf, boolean, type Checks, isPlain, needsFunction, readOptions, describeType } from '../util/options.ts'
import { Life, type Unopened } from './life.ts'
import { type DatabaseSource, ManagedDb } from './managed-db.ts'
import { forgetPaths } from './path-check.ts'
import { Places, type SchemaOptions, type Using } from './places.ts'
import { type Tenancy, Tenants } from './tenancy.ts'

/**
 * Options of `createRegistry()`.
 *
 * @typeParam E The further databases.
 * @typeParam Tenant What names a tenant.
 */
export interface RegistryOptions<E extends Readonly<Record<string, DatabaseSource>>, Tenant = unknown> {
  /** The database that the registry itself stands for. */
  readonly main: DatabaseSource
  /** Further databases by name. */
  readonly extra?: E | undefined
  /** The schema of the main database outside of every tenant and `withSchema`. Default: the search path of the role. */
  readonly schema?: string | undefined
  /** The kind of tenants: a schema, settings for row-level security, or a database for each. Default: there are no tenants. */
  readonly tenancy?: Tenancy<Tenant> | undefined
  /**
   * The reaction to a use of the registry while it is managed but not open. It is managed if a plug-in, `serve` or an
   * earlier `open()` opens it. `warn` (the default): the database is opened, with a `DatabaseNotConnectedWarning` that names
   * the place. `open`: it is opened without a warning. `throw`: the use fails with a UsageError.
   */
  readonly unopened?: Unopened | undefined
}

/** Options of `close()` of a registry. */
export interface RegistryCloseOptions extends CloseOptions {
  /** Closes it even if others have opened it and not closed it yet. */
  readonly force?: boolean | undefined
}

/** Options of `createSchema()`. */
export interface CreateSchemaOptions {
  /** Leaves a schema that exists as it is. Default false. */
  readonly ifNotExists?: boolean | undefined
}

/** Options of `dropSchema()`. */
export interface DropSchemaOptions {
  /** Does nothing if there is no such schema. Default false. */
  readonly ifExists?: boolean | undefined
  /** Also drops the objects in it, and everything that depends on them. Default false. */
  readonly cascade?: boolean | undefined
}

const any = (): undefined => undefined

const checks: Checks<RegistryOptions<Readonly<Record<string, DatabaseSource>>>> = {
  main: any,
  extra: (value) => (isPlain(value) ? undefined : `must be an object of databases by name, not ${describeType(value)}`),
  schema: (value) => {
    const refusal = schemaRefusal(value)
    return refusal === null ? undefined : `is the name of a schema, and this one ${refusal}`
  },
  // It is read where tenants are.
  tenancy: any,
  unopened: anyOf('warn', 'open', 'throw'),
}

const dropping: Checks<DropSchemaOptions> = { ifExists: boolean, cascade: boolean }
const schemaChecks: Checks<SchemaOptions> = { shared: any }

const closing: Checks<RegistryCloseOptions> = { ...closeChecks, force: boolean }

// In the types only: what carries the names is nothing at run time.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Registry<Names extends string = never, Tenant = unknown> extends HasPlaces<Names, Tenant> {}

/** A `Db` that knows others by name. It goes wherever a `Db` goes. (Edgy: `Registry`.) */
export class Registry<Names extends string = never, Tenant = unknown> extends ManagedDb {
  /** Every database by its name, the main one as `main`. */
  readonly databases: ReadonlyMap<Names | 'main', Db>
  readonly #life: Life
  readonly #places: Places

  /** @internal Use `createRegistry()`. */
  constructor(
    main: DatabaseSource,
    extra: Readonly<Record<string, DatabaseSource>>,
    life: Life,
    tenants: Tenants | null,
    schema: string | undefined,
  ) {
    super('main', main, life, schema)
    const databases = new Map<string, Db>([['main', this]])
    for (const [name, source] of Object.entries(extra)) databases.set(name, new ManagedDb(name, source, life))
    this.databases = databases as Map<Names | 'main', Db>
    this.#life = life
    this.#places = new Places(this, databases, tenants, life)
    if (this.#places.pools !== null) life.add(this.#places.pools)
  }

  /**
   * Opens all databases, at the same time. Calls are counted: the registry stays open until `close()` was called as often. A
   * call after that opens it again.
   * @throws {ConnectError} when a database cannot be reached. The error of the main one comes before those of others.
   *   Databases that could be opened are closed again. A later call tries again.
   */
  override async open(): Promise<this> {
    await this.#life.open()
    return this
  }

  /**
   * Takes one `open()` back. The last call closes the databases that were opened. A `Db` that was given to
   * `createRegistry()` is not closed. If nothing is open, it does nothing.
   * @throws {UsageError} inside of a scope or transaction that holds a connection. Nothing is closed then.
   * @throws the error of the first database that could not be closed. All of them were tried.
   */
  override async close(options?: RegistryCloseOptions): Promise<CloseReport> {
    const { force, ...rest } = callOptions<RegistryCloseOptions>(options, closing, 'close()')
    return this.#life.close(rest, force === true)
  }

  /** Opens, runs `work`, and closes, also when `work` throws. */
  async run<R>(work: (db: this) => R | Promise<R>): Promise<R> {
    needsFunction(work, 'run()')
    await this.open()
    try {
      return await work(this)
    } finally {
      await this.close()
    }
  }

  /**
   * The database of that name, or a place in it at a tenant or schema. A name gives the same object each time. With `work`,
   * everything inside that uses this registry, models too, uses that place.
   * @throws {UsageError} for an unknown name.
   * @throws {TenantError} when the tenant or schema is not a valid one.
   */
  using(where: Names | 'main' | Using<Names | 'main', Tenant>): Db
  using<R>(where: Names | 'main' | Using<Names | 'main', Tenant>, work: (db: Db) => R | Promise<R>): Promise<R>
  using<R>(where: unknown, work?: (db: Db) => R | Promise<R>): Db | Promise<R> {
    if (work === undefined) return this.databaseAt(where)
    return this.#within(where, work)
  }

  async #within<R>(where: unknown, work: (db: Db) => R | Promise<R>): Promise<R> {
    needsFunction(work, 'using()')
    const stay = await this.#places.enter(where)
    try {
      return await stay.run(() => work(this.databaseAt(where)))
    } finally {
      stay.end()
    }
  }

  /**
   * Runs `work` for a tenant. Everything inside that uses this registry, models too, uses that tenant, on every path and in
   * every transaction that `work` opens. The innermost of `withTenant`, `withSchema` and `using` counts. Null: no tenant, on
   * purpose.
   * @throws {TenantError} for undefined, and for a name that no schema of a tenant can have.
   * @throws {SchemaNotFoundError} when the schema of the tenant does not exist.
   * @throws {TransactionStateError} when the tenant has another database and a transaction is open here.
   * @throws {UsageError} for a registry without `tenancy`.
   */
  async withTenant<R>(tenant: Tenant | null, work: () => R | Promise<R>): Promise<R> {
    needsFunction(work, 'withTenant()')
    const stay = await this.enterTenant(tenant)
    try {
      return await stay.run(work)
    } finally {
      stay.end()
    }
  }

  /**
   * Runs `work` in a schema. Names without a schema are looked up there, then in `shared`, and nowhere else.
   * @throws {TenantError} for a name that no schema can have.
   * @throws {SchemaNotFoundError} when the schema does not exist.
   * @throws {UsageError} when types or operators of an extension are on no path. Name their schema in `shared`.
   */
  async withSchema<R>(schema: string, work: () => R | Promise<R>, options?: SchemaOptions): Promise<R> {
    needsFunction(work, 'withSchema()')
    const { shared } = callOptions<SchemaOptions>(options, schemaChecks, 'withSchema()')
    const stay = await this.#places.enter({ schema, ...(shared === undefined ? {} : { shared }) })
    try {
      return await stay.run(work)
    } finally {
      stay.end()
    }
  }

  /** The tenant of the calling code. Null: none was set, on purpose. Undefined: nothing was set. */
  get tenant(): Tenant | null | undefined {
    return this.#places.tenantHere() as Tenant | null | undefined
  }

  /**
   * Makes a schema, in the open transaction if there is one.
   * @throws {TenantError} for a name that no schema of a tenant can have.
   * @throws {QueryError} when the schema exists.
   */
  async createSchema(name: string, options?: CreateSchemaOptions): Promise<void> {
    const { ifNotExists } = callOptions<CreateSchemaOptions>(options, { ifNotExists: boolean }, 'createSchema()')
    await this.status(`create schema ${ifNotExists === true ? 'if not exists ' : ''}${quotedSchema(name)}`)
  }

  /**
   * Drops a schema. Objects in it are dropped only with `cascade`.
   * @throws {TenantError} for a name that no schema of a tenant can have. `public` is such a name.
   * @throws {QueryError} when the schema does not exist or is not empty.
   */
  async dropSchema(name: string, options?: DropSchemaOptions): Promise<void> {
    const { ifExists, cascade } = callOptions<DropSchemaOptions>(options, dropping, 'dropSchema()')
    const end = cascade === true ? ' cascade' : ''
    await this.status(`drop schema ${ifExists === true ? 'if exists ' : ''}${quotedSchema(name)}${end}`)
    forgetPaths(await this.engineHere())
  }

  /** @internal */
  override databaseAt(where: unknown): Db {
    return this.#places.databaseAt(where)
  }

  /** @internal */
  override enterTenant(tenant: unknown): TenantStay | Promise<TenantStay> {
    return this.#places.enterTenant(tenant)
  }

  /** @internal */
  override get tenantKind(): TenantTargets['kind'] | null {
    return this.#places.tenants?.kind ?? null
  }

  /** @internal */
  override modelsHere(on: Executor | undefined): void {
    if (this.#places.strict) this.#places.checkModels(on)
  }

  /** @internal */
  override tenantTargets(): Promise<TenantTargets> {
    return this.#places.targets()
  }

  /** @internal */
  override claim(): void {
    this.#life.claim()
  }

  override toString(): string {
    const others = [...this.databases].filter(([name]) => name !== 'main').map(([name, db]) => `${name}: ${String(db)}`)
    return `Registry { ${[`main: ${super.toString()}`, ...others].join(', ')} }`
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Several databases as one `Db`: a main one and others by name, opened and closed together. A plug-in, a model or a script
 * takes it wherever it takes a `Db`.
 * @throws {UsageError} for a name that is empty, has blanks around it or is `main`, and for a source that is not a database.
 * @throws {InvalidOptionError} for an unknown option.
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- no further databases
export function createRegistry<const E extends Readonly<Record<string, DatabaseSource>> = {}, Tenant = string>(
  options: RegistryOptions<E, Tenant>,
): Registry<keyof E & string, Tenant> {
  const read = readOptions<RegistryOptions<E, Tenant>>(options, checks, 'createRegistry()')
  const { main, extra = {}, unopened = 'warn', schema, tenancy } = read
  if (main === undefined)
    throw new UsageError(
      'createRegistry() needs main, the URL or options of the database. Is an environment variable missing?',
    )
  for (const [name, source] of Object.entries(extra)) {
    if (source === undefined || source === null)
      throw new UsageError(
        `createRegistry() was given ${String(source)} for the database ${JSON.stringify(name)}: is an environment variable missing?`,
      )
    if (name.trim() !== name || name === '' || name === 'main')
      throw new UsageError(
        `createRegistry() was given a database named ${JSON.stringify(name)}: a name is not empty, has no blanks around it, and is not "main".`,
      )
  }
  const tenants = tenancy === undefined ? null : new Tenants(tenancy)
  return new Registry<keyof E & string, Tenant>(main, extra, new Life(unopened), tenants, schema)
}

function quotedSchema(name: unknown): string {
  const refusal = tenantSchemaRefusal(name)
  if (refusal !== null) throw new TenantError(`The name of the schema ${refusal}.`)
  return postgres.quote(name as string)
}
