// DDL from Drizzle tables. Migrations stay with drizzle-kit.
export { create, createAll, createStatements } from './create.ts'
export { drop, dropAll, dropStatements } from './drop.ts'
export type {
  CreateOptions,
  CreateReport,
  DropOptions,
  DropReport,
  DropStatementOptions,
  SchemaSource,
  StatementOptions,
} from './options.ts'
