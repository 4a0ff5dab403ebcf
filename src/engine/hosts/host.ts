// One server of a database that has several: its pool, and what is known of it.
import type { ServerInfo } from '../../observe/channels.ts'
import type { PoolStats } from '../../pool/contract.ts'
import type { Pool } from '../../pool/pool.ts'
import type { Standing } from '../../sql/dialect.ts'
import type { Asker } from './asker.ts'

/** Counts of the pool of one server. */
export interface HostStats extends PoolStats {
  /** Host and port. */
  readonly name: string
  /** `out`: nothing is sent there, for the reason `why`. */
  readonly role: 'primary' | 'replica' | 'out'
  readonly why?: string | undefined
  /**
   * Of a replica: how far it is behind at most, in milliseconds, as its position at the last question shows; `Infinity`: not known.
   * It grows while nobody reads, because nobody asks.
   */
  readonly lagMs?: number | undefined
}

/** How far somebody has to be. */
export type Reached = Pick<Standing, 'timeline' | 'position'>

export class Host {
  readonly name: string
  readonly server: ServerInfo
  readonly pool: Pool
  readonly asker: Asker
  role: 'primary' | 'replica' | 'out' = 'out'
  why = 'not asked yet'
  /** Its last answer. */
  standing: Standing | null = null
  /** It has all that the primary had then, monotonic milliseconds. */
  freshAt: number = -Infinity
  asking = false

  constructor(name: string, server: ServerInfo, pool: Pool, asker: Asker) {
    this.name = name
    this.server = server
    this.pool = pool
    this.asker = asker
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
