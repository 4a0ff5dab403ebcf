// The checks of `genever doctor` on a server that answers: its questions, and the findings it makes of the answers.
import type { Engine } from '../engine/engine.ts'
import { clock } from '../util/clock.ts'
import { doctorSql } from '../postgres/tool-sql.ts'
import { unconverted } from '../sql/conversions.ts'

export interface Finding {
  readonly level: 'ok' | 'note' | 'warning' | 'error'
  readonly about: string
  readonly says: string
  /** What to do. */
  readonly remedy?: string | undefined
}

const oldestTried = 15
const mostClockMs = 1_000

interface Server {
  readonly version: string
  readonly number: number
  readonly encoding: string
  readonly recovery: boolean
  readonly readOnly: string
  readonly most: number
  readonly kept: number
  readonly used: number
  readonly ofRole: number
  readonly ofDatabase: number
  readonly bypass: boolean
  readonly schema: string | null
  readonly creates: boolean | null
  readonly idleTimeout: string
  readonly pid: number
}

export async function serverFindings(engine: Engine, processes: number): Promise<Finding[]> {
  const connection = await engine.acquire()
  try {
    const server = await connection.one<Server>(doctorSql.server, [], unconverted)
    return [
      version(server),
      encryption(
        engine,
        await connection.first<{ ssl: boolean; version: string }>(doctorSql.encryption, [], unconverted),
      ),
      connections(engine, server, processes),
      ...(engine.options.driver === 'pglite' ? [] : [pooler(engine, server, connection.slotHere().lease?.raw.id)]),
      ...role(server),
      ...lacks(server),
      await clocks(() => connection.one<{ now: number }>(doctorSql.now, [], unconverted)),
    ]
  } finally {
    await connection.release()
  }
}

function version({ version: says, number, recovery, readOnly, encoding }: Server): Finding {
  const about = 'server'
  if (encoding !== 'UTF8')
    return {
      level: 'warning',
      about,
      says: `PostgreSQL ${says}, its encoding is ${encoding}`,
      remedy: 'Text that this encoding does not have is refused by the server. Make the database with encoding UTF8.',
    }
  if (recovery || readOnly === 'on')
    return {
      level: 'warning',
      about,
      says: `PostgreSQL ${says}, which takes no writes: ${recovery ? 'it is a standby' : 'default_transaction_read_only is on'}`,
      remedy: recovery
        ? 'Name the primary, or several hosts with target_session_attrs=read-write.'
        : 'Switch it off, unless reads are all you want.',
    }
  if (number / 10_000 >= oldestTried) return { level: 'ok', about, says: `PostgreSQL ${says}` }
  return {
    level: 'warning',
    about,
    says: `PostgreSQL ${says}: nothing older than ${oldestTried} is tried by our tests`,
    remedy: 'Upgrade the server.',
  }
}

function encryption(engine: Engine, session: { ssl: boolean; version: string } | undefined): Finding {
  const { connection } = engine.options
  const host = typeof connection['host'] === 'string' ? connection['host'] : ''
  const near = host === '' || host.startsWith('/') || /^(?:localhost|127\.|::1)/.test(host)
  if (session?.ssl === true) {
    const { ssl } = connection as { readonly ssl?: { readonly rejectUnauthorized?: boolean } | false }
    if (typeof ssl === 'object' && ssl.rejectUnauthorized === false)
      return {
        level: 'warning',
        about: 'TLS',
        says: `${session.version}, but any certificate will do`,
        remedy:
          'Anybody in between can read and change everything. Use sslmode=verify-full, with sslrootcert if need be.',
      }
    return { level: 'ok', about: 'TLS', says: session.version }
  }
  if (near) return { level: 'ok', about: 'TLS', says: 'none, and none is needed: the server is on this machine' }
  return {
    level: 'warning',
    about: 'TLS',
    says: `none, and the server is elsewhere (${host})`,
    remedy: 'Add sslmode=verify-full to the URL.',
  }
}

