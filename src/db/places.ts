// A `Db` that stands for several databases and tenants, as types and plug-ins know it.
import type { Settings } from '../engine/context/frame.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'

/** The key under which a type carries the names of its databases; nothing at run time. */
export declare const databaseNames: unique symbol

/** The key under which a type carries what its tenants are. */
export declare const databaseTenants: unique symbol

/** A `Db` that knows others by name, and has tenants. */
export interface HasPlaces<Names extends string, Tenant> {
  readonly [databaseNames]: Names
  readonly [databaseTenants]: Tenant
}

/** Where all tenants are. Those by settings are rows of tables that all share, unless one of the settings is a database. */
export type TenantTargets =
  | { readonly kind: 'schema'; readonly schemas: readonly string[]; readonly shared: readonly string[] }
  | { readonly kind: 'database'; readonly databases: readonly TenantDatabase[] }
  | { readonly kind: 'settings'; readonly each: () => Promise<readonly Settings[]> }

export interface TenantDatabase {
  readonly source: string | EngineOptions
  readonly options: EngineOptions | undefined
}

/** While code is at a tenant. */
export interface TenantStay {
  /** Calls `work` there; as often as wanted. */
  run<R>(work: () => R): R
  /** From now on its database may be closed whenever nothing uses it. */
  loosen(): void
  end(): void
}
