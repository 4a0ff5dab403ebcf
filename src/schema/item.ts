// One object of a schema with its statements: what a plan consists of, for every database.
import type { DrizzleKind } from './source/drizzle.ts'

export interface PlanItem {
  readonly kind: DrizzleKind
  readonly schema: string | undefined
  readonly name: string
  /** The table of a policy. */
  readonly table?: string | undefined
  /** How the server is told of it, behind its kind: `"shop"."orders"`. */
  readonly sqlName: string
  readonly create: readonly string[]
  /** Once all tables are there. */
  readonly references: readonly string[]
  /** At the very end. */
  readonly policies: readonly string[]
  /** Statements that run before anything is dropped. MySQL only. */
  readonly releases?: readonly string[]
}

/** `table "shop"."orders"`. */
export const describe = ({ kind, sqlName }: PlanItem): string => `${kind} ${sqlName}`
