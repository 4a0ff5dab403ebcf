// The end of a server that has no hooks for it: requests are answered first, then the database is closed, each with a
// deadline. It installs no signal handler and ends no process: whoever calls it does.
import type { Db } from '../db/db.ts'
import { type ClosableServer, databasesOf, drain, drainWithin } from '../registry/serve.ts'
import { inRoot } from '../util/context.ts'
import { callOptions } from '../engine/handle.ts'
import { UsageError } from '../errors/index.ts'
import { describeType, milliseconds, type Checks } from '../util/options.ts'
import { anyLogger, type PluginLogger, loggerOf } from './log.ts'

/** Options of `gracefulShutdown()`. */
export interface ShutdownOptions {
  /** How long running requests may take. After that their sockets are closed. Default 10_000. */
  readonly drainTimeoutMs?: number | undefined
  /** How long lent connections may then take to come back. Default: that of the engine. */
  readonly closeTimeoutMs?: number | undefined
  /** Default: standard error. False: silence. */
  readonly log?: PluginLogger | false | undefined
}

const checks: Checks<ShutdownOptions> = {
  drainTimeoutMs: milliseconds(0),
  closeTimeoutMs: milliseconds(0),
  log: anyLogger,
}

/** The result of `gracefulShutdown()`. */
export interface ShutdownReport {
  /** Whether every request had been answered by the deadline. */
  readonly drained: boolean
  /** The holders of the database connections that were broken at the deadline, a line each. */
  readonly broken: readonly string[]
}

/**
 * Refuses new connections, waits for running requests, and closes the databases. It always settles within the sum of its
 * deadlines, also when a handler leaks a connection. Calling it again while it runs is harmless.
 */
export async function gracefulShutdown(
  server: ClosableServer,
  db: Db | readonly Db[],
  given?: ShutdownOptions,
): Promise<ShutdownReport> {
  const options = callOptions<ShutdownOptions>(given, checks, 'gracefulShutdown()')
  checkClosed(server)
  const databases = databasesOf(db, 'gracefulShutdown()', 'second')
  const log = loggerOf(options.log)
  log.info('Closing the server: waiting for running requests.')
  const drained = await drain(server, options.drainTimeoutMs ?? 10_000)
  if (!drained) log.warn(late)
  // A handler may have asked for it: its request has been answered or broken by now, whatever still runs of it.
  const broken = await inRoot(() => closeDatabases(databases, options.closeTimeoutMs, log))
  return { drained, broken }
}

const late = 'Some requests were not answered in time; their connections were closed.'

/** For a framework that closes its server itself: as `drainWithin`, and says so at the deadline. */
export function drainLogging(server: ClosableServer, timeoutMs: number, log: PluginLogger): () => void {
  return drainWithin(server, timeoutMs, () => log.warn(late))
}

/** @throws {UsageError} for what cannot be closed. */
function checkClosed(server: unknown): void {
  if (typeof (server as Partial<ClosableServer> | null | undefined)?.close !== 'function')
    throw new UsageError(`gracefulShutdown() takes a server first, not ${describeType(server)}.`)
}

/**
 * Closes each within its deadline and tells what had to be broken.
 * @throws {UsageError} inside of a request that holds one of its connections.
 */
export async function closeDatabases(
  databases: readonly Db[],
  timeoutMs: number | undefined,
  log: PluginLogger,
): Promise<readonly string[]> {
  const reports = await Promise.all(databases.map((db) => db.close(timeoutMs === undefined ? {} : { timeoutMs })))
  const broken = reports.flatMap((report) => report.broken)
  if (broken.length === 0) log.info('The database is closed.')
  else log.warn(`The database is closed; connections that did not come back were broken: ${broken.join('; ')}`)
  return broken
}
