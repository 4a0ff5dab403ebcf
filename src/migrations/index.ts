// `genever/migrations`: re-exports, nothing else.
export { migrate, migrationStatus } from './migrate.ts'
export type {
  AppliedMigration,
  DatabaseSource,
  DriftKind,
  FailedMigration,
  MigrateOptions,
  MigrateProgress,
  MigrateReport,
  MigrationDrift,
  MigrationPlace,
  MigrationStatus,
  PendingMigration,
} from './options.ts'
