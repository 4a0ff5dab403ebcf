// The start of a server: the database is opened, with the patience that was asked for, or the start fails. Called by every
// plug-in; says what it does through the logger, and never what the database is reached with.
import type { Db } from '../db/db.ts'
import { AuthenticationError, ConnectError } from '../errors/index.ts'
import type { PluginLogger } from './log.ts'
import type { ResolvedPluginOptions } from './options.ts'
import { sleep } from '../util/clock.ts'

type StartOptions = Pick<ResolvedPluginOptions<never>, 'source' | 'engine' | 'retry'>

/**
 * Binds or opens `db`. When the database cannot be reached it tries again `retry.limit` times, so there are
 * `retry.limit + 1` attempts in all. (GINO's Starlette extension counted attempts, its aiohttp extension as here.)
 * @throws {ConnectError} after the last attempt; at once for what waiting cannot mend: a refused user, wrong options.
 */
export async function start(db: Db, options: StartOptions, log: PluginLogger): Promise<void> {
  const { source, engine, retry } = options
  for (let attempt = 0; ; attempt++) {
    try {
      if (source === null) await db.open()
      else await db.bind(source, engine)
      log.info(`The database is open: ${String(db)}`)
      return
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const waitable = error instanceof ConnectError && !(error instanceof AuthenticationError)
      if (!waitable || attempt >= retry.limit) {
        log.error(`The database could not be opened${attempt === 0 ? '' : ` in ${attempt + 1} attempts`}: ${reason}`)
        throw error
      }
      const left = retry.limit === Infinity ? '' : ` of ${retry.limit}`
      log.warn(
        `Waiting for the database to start: retry ${attempt + 1}${left} in ${retry.intervalMs / 1000} s. ${reason}`,
      )
      await sleep(retry.intervalMs)
    }
  }
}
