// Resets a session of PostgreSQL to the state in which every user gets it: only the settings of the driver and of `onConnect` remain.
import { Dirty } from '../../sql/compiled.ts'
import { everything, joined, resetText } from '../../postgres/session-sql.ts'
import type { Failure, Op } from '../driver.ts'
import type { NameResolution } from './name-resolution.ts'
import type { Status } from './outcome.ts'
import type { PreparedCache } from './prepared/prepared-cache.ts'
import { foreignIn, silentText } from './reset.ts'
import type { Wire } from './wire.ts'

/** The session. */
interface Host {
  readonly status: Status
  readonly dirty: number
  readonly names: NameResolution
  readonly prepared: PreparedCache
  readonly prefix: string
  run(ops: readonly Op[], deadline: number): Promise<boolean>
}

/** What `onConnect` has set, as `restore` of the dialect writes it: fewer digits of a float, or another form of dates. */
const unusual = /'extra_float_digits', '(?:0|-)|'datestyle', '(?!iso)/i

export class Baseline {
  readonly #host: Host
  readonly #wire: Pick<Wire, 'listening'>
  readonly #authorization: string
  /** What the driver was asked to set in every session. */
  #needed = ''
  /** What was set since, as a session is opened. */
  #own = ''
  /** LISTEN statements of its engine. */
  channels = ''
  /** Numbers or dates are written in another way than usual. */
  changesText = false
  /** The client was lent since the last reset: it may have prepared statements. */
  wasLent = false

  constructor(host: Host, wire: Pick<Wire, 'listening'>, authorization: string) {
    this.#host = host
    this.#wire = wire
    this.#authorization = authorization
  }

  /** SQL that makes a bare session this one. */
  get sql(): string {
    return joined([this.#needed, this.#own])
  }

  /** Sets it now, and at the end of every reset. */
  async establish(sql: string, deadline: number): Promise<Failure | null> {
    const op = silentText(sql)
    if (!(await this.#host.run([op], deadline))) return op.failure ?? { kind: 'timeout', outcome: 'not_started' }
    this.#needed = sql
    return null
  }

  settle(sql: string, channels: string): void {
    this.#own = sql
    this.channels = channels
    this.changesText = unusual.test(sql)
    this.#host.names.rebase()
  }

  /** False: the session cannot be used any more. */
  async restore(dirty: number, deadline: number): Promise<boolean> {
    const { status, prepared, prefix, names } = this.#host
    const whole = (dirty & Dirty.unknown) !== 0 || (dirty === 0 && status === 'idle')
    const bits = whole ? everything | dirty : dirty
    const baseline = joined([this.sql, this.#wire.listening ?? this.channels])
    const undo = silentText(resetText(status !== 'idle', bits, this.#authorization, baseline, this.wasLent))
    if (!(await this.#host.run([undo], deadline))) return false
    const foreign = whole ? foreignIn(undo.rows, prepared, this.wasLent, prefix) : ''
    if (whole) this.wasLent = false
    if (foreign !== '' && !(await this.#host.run([silentText(foreign)], deadline))) return false
    names.reset((this.#host.dirty & (Dirty.temp | Dirty.unknown)) !== 0)
    return true
  }
}
