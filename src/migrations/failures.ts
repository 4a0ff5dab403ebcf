// The errors of a run of migrations: they name the place and the statement.
import { GeneverError, MigrationError } from '../errors/index.ts'
import type { Migration } from './folder.ts'
import type { MigrateOptions } from './options.ts'
import type { Plan } from './record.ts'
import type { Target } from './targets.ts'

/** @throws {MigrationError} when folder and record differ in a way that the options do not allow. */
export function refuseDrift({ drift }: Plan, target: Target, options: MigrateOptions): void {
  const allowed: readonly string[] = options.allow ?? []
  const wrong = drift.filter(({ kind }) => kind !== 'out-of-order' && !allowed.includes(kind))
  if (wrong.length === 0) return
  const list = wrong.map(({ file, kind }) =>
    kind === 'changed' ? `${file} has changed since it was applied` : `${file} was applied and is not in the folder`,
  )
  throw new MigrationError(
    `${placeOf(target)}${list.join('; ')}. Nothing was applied. Bring the files back, or let it pass by the option allow.`,
    { outcome: 'not_started' },
  )
}

/** `at`: the place of the statement that failed, from 0. */
export function failedAt(target: Target, { name, statements }: Migration, at: number, cause: unknown): MigrationError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const outcome = cause instanceof GeneverError ? cause.outcome : 'unknown'
  return new MigrationError(
    `${placeOf(target)}Migration ${name} failed at statement ${at + 1} of ${statements.length}: ${reason}`,
    { cause, outcome },
  )
}

/** A run was cut off while this statement ran, and nothing shows whether it was done. */
export function unseen(statement: string): MigrationError {
  return new MigrationError(
    `A run of migrations was cut off while this statement ran, and Genever cannot see whether it was done: ${short(statement)}. Look at the database, then ` +
      'set its row in the table of steps to done, or delete it.',
  )
}

export function short(statement: string): string {
  const line = statement.replaceAll(/\s+/g, ' ')
  return line.length > 120 ? `${line.slice(0, 117)}…` : line
}

function placeOf({ database, schema }: Target): string {
  const where = [
    ...(database === null ? [] : [`the database ${database}`]),
    ...(schema === null ? [] : [`the schema ${JSON.stringify(schema)}`]),
  ]
  return where.length === 0 ? '' : `In ${where.join(', ')}: `
}
