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
  type CopyPort,
  type CopySink,
  type Driver,
  type Failure,
  type Op,
  OpState,
  type Outcome,
  parseOnly,
  type HeldRows,
  type Portal,
  type RawConnection,
  type Refusal,
  type RefusedStatement,
  type RowPort,
  type StatementResult,
  type Unit,
} from './driver.ts'
export { anyPlaceOptions, directoryOptions, serverOptions } from './option-checks.ts'
export { drivers } from './registry.ts'
export { serverParameters } from './option-checks.ts'
export { postgres as postgresDialect } from '../postgres/dialect.ts'
export type {
  ColumnSpec,
  Compiled,
  Control,
  Field,
  Kinds,
  ListField,
  ListSpec,
  RowSpec,
  Shape,
  StatementClass,
} from '../sql/compiled.ts'
export type { Conversions } from '../sql/conversions.ts'
export type { Dialect } from '../sql/dialect.ts'
export type { Reach } from '../sql/functions.ts'
export { InForce } from '../sql/settings.ts'
export type { Check } from '../util/options.ts'
