// The project that a command works with: its configuration file, else `DATABASE_URL` and the migrations that drizzle.config names.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createDb, Db } from '../db/db.ts'
import { CommandLineError } from '../errors/index.ts'
import type { MigrateOptions } from '../migrations/index.ts'
import { checkedConfig, type GeneverConfig } from './config.ts'

const endings = ['ts', 'mts', 'js', 'mjs'] as const

export interface Project {
  readonly db: Db
  readonly config: Partial<GeneverConfig>
  /** Options of `migrate`; null: none were found. */
  readonly migrations: MigrateOptions | null
  /** Where the database was found, for messages. */
  readonly from: string
}

export interface ProjectFlags {
  readonly config?: string | undefined
  readonly url?: string | undefined
}

/** @throws {CommandLineError} when no database can be found. */
export async function loadProject(flags: ProjectFlags, directory: string): Promise<Project> {
  const file = fileOf(flags.config, directory)
  if (file === null) return withoutFile(flags, directory)
  const config = checkedConfig(exported(await load(file), 'config'))
  const db = flags.url === undefined ? dbOf(await loading(file, () => config.db()), file) : createDb(flags.url)
  return {
    db,
    config,
    migrations: migrationsOf(config.migrations, dirname(file)),
    from: flags.url === undefined ? file : '--url',
  }
}

function fileOf(given: string | undefined, directory: string): string | null {
  if (given !== undefined) {
    const path = resolve(directory, given)
    if (!existsSync(path)) throw new CommandLineError(`There is no file ${path} (--config).`)
    return path
  }
  return endings.map((ending) => join(directory, `genever.config.${ending}`)).find((path) => existsSync(path)) ?? null
}

async function withoutFile(flags: ProjectFlags, directory: string): Promise<Project> {
  const drizzle = await drizzleConfig(directory)
  const url = flags.url ?? process.env['DATABASE_URL'] ?? drizzle?.url
  if (url === undefined || url === '')
    throw new CommandLineError(
      'No database is known. Write genever.config.ts, set DATABASE_URL, or give --url. See: genever --help.',
    )
  const from =
    flags.url === undefined ? (process.env['DATABASE_URL'] === undefined ? 'drizzle.config' : 'DATABASE_URL') : '--url'
  return { db: createDb(url), config: {}, migrations: drizzle?.migrations ?? null, from }
}

/** A member by that name, or the default export, or the module itself. */
function exported(module: object, name: string): unknown {
  const { default: main, [name]: named } = module as Readonly<Record<string, unknown>>
  return main ?? named ?? module
}

function dbOf(given: unknown, file: string): Db {
  const seen = [given, ...['db', 'default'].map((name) => memberOf(given, name))]
  const found = [...seen, ...seen.map((each) => memberOf(each, 'db'))].find((each) => each instanceof Db)
  if (found !== undefined) return found
  const foreign = seen.some((each) => typeof memberOf(each, 'engineHere') === 'function')
  throw new CommandLineError(
    foreign
      ? `The db of ${file} comes from another copy of genever. Run the command of the project's own: npx genever.`
      : `The member db of ${file} gives no database: it must be a Db, or a module that exports one as db or by default.`,
  )
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
}

/** Folders are those of the file that names them. */
function migrationsOf(given: GeneverConfig['migrations'], directory: string): MigrateOptions | null {
  if (given === undefined) return null
  const options: MigrateOptions = typeof given === 'string' ? { folder: given } : given
  const { folder } = options
  return { ...options, folder: typeof folder === 'string' && !isAbsolute(folder) ? join(directory, folder) : folder }
}

interface DrizzleConfig {
  readonly out?: string
  readonly migrations?: { readonly table?: string; readonly schema?: string }
  readonly dbCredentials?: { readonly url?: string }
}

async function drizzleConfig(
  directory: string,
): Promise<{ migrations: MigrateOptions; url: string | undefined } | null> {
  const file = [...endings, 'cjs']
    .map((ending) => join(directory, `drizzle.config.${ending}`))
    .find((path) => existsSync(path))
  if (file === undefined) return null
  const { out = './drizzle', migrations, dbCredentials } = exported(await load(file), 'config') as DrizzleConfig
  const table = migrations === undefined ? {} : { table: { name: migrations.table, schema: migrations.schema } }
  return { migrations: { folder: join(directory, out), ...table }, url: dbCredentials?.url }
}

function load(file: string): Promise<object> {
  return loading(file, async () => (await import(pathToFileURL(file).href)) as object)
}

/**
 * For `work` that imports modules of the project: Node does not say in which file JavaScript has a mistake.
 * @throws {CommandLineError} where one cannot be parsed.
 */
export async function loading<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof SyntaxError) || error.stack?.includes('file:') === true) throw error
    throw new CommandLineError(
      `${file}, or a module that it imports, cannot be parsed: ${error.message}. To see the place: node --check FILE.`,
      { cause: error },
    )
  }
}

/** Of this package. */
export function ownVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version
}
