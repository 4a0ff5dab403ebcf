// The public door: re-exports, nothing else.
export type {
  Bakeable,
  Baked,
  BakedArguments,
  BakedOptions,
  BakeOptions,
  LoadingOptions,
  RowLoader,
} from './db/baked.ts'
export { createDb, Db } from './db/db.ts'
export { Connection } from './engine/connection.ts'
export { type ReleaseOptions } from './engine/handle.ts'
export { Cursor } from './engine/query/cursor.ts'
export { type CloseOptions, Engine, type EngineStats } from './engine/engine.ts'
export { Executor, type Row } from './engine/query/executor.ts'
export { createEngine, type EngineOptions, type EngineSource } from './engine/open/create-engine.ts'
export type { Handle } from './engine/context/frame.ts'
export type { From, QueryDefaults } from './engine/core.ts'
export type { HostStats } from './engine/hosts/host.ts'
export type { Position } from './engine/hosts/position.ts'
export type { CursorOptions, IntoOptions, QueryOptions } from './engine/query/query-options.ts'
export type { AcquireOptions, DetachedOptions, ScopeOptions } from './engine/source.ts'
export type { SqlQuery } from './engine/query/sql-query.ts'
export { type ArrayStatus, Status } from './engine/query/execute.ts'
export type { StatusOptions } from './engine/query/query-options.ts'
export type { Field } from './sql/compiled.ts'
export type { TagValues } from './sql/tags.ts'
export { TransactionExit } from './engine/transaction/transaction.ts'
export { ManualTransaction } from './engine/transaction/transaction.ts'
export type { TransactionOptions } from './engine/transaction/options.ts'
export type { TransactionRetry } from './engine/transaction/terms.ts'
export { Transaction } from './engine/transaction/transaction.ts'
export type { CloseReport, PoolStats } from './pool/contract.ts'
export type { Gap, Heard, Listener, ListenOptions, Notification } from './engine/client/listener.ts'
export type { CopyCallOptions, CopyOut } from './engine/client/copy.ts'
export type { CopyData, CopyIn } from './engine/client/copy-in.ts'
export type { LockOptions } from './engine/client/lock.ts'
export type { LockKey } from './sql/dialect.ts'
export { closeGlobal, globalDb } from './registry/global-db.ts'
export type { GlobalSource } from './registry/shared-pool.ts'
export { sql } from './postgres/dialect.ts'
export type { TypeConversion, TypeConversions, TypePart, TypeParts } from './sql/conversions.ts'
export type { Fragment, Sql } from './sql/tag.ts'
export type { Into, IntoRow } from './sql/into.ts'
export type { Params, Query, Statement, ToStatement } from './sql/statement.ts'
export {
  AbortedError,
  type AcquireTimeoutDetails,
  AcquireTimeoutError,
  type AfterCommitDetails,
  AfterCommitError,
  AlreadyBoundError,
  AuthenticationError,
  CheckViolationError,
  CommandLineError,
  type CommitOutcomeDetails,
  CommitOutcomeUnknownError,
  type ConnectDetails,
  ConnectError,
  ConnectionLostError,
  ConstraintViolationError,
  DeadlockDetectedError,
  DriverNotInstalledError,
  type ErrorDetails,
  type ErrorFields,
  type ErrorKind,
  ExclusionViolationError,
  ForeignKeyViolationError,
  GeneverError,
  type InvalidOptionDetails,
  InvalidOptionError,
  InvalidUrlError,
  LockTimeoutError,
  MigrationError,
  MultipleResultsError,
  NoResultError,
  NoSuchRowError,
  NotBoundError,
  NotFoundError,
  NotNullViolationError,
  type OptionProblem,
  type Outcome,
  ParameterError,
  PoolClosedError,
  PoolError,
  ProtocolError,
  QueryCanceledError,
  QueryError,
  type QueryErrorDetails,
  QueryTimeoutError,
  ReadOnlyError,
  ReleasedConnectionError,
  RequestTenantError,
  ResultError,
  SchemaNotFoundError,
  SelfDeadlockError,
  SerializationError,
  SessionMovedError,
  SqlSyntaxError,
  StalePlanError,
  type StepDetails,
  StepError,
  SyncTimeoutError,
  SyncWorkerError,
  type TimeoutDetails,
  TenantError,
  TooManyConnectionsError,
  TooManyWaitersError,
  TransactionAbortedError,
  TransactionEndedError,
  TransactionStateError,
  TransactionTimeoutError,
  UniqueViolationError,
  UnknownColumnError,
  UnknownJsonPropertyError,
  UnsafeIntegerError,
  UsageError,
  type ValidationDetails,
  ValidationError,
  type ValidationIssue,
  isGeneverError,
} from './errors/index.ts'
export type {
  ConnectionEvent,
  LeaseEvent,
  NoticeCode,
  NoticeEvent,
  ServerInfo,
  ServerMessageEvent,
  StatementEvent,
  StatementStartEvent,
  TransactionEvent,
  WaitEvent,
} from './observe/channels.ts'
export type { PoolOptions, TlsOptions } from './options/options.ts'
export type { ReplicaOptions } from './options/engine-options.ts'
export type { IsolationLevel } from './sql/dialect.ts'
