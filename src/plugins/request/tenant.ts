// The tenant of a request: asked of the function that the plug-in was given, before the request has a connection.
import type { Db } from '../../db/db.ts'
import type { TenantStay } from '../../db/places.ts'
import { isGeneverError, RequestTenantError, SchemaNotFoundError, TenantError, UsageError } from '../../errors/index.ts'

/** @throws {UsageError} when there are no tenants. */
export function needsTenants(db: Db): void {
  if (db.tenantKind === null)
    throw new UsageError(
      "tenantForRequest needs a db with tenants, which createRegistry({ tenancy }) of 'genever/registry' makes.",
    )
}

/** @throws {RequestTenantError} for no tenant, or one that cannot be or is not there. */
export async function enterTenant<R>(db: Db, tenantOf: (request: R) => unknown, request: R): Promise<TenantStay> {
  const tenant = await tenantOf(request)
  if (tenant === undefined)
    throw new RequestTenantError('The request names no tenant.', {
      cause: new TenantError('tenantForRequest gave undefined. Where no tenant is meant, it gives null.'),
    })
  try {
    return await db.enterTenant(tenant)
  } catch (cause) {
    if (!isGeneverError(cause, TenantError) && !isGeneverError(cause, SchemaNotFoundError)) throw cause
    throw new RequestTenantError('The request names an unknown tenant.', { cause })
  }
}
