// The options of the module: those of every plug-in, and what only Nest has.
import type { DynamicModule, InjectionToken, OptionalFactoryDependency } from '@nestjs/common'
import type { IncomingMessage } from 'node:http'
import type { Db } from '../../../db/db.ts'
import { InvalidOptionError, type OptionProblem } from '../../../errors/index.ts'
import type { PluginOptions } from '../../options.ts'

/**
 * Options of a plug-in, where a request is that of `node:http` (of Express, on its platform). `as` defaults to the name
 * of the module, and to `db` without one.
 */
export interface GeneverOptions extends PluginOptions<IncomingMessage> {
  /** The database, for models and code outside of Nest; default: one is made. */
  readonly db?: Db | undefined
  /**
   * How long running requests may take at the end; then their sockets are closed. Default 10_000. Those that Nest or
   * its platform close earlier are theirs.
   */
  readonly drainTimeoutMs?: number | undefined
}

/** A readiness route: 200 when the database answers within the deadline, else 503. */
export interface HealthRoute {
  /** A path for a route that answers whether the database does, or that with the deadline. Default: none. */
  readonly health?: string | { readonly path: string; readonly timeoutMs?: number | undefined } | undefined
}

export interface GeneverModuleOptions extends GeneverOptions, HealthRoute {}

/** As of Nest's other modules. @typeParam Args What is injected into the factory. */
export interface GeneverAsyncOptions<Args extends readonly unknown[] = readonly never[]> extends HealthRoute {
  /** The name of the database, for `InjectDb` and on requests. */
  readonly name?: string | undefined
  readonly imports?: DynamicModule['imports'] | undefined
  readonly inject?: readonly (InjectionToken | OptionalFactoryDependency)[] | undefined
  readonly useFactory: (...args: Args) => GeneverOptions | Promise<GeneverOptions>
}

export interface SplitOptions {
  readonly db: Db | undefined
  readonly drainTimeoutMs: number
  readonly plugin: PluginOptions<IncomingMessage>
}

const longestTimeout = 2 ** 31 - 1

/** @throws {InvalidOptionError} when one is wrong; those of the plug-in are checked there. */
export function split(given: GeneverModuleOptions, name: string | undefined): SplitOptions {
  const { db, drainTimeoutMs = 10_000, health: _, ...plugin } = given
  const problems: OptionProblem[] = []
  if (!(drainTimeoutMs >= 0 && drainTimeoutMs <= longestTimeout))
    problems.push({ name: 'drainTimeoutMs', problem: 'must be a number of milliseconds, 0 or more' })
  if (db !== undefined && typeof (db as Partial<Db> | null)?.engineHere !== 'function')
    problems.push({ name: 'db', problem: 'must be what createDb() gives' })
  const [problem] = problems
  if (problem !== undefined)
    throw new InvalidOptionError(
      `The options of GeneverModule cannot be used: ${problems.map((each) => `"${each.name}" ${each.problem}`).join('; ')}.`,
      { options: problems },
    )
  const as = plugin.as ?? name
  return { db, drainTimeoutMs, plugin: as === undefined ? plugin : { ...plugin, as } }
}
