// `genever/registry`: re-exports, nothing else.
export type { DatabaseSource } from './managed-db.ts'
export type { SchemaOptions, Using } from './places.ts'
export {
  createRegistry,
  type CreateSchemaOptions,
  type DropSchemaOptions,
  type Registry,
  type RegistryCloseOptions,
  type RegistryOptions,
} from './registry.ts'
export { type Claim, rowSecurity, type RowSecurityOptions } from './row-security.ts'
export { serve, type ServeOptions, type ClosableServer } from './serve.ts'
export type {
  CommonTenancy,
  DatabaseTenancy,
  SchemaTenancy,
  SettingsTenancy,
  Tenancy,
  TenantSource,
} from './tenancy.ts'
