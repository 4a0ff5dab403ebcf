// The options of the module: those of every plug-in, and what only Nest has.
import type { DynamicModule, InjectionToken, OptionalFactoryDependency } from '@nestjs/common'
import type { IncomingMessage } from 'node:http'
import type { Db } from '../../../db/db.ts'
import { InvalidOptionError, type OptionProblem } from '../../../errors/index.ts'
import { longestTimerMs } from '../../../util/clock.ts'
import type { PluginOptions, RequestTransactionOptions } from '../../options.ts'

/**
 * Options of a plug-in. A request is that of `node:http` (with Express as the platform, that of Express). The default of
 * `as` is the name of the module, or `db` if it has none.
 */
export interface GeneverOptions extends Omit<PluginOptions<IncomingMessage>, 'transaction'> {
  /** The database, for models and code outside of Nest. Default: the module makes one. */
  readonly db?: Db | undefined
  /**
   * How long running requests may take at the end. After that their sockets are closed. Default 10_000. Nest or its platform
   * may close some earlier.
   */
  readonly drainTimeoutMs?: number | undefined
}

/** The options that have to be known before any factory runs. */
export interface ModuleParts {
  /**
   * A path for a readiness route: 200 when the database answers within the deadline (default 1_000 ms), else 503.
   * Default: none.
   */
  readonly health?: string | { readonly path: string; readonly timeoutMs?: number | undefined } | undefined
  /**
   * Turns `NotFoundError` of routes into Nest's `NotFoundException`. Default true. False: Nest gets the error itself. It
   * answers 404 and the message too, but logs the error and shows it to no filter of `HttpException`.
   */
  readonly notFound?: boolean | undefined
  /**
   * True: every request runs in a transaction, by a global interceptor. An object has options for it. Default false. A route
   * can override it.
   */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
}

/** Options of `forRoot()`. */
export interface GeneverModuleOptions extends GeneverOptions, ModuleParts {}

/** Options of `forRootAsync`, as in Nest's other modules. @typeParam Args The values that are injected into the factory. */
export interface GeneverAsyncOptions<Args extends readonly unknown[] = readonly never[]> extends ModuleParts {
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

/**
 * @param parts What stands beside a factory; null without one.
 * @throws {InvalidOptionError} when one is wrong; those of the plug-in are checked there.
 */
export function split(given: GeneverModuleOptions, name: string | undefined, parts: ModuleParts | null): SplitOptions {
  const { db, drainTimeoutMs = 10_000, health: _, notFound: __, ...plugin } = given
  const problems: OptionProblem[] = []
  if (!(drainTimeoutMs >= 0 && drainTimeoutMs <= longestTimerMs))
    problems.push({ name: 'drainTimeoutMs', problem: 'must be a number of milliseconds, 0 or more' })
  if (parts !== null)
    for (const part of ['health', 'notFound', 'transaction'] as const)
      if (given[part] !== undefined && given[part] !== parts[part])
        problems.push({ name: part, problem: 'must stand beside the factory that gives the other options' })
  if (db !== undefined && typeof (db as Partial<Db> | null)?.engineHere !== 'function')
    problems.push({ name: 'db', problem: 'must be the result of createDb()' })
  const [problem] = problems
  if (problem !== undefined)
    throw new InvalidOptionError(
      `The options of GeneverModule cannot be used: ${problems.map((each) => `"${each.name}" ${each.problem}`).join('; ')}.`,
      { options: problems },
    )
  const as = plugin.as ?? name
  const { transaction } = parts ?? given
  return { db, drainTimeoutMs, plugin: { ...plugin, as, transaction } }
}