function connections(engine: Engine, server: Server, processes: number): Finding {
  const { max } = engine.options.pool
  const wanted = processes * max
  const limits = [server.most - server.kept, server.ofRole, server.ofDatabase].filter((limit) => limit >= 0)
  const most = Math.min(...limits)
  const others = Math.max(0, server.used - engine.stats().open + 1)
  const says = `${processes} × ${max} wanted, ${most} allowed, ${others} used by others now`
  const about = 'connections'
  if (wanted > most)
    return {
      level: 'error',
      about,
      says,
      remedy: `Set pool.max to at most ${Math.max(1, Math.floor(most / processes))}, raise max_connections, or put a pooler in between.`,
    }
  if (wanted + others > most)
    return {
      level: 'warning',
      about,
      says,
      remedy: 'With the connections of others there are not enough. Lower pool.max, or raise max_connections.',
    }
  return { level: 'ok', about, says }
}

/** A pooler shows another number of the session than the server does. */
function pooler(engine: Engine, { pid }: Server, told: number | undefined): Finding {
  const between = told !== undefined && told !== pid
  const about = 'pooler'
  const asked = engine.options.connection['knownPooler'] === true
  if (between && !asked)
    return {
      level: 'error',
      about,
      says: 'something between here and the server shares its sessions, and the pool does not know',
      remedy: "Set pooler: 'transaction' (URL: pgbouncer=true) or 'session', or connect to the server itself.",
    }
  if (!between && asked)
    return {
      level: 'note',
      about,
      says: 'the option pooler is set, and no pooler was seen',
      remedy: 'Without a pooler leave it out: statements are prepared then, and sessions keep their settings.',
    }
  return { level: 'ok', about, says: between ? 'seen, and known' : 'none' }
}

function role({ bypass, schema, creates }: Server): Finding[] {
  const findings: Finding[] = []
  if (bypass)
    findings.push({
      level: 'note',
      about: 'role',
      says: 'it passes over row-level security (superuser or BYPASSRLS)',
      remedy: 'Where policies keep tenants apart, use a separate role for the program.',
    })
  if (schema === null)
    findings.push({
      level: 'error',
      about: 'schema',
      says: 'the search path leads to no schema that is there',
      remedy: 'Create it, grant USAGE on it, or set search_path (URL: schema=NAME).',
    })
  else
    findings.push({
      level: creates === true ? 'ok' : 'note',
      about: 'schema',
      says: `${schema}${creates === true ? '' : ', in which this role cannot create tables'}`,
      ...(creates === true ? {} : { remedy: 'Migrations need a role that can.' }),
    })
  return findings
}

/** What a server of that version does not have, of what Genever uses where it is there. */
const since: readonly (readonly [number: number, what: string])[] = [
  [130_000, 'gen_random_uuid() without an extension'],
  [140_000, 'the news that a server became primary, without asking'],
  [150_000, 'MERGE, NULLS NOT DISTINCT'],
  [170_000, 'transaction_timeout'],
  [180_000, 'uuidv7(), virtual generated columns'],
]

function lacks({ number, idleTimeout }: Server): Finding[] {
  const missing = since.filter(([first]) => number < first).map(([, what]) => what)
  const findings: Finding[] = missing.length === 0 ? [] : [{ level: 'note', about: 'lacks', says: missing.join('; ') }]
  if (idleTimeout === '0')
    findings.push({
      level: 'note',
      about: 'limits',
      says: 'the server never ends a transaction that is forgotten',
      remedy: 'Set transactionIdleTimeoutMs, or idle_in_transaction_session_timeout of the server.',
    })
  return findings
}

async function clocks(ask: () => Promise<{ now: number }>): Promise<Finding> {
  const before = clock.date()
  const { now } = await ask()
  const after = clock.date()
  const apart = now - (before + after) / 2
  const about = 'clock'
  const says = `${Math.abs(apart).toFixed(0)} ms ${apart < 0 ? 'behind' : 'ahead of'} this machine`
  if (Math.abs(apart) < mostClockMs + (after - before)) return { level: 'ok', about, says: 'as on this machine' }
  return { level: 'warning', about, says, remedy: 'Let both machines have their time from NTP.' }
}
