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
export { type ReleaseOptions } from './engine/release-options.ts'
export { Cursor, type CursorOptions } from './engine/query/cursor.ts'
export { type CloseOptions, Engine } from './engine/engine.ts'
export { Executor, type Row } from './engine/query/executor.ts'
export { createEngine, type EngineOptions, type EngineSource } from './engine/open/create-engine.ts'
export type { Handle } from './engine/handle.ts'
export type { QueryDefaults, QueryOptions } from './engine/query/query-options.ts'
export type { AcquireOptions, DetachedOptions, ScopeOptions } from './engine/source.ts'
export type { SqlQuery } from './engine/query/sql-query.ts'
export { Status } from './engine/query/status.ts'
export { TransactionExit } from './engine/transaction/exit.ts'
export { ManualTransaction } from './engine/transaction/manual.ts'
export type { TransactionOptions, TransactionRetry } from './engine/transaction-options.ts'
export { Transaction } from './engine/transaction/transaction.ts'
export type { CloseReport, PoolStats } from './pool/contract.ts'
export { type Fragment, sql, type Sql } from './sql/tag.ts'
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
  ResultError,
  SelfDeadlockError,
  SerializationError,
  SessionMovedError,
  SqlSyntaxError,
  StalePlanError,
  SyncTimeoutError,
  SyncWorkerError,
  type TimeoutDetails,
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
  StatementEvent,
  StatementStartEvent,
  TransactionEvent,
  WaitEvent,
} from './observe/channels.ts'
export type { DriverLike, IsolationLevel, PoolOptions, TlsOptions } from './options/options.ts'
