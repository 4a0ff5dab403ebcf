// `genever/migrations`: re-exports, nothing else.
export { migrate, migrationStatus } from './migrate.ts'
export type {
  AppliedMigration,
  FailedMigration,
  MigrateOptions,
  MigrateProgress,
  MigrateReport,
  MigrationDrift,
  MigrationStatus,
  PendingMigration,
} from './options.ts'
