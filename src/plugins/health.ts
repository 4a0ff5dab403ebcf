// Readiness: whether the database answers in time, and what the pool is doing. Plug-ins turn it into a response; nothing in
// it is secret, and it takes no connection from the request that asks.
import { before, clock } from '../util/clock.ts'
import type { Db } from '../db/db.ts'
import { callOptions } from '../engine/handle.ts'
import { GeneverError } from '../errors/index.ts'
import { milliseconds, type Checks } from '../util/options.ts'
import type { PoolStats } from '../pool/contract.ts'

/** Options of `health()`. */
export interface HealthOptions {
  /** How long the database may take to answer, including the wait for a connection. Default 1_000. */
  readonly timeoutMs?: number | undefined
}

/** Whether the database answers, as a readiness route answers it. */
export interface Health {
  /** 200 or 503. */
  readonly status: 200 | 503
  readonly body: {
    readonly status: 'ok' | 'unavailable'
    /** The code of the error, if the database did not answer. */
    readonly reason?: string
    /** Counts of the pool, once there is one. */
    readonly pool?: PoolStats
  }
}

const checks: Checks<HealthOptions> = { timeoutMs: milliseconds(0) }

/** @throws {InvalidOptionError} for options that do not exist or do not fit, where a route is made. */
export function healthOptions(given: HealthOptions | undefined): HealthOptions {
  return callOptions<HealthOptions>(given, checks, 'health()')
}

/** Asks the database for a sign of life. Settles by the deadline, never rejects. */
export async function checkHealth(db: Db, options?: HealthOptions): Promise<Health> {
  const { timeoutMs = 1_000 } = healthOptions(options)
  // The deadline of the statement does not cover an engine that is only being opened.
  const asked = db
    .detached(() => db.scalar('select 1', [], { timeoutMs }))
    .then(
      () => null,
      (error: unknown) => (error instanceof GeneverError ? error.code : 'ERROR'),
    )
  const reason = await before(clock.now() + timeoutMs, asked, 'GENEVER_QUERY_TIMEOUT')
  const pool = statsOf(db)
  const counts = pool === null ? {} : { pool }
  return reason === null
    ? { status: 200, body: { status: 'ok', ...counts } }
    : { status: 503, body: { status: 'unavailable', reason, ...counts } }
}

function statsOf(db: Db): PoolStats | null {
  try {
    return db.bound ? db.stats() : null
  } catch {
    return null
  }
}
