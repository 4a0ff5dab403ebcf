// The file `genever.config.ts`, by which a project configures the command.
import type { Db } from '../db/db.ts'
import { CommandLineError } from '../errors/index.ts'
import type { MigrateOptions } from '../migrations/index.ts'
import { callback, type Check, integer, isPlain, type Checks, readOptions } from '../util/options.ts'

type Given = Db | { readonly db: Db } | { readonly default: Db | { readonly db: Db } }

/** The default export of `genever.config.ts`. */
export interface GeneverConfig {
  /**
   * Gives the database: a `Db`, or a module that exports one as `db` or by default. It is called when a command needs it, so
   * help opens nothing: `db: () => import('./src/db.ts')`.
   */
  readonly db: () => Given | Promise<Given>
  /** Modules with models, for the shell: `models: () => import('./src/models.ts')`. */
  readonly models?: (() => object | Promise<object>) | undefined
  /** The folder of migrations, or options of `migrate`. A baseline is for one run: give it to the command. */
  readonly migrations?: string | Omit<MigrateOptions, 'baseline' | 'dryRun' | 'signal' | 'onProgress'> | undefined
  /** How many processes have a pool each. `doctor` compares their connections with `max_connections`. Default 1. */
  readonly processes?: number | undefined
  /** Further names that are available in the shell. */
  readonly shell?: { readonly context?: (() => object | Promise<object>) | undefined } | undefined
}

const migrations: Check = (value) => {
  if (typeof value !== 'string' && !isPlain(value)) return 'must be the folder of migrations, or options of migrate()'
  if (typeof value === 'string' || value['baseline'] === undefined) return undefined
  return 'has a baseline, which is for one run: give it to the command, as --baseline'
}

const checks: Checks<GeneverConfig> = {
  db: callback,
  models: callback,
  migrations,
  processes: integer(1, 100_000),
  shell: { group: { context: callback } },
}

/**
 * The configuration of `npx genever`, as the default export of `genever.config.ts` (or `.mts`, `.js`, `.mjs`). It returns
 * its argument.
 *
 * @throws {InvalidOptionError} naming every member that does not exist or does not fit.
 */
export function defineConfig(config: GeneverConfig): GeneverConfig {
  checkedConfig(config)
  return config
}

/** @throws {CommandLineError}, {InvalidOptionError} */
export function checkedConfig(config: unknown): GeneverConfig {
  const read = readOptions<GeneverConfig>(config, checks, 'genever.config')
  if (read.db === undefined)
    throw new CommandLineError("genever.config needs a member db: defineConfig({ db: () => import('./src/db.ts') }).")
  return read
}
