// One server of a database with replicas: its pool and its state. And the server from which a slot reads, while that may be a replica.
import type { ServerInfo } from '../../observe/channels.ts'
import type { PoolStats } from '../../pool/contract.ts'
import type { Pool } from '../../pool/pool.ts'
import type { Standing } from '../../sql/dialect.ts'
import type { From } from '../core.ts'
import type { ServerProbe } from './server-probe.ts'

/** Counts of the pool of one server. */
export interface HostStats extends PoolStats {
  /** Host and port. */
  readonly name: string
  /** `out`: nothing is sent there, for the reason `why`. */
  readonly role: 'primary' | 'replica' | 'out'
  /** The reason why nothing is sent there. */
  readonly why?: string | undefined
  /**
   * The most that a replica can be behind, in milliseconds, as its position at the last question shows. `Infinity`: unknown. It grows
   * while nobody reads, because then no server is asked.
   */
  readonly lagMs?: number | undefined
}

/** How far somebody has to be. */
export type Reached = Pick<Standing, 'timeline' | 'position'>

export class Host {
  readonly name: string
  readonly server: ServerInfo
  readonly pool: Pool
  readonly probe: ServerProbe
  role: 'primary' | 'replica' | 'out' = 'out'
  why = 'not asked yet'
  /** Its last answer. */
  standing: Standing | null = null
  /** It has all that the primary had then, monotonic milliseconds. */
  freshAt: number = -Infinity
  asking = false

  constructor(name: string, server: ServerInfo, pool: Pool, probe: ServerProbe) {
    this.name = name
    this.server = server
    this.pool = pool
    this.probe = probe
  }

  /** Whether it has all that was written until then. */
  has({ timeline, position }: Reached): boolean {
    const { standing } = this
    return standing !== null && standing.timeline === timeline && standing.position >= position
  }

  stats(now: number): HostStats {
    const { name, role, why, freshAt } = this
    return {
      name,
      role,
      ...(role === 'out' ? { why } : role === 'replica' ? { lagMs: Math.round(now - freshAt) } : {}),
      ...this.pool.stats(),
    }
  }
}

/** Where a slot reads, while it has done nothing else. */
export class Reads {
  /** Of where it reads now; null: it has not read yet. */
  host: Host | null = null
  /** The server that the scope asks for; null: the one of the option `replicas.reads`. */
  from: From | null
  after: Reached | null

  constructor(from: From | null, after: Reached | null) {
    this.from = from
    this.after = after
  }

  get pool(): Pool | null {
    return this.host === null ? null : this.host.pool
  }

  /** An inner scope asks for more. */
  narrow(from: From | null, after: Reached | null): void {
    if (from === 'primary') this.from = from
    if (after === null) return
    const known = this.after
    // A position in another history does not help in this one.
    if (known !== null && known.timeline !== after.timeline) this.from = 'primary'
    else if (known === null || known.position < after.position) this.after = after
    if (this.host?.has(after) === false) this.from = 'primary'
  }
}
