// `genever migrate` and `genever status`.
import { resolve } from 'node:path'
import { CommandLineError } from '../errors/index.ts'
import {
  migrate,
  type MigrateOptions,
  type MigrateReport,
  migrationStatus,
  type MigrationStatus,
} from '../migrations/index.ts'
import type { MigrationPlace } from '../migrations/index.ts'
import type { Project } from './project.ts'
import type { Terminal } from './terminal.ts'

export interface MigrateFlags {
  readonly folder?: string | undefined
  readonly schemas?: string | undefined
  readonly tenants?: boolean | undefined
  readonly concurrency?: string | undefined
  readonly 'keep-going'?: boolean | undefined
  readonly allow?: string | undefined
  readonly baseline?: string | undefined
  readonly 'lock-timeout'?: string | undefined
  readonly 'dry-run'?: boolean | undefined
}

/** As shells have it for a program that was ended by Ctrl-C. */
const interrupted = 130

/** The exit code. */
export async function runMigrate(project: Project, flags: MigrateFlags, terminal: Terminal): Promise<number> {
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const dryRun = flags['dry-run'] === true
  try {
    const report = await migrate(project.db, {
      ...(await optionsOf(project, flags)),
      dryRun,
      signal: controller.signal,
      onProgress: ({ file, statement, statements, done, total, ...place }) =>
        terminal.progress(`${done + 1}/${total} ${nameOf(place)}${file} (statement ${statement} of ${statements})`),
    })
    terminal.endProgress()
    if (terminal.json) terminal.printJson(report)
    else printReport(report, dryRun, terminal)
    return report.failed.length === 0 ? 0 : 1
  } catch (error) {
    if (!controller.signal.aborted) throw error
    terminal.fail('Stopped between two statements. Run it again to go on.')
    return interrupted
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

/** The exit code. */
export async function runStatus(project: Project, flags: MigrateFlags, terminal: Terminal): Promise<number> {
  const status = await migrationStatus(project.db, { ...(await optionsOf(project, flags)), onError: 'continue' })
  if (terminal.json) terminal.printJson(status)
  else printStatus(status, terminal)
  const differs = status.drift.some(({ kind }) => kind !== 'out-of-order')
  return status.pending.length > 0 || status.failed.length > 0 || differs ? 1 : 0
}

async function optionsOf({ db, migrations }: Project, flags: MigrateFlags): Promise<MigrateOptions> {
  const folder = flags.folder === undefined ? migrations?.folder : resolve(flags.folder)
  if (folder === undefined)
    throw new CommandLineError(
      'Where the migrations are is not known. Give --folder, or migrations in genever.config.ts, or write drizzle.config.ts.',
    )
  return {
    ...migrations,
    folder,
    ...(flags.schemas === undefined ? {} : { schemas: schemasOf(flags.schemas) }),
    ...(flags.tenants === true ? await allTenants(db, flags) : {}),
    ...(flags.concurrency === undefined ? {} : { concurrency: numberOf('--concurrency', flags.concurrency, 1) }),
    ...(flags['keep-going'] === true ? { onError: 'continue' as const } : {}),
    ...(flags.allow === undefined ? {} : { allow: flags.allow.split(',') as ('changed' | 'missing')[] }),
    ...(flags.baseline === undefined ? {} : { baseline: flags.baseline }),
    ...(flags['lock-timeout'] === undefined
      ? {}
      : { lockTimeoutMs: numberOf('--lock-timeout', flags['lock-timeout']) }),
  }
}

async function allTenants(db: Project['db'], { schemas }: MigrateFlags): Promise<Partial<MigrateOptions>> {
  const { tenantKind } = db
  if (schemas !== undefined)
    throw new CommandLineError('--tenants and --schemas cannot be given together. Give one of them.')
  if (tenantKind === null)
    throw new CommandLineError('--tenants needs a db of createRegistry({ tenancy: { …, list } }) in the configuration.')
  // Where a setting can be a database, it is looked for.
  if (tenantKind === 'settings' && (await db.engineHere()).dialect.settings.alone.size === 0)
    throw new CommandLineError('Tenants are rows of tables that all share: run it without --tenants.')
  return tenantKind === 'schema' ? { schemas: 'all' } : { databases: 'all' }
}

/** Names, or a pattern between slashes. */
function schemasOf(text: string): readonly string[] | RegExp {
  const pattern = /^\/(.*)\/$/.exec(text)?.[1]
  if (pattern === undefined) return text.split(',')
  try {
    return new RegExp(pattern)
  } catch (cause) {
    throw new CommandLineError(`--schemas is no pattern: ${text}`, { cause })
  }
}

export function numberOf(flag: string, text: string, least: number = 0): number {
  const number = Number(text)
  if (text.trim() === '' || !Number.isInteger(number) || number < least)
    throw new CommandLineError(
      `${flag} takes a whole number of at least ${least}, not ${JSON.stringify(text.slice(0, 40))}.`,
    )
  return number
}

function nameOf({ database, schema }: MigrationPlace): string {
  const place = [database, schema].filter((each) => each !== null).join(' ')
  return place === '' ? '' : `${place}: `
}

function printReport(report: MigrateReport, dryRun: boolean, terminal: Terminal): void {
  const { applied, baselined, upToDate, failed, drift } = report
  for (const { file, ...place } of baselined)
    terminal.print(
      `${terminal.style('green', '=')} ${nameOf(place)}${file} ${terminal.style('dim', dryRun ? 'would be recorded, not run' : 'recorded, not run')}`,
    )
  for (const { file, ms, statements, ...place } of applied) {
    const { length } = statements
    const took = dryRun ? `${length} ${length === 1 ? 'statement' : 'statements'}` : `${ms.toFixed(0)} ms`
    terminal.print(
      `${terminal.style('green', dryRun ? '+' : '✓')} ${nameOf(place)}${file} ${terminal.style('dim', took)}`,
    )
  }
  for (const { file, kind, ...place } of drift)
    terminal.print(`${terminal.style('yellow', '!')} ${nameOf(place)}${file} is ${kind}`)
  for (const { error, ...place } of failed)
    terminal.print(`${terminal.style('red', '✗')} ${nameOf(place)}${error.message}`)
  const places = upToDate.length === 1 ? '' : ` in ${upToDate.length} places`
  if (applied.length + baselined.length + failed.length === 0)
    terminal.print(`Nothing to do${places}: everything was applied.`)
  else terminal.print(`${applied.length} ${dryRun ? 'would be applied' : 'applied'}, ${failed.length} failed.`)
}

function printStatus({ pending, upToDate, failed, drift }: MigrationStatus, terminal: Terminal): void {
  for (const { file, ...place } of pending)
    terminal.print(`${terminal.style('yellow', '+')} ${nameOf(place)}${file} is pending`)
  for (const { file, kind, ...place } of drift)
    terminal.print(`${terminal.style('yellow', '!')} ${nameOf(place)}${file} is ${kind}`)
  for (const { error, ...place } of failed)
    terminal.print(`${terminal.style('red', '✗')} ${nameOf(place)}${error.message}`)
  const places = upToDate.length === 1 ? 'place is' : 'places are'
  terminal.print(`${pending.length} pending; ${upToDate.length} ${places} up to date.`)
}
