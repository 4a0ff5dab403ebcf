// Every error of the package, by name. The other layers import from here.
export { GeneverError, isGeneverError, type ErrorDetails, type ErrorKind, type Outcome } from './genever-error.ts'
export {
  AlreadyBoundError,
  DriverNotInstalledError,
  InvalidOptionError,
  InvalidUrlError,
  NotBoundError,
  ParameterError,
  ReleasedConnectionError,
  SelfDeadlockError,
  TransactionEndedError,
  TransactionStateError,
  UnknownColumnError,
  UnknownJsonPropertyError,
  UsageError,
  ValidationError,
  type InvalidOptionDetails,
  type OptionProblem,
  type ValidationDetails,
  type ValidationIssue,
} from './usage-error.ts'
export {
  MultipleResultsError,
  NoResultError,
  NoSuchRowError,
  NotFoundError,
  ResultError,
  UnsafeIntegerError,
} from './result-error.ts'
export {
  AcquireTimeoutError,
  AuthenticationError,
  ConnectError,
  ConnectionLostError,
  PoolClosedError,
  PoolError,
  ProtocolError,
  TooManyConnectionsError,
  TooManyWaitersError,
  type AcquireTimeoutDetails,
  type ConnectDetails,
} from './connection-error.ts'
export {
  AbortedError,
  AfterCommitError,
  CommitOutcomeUnknownError,
  MigrationError,
  QueryTimeoutError,
  TransactionAbortedError,
  TransactionTimeoutError,
  type AfterCommitDetails,
  type CommitOutcomeDetails,
  type TimeoutDetails,
} from './transaction-error.ts'
export {
  CheckViolationError,
  ConstraintViolationError,
  DeadlockDetectedError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  QueryCanceledError,
  QueryError,
  ReadOnlyError,
  SerializationError,
  SqlSyntaxError,
  StalePlanError,
  UniqueViolationError,
  type ErrorFields,
  type QueryErrorDetails,
} from './query-error.ts'
export { isServerShutdown, poolerAdvice, toConnectError, toQueryError } from './sqlstate.ts'
export { SyncTimeoutError, SyncWorkerError } from './sync-error.ts'
