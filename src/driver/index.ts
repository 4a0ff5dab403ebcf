// `genever/driver`: the contract of a driver, the registry that makes one known, and the rules to test it by.
export { type ContractRule, type ContractSubject, driverContract } from './contract.ts'
export type {
  Defaults,
  Descriptor,
  DriverOptions,
  Environment,
  Known,
  Parameter,
  Place,
  Reader,
  Reading,
  Registry,
  Said,
  SslMode,
  TargetSessionAttrs,
  UrlParameters,
} from './descriptor.ts'
export {
  type ConnectionHooks,
  type Driver,
  type Failure,
  type Op,
  OpState,
  type Outcome,
  parseOnly,
  type RawConnection,
  type Refusal,
  type RefusedStatement,
  type StatementResult,
  type Unit,
} from './driver.ts'
export { anyPlaceOptions, directoryOptions, serverOptions } from './option-checks.ts'
export { drivers } from './registry.ts'
export { serverParameters } from './option-checks.ts'
export { postgres as postgresDialect } from '../postgres/dialect.ts'
export type { ColumnSpec, Compiled, Field, RowSpec, Shape, StatementClass } from '../sql/compiled.ts'
export type { Dialect } from '../sql/dialect.ts'
export { InForce } from '../sql/settings.ts'
