// The servers of a database with replicas: which is the primary, which replicas may answer a read, and the switch to another primary.
// They are asked about once a second as long as somebody reads or waits for an answer, and every 20 ms while a statement waits for a
// primary. Nothing runs while nobody does.
import { ConnectError } from '../../errors/index.ts'
import { type Failure, isFailure, type RawConnection } from '../../driver/driver.ts'
import { type ServerInfo, notice } from '../../observe/channels.ts'
import type { ResolvedReplicas } from '../../options/engine-options.ts'
import type { CloseReport, PoolStats } from '../../pool/contract.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { ReplicationWords } from '../../sql/dialect.ts'
import { clock, sleep } from '../../util/clock.ts'
import { inRoot } from '../../util/context.ts'
import type { Pool } from '../../pool/pool.ts'
import type { EngineCore, HostSet, Routed } from '../core.ts'
import { fromAround } from '../context/place.ts'
import type { EngineOp } from '../query/op.ts'
import type { Host, HostStats, Reached } from './host.ts'
import { Samples } from './samples.ts'

/** The pause between two questions while a statement waits for a primary. */
const searchMs = 20
/** … and between two while statements run. */
const mostPauseMs = 1_000
/** So long a beginning waits for a replica that does not answer. */
const beginMs = 1_000
/** How soon a replica is asked again that is not far enough. */
const soonMs = 20

/** The engine: its pool is that of the primary. */
interface Home extends EngineCore {
  pool: Pool
  readonly listening: { moved(): void } | null
}

export class Hosts implements HostSet {
  readonly all: readonly Host[]
  readonly #engine: Home
  readonly #words: ReplicationWords
  readonly #options: ResolvedReplicas
  readonly #pauseMs: number
  readonly #samples = new Samples()
  /** Reads that no replica can do. */
  readonly #primaryOnly = new WeakSet<Compiled>()
  readonly #servers = new WeakMap<RawConnection, ServerInfo>()
  #primary: Host
  /** That of the primary; 0: it has not said it yet. */
  #timeline = 0
  #system = ''
  /** The primary answers, as far as anybody knows. */
  #sound = false
  #searching = false
  #watching = false
  #askedAt = -Infinity
  #wroteAt = -Infinity
  #turn = 0

  constructor(engine: Home, options: ResolvedReplicas, words: ReplicationWords, all: readonly Host[]) {
    this.all = all
    this.#engine = engine
    this.#options = options
    this.#words = words
    this.#pauseMs = Math.min(mostPauseMs, Math.max(searchMs, options.maxLagMs / 4))
    this.#primary = all[0] as Host
    this.#primary.role = 'primary'
  }

  get primary(): Host {
    return this.#primary
  }

  /** A test has replaced the pool of the engine, and all statements go to that pool. */
  get #bypassed(): boolean {
    return this.#engine.pool !== this.#primary.pool
  }

  /**
   * Asks all of them before anything is sent, and returns as soon as it knows the primary and what each has answered.
   * @throws {ConnectError} when one of them was not copied from the same server as the primary.
   */
  async begin(): Promise<void> {
    const asked = Promise.all(this.all.map((host) => this.#ask(host)))
    const late = new AbortController()
    await Promise.race([asked, sleep(beginMs, late.signal).catch(() => {})])
    late.abort()
    // Without a primary nothing can begin.
    if (!this.#sound) await asked
    const strange = this.all.find(({ standing }) => standing !== null && standing.system !== this.#system)
    if (strange !== undefined)
      throw new ConnectError(
        `${strange.name} has other data than ${this.#primary.name}: it was not copied from the same server (system_identifier). ` +
          'Check the option replicas.urls.',
      )
    // It was not known yet what the replicas are to be compared with.
    for (const host of this.all) this.#judge(host)
  }

  /** Sends a statement without a slot. */
  place(op: EngineOp): void {
    const host = this.#mayLeave(op) ? this.forReads() : null
    op.away = host === null ? null : host.pool
    op.pool.place(op)
  }

  /** For what has no scope around it: soon after a write of this engine that is the primary, which is null. */
  forReads(): Host | null {
    return clock.now() - this.#wroteAt >= this.#options.maxLagMs ? this.choose(null) : null
  }

  #mayLeave(op: EngineOp): boolean {
    if (op.from === 'replica') return this.mayRead(op.stmt)
    return this.isPlain(op) && (fromAround(this.#engine, op.chain) ?? this.reads) === 'replica'
  }

  get reads(): 'primary' | 'replica' {
    return this.#options.reads
  }

  /** Whether it may go to a replica without being asked for that. */
  isPlain({ from, stmt }: Pick<EngineOp, 'from' | 'stmt'>): boolean {
    return from !== 'primary' && !this.#primaryOnly.has(stmt) && this.#engine.functions.isPlain(stmt)
  }

  /** … or where the caller says so, who knows what its functions do. */
  mayRead(stmt: Compiled): boolean {
    return stmt.cls === 'read' && stmt.pins === 0 && !this.#primaryOnly.has(stmt)
  }

  /** A replica for a read now; null: none will do. */
  choose(after: Reached | null): Host | null {
    if (this.#bypassed) return null
    const now = clock.now()
    const { all } = this
    this.#askIfDue(now, this.#pauseMs)
    for (let count = 0; count < all.length; count++) {
      const host = all[(this.#turn = (this.#turn + 1) % all.length)] as Host
      if (this.#isFresh(host, now) && (after === null || host.has(after))) {
        this.sent()
        return host
      }
    }
    if (after !== null) this.#askIfDue(now, soonMs)
    return null
  }

  serves(host: Host): boolean {
    const now = clock.now()
    this.#askIfDue(now, this.#pauseMs)
    return this.#isFresh(host, now)
  }

  #isFresh({ role, freshAt }: Host, now: number): boolean {
    return role === 'replica' && now - freshAt <= this.#options.maxLagMs
  }

  /**
   * Asks for the state of the hosts while statements are in flight, because no other statement may come that would ask. A replica may
   * have fallen silent. A pooler may hold statements for a primary that is gone, and only the next primary can say so.
   */
  sent(): void {
    if (this.#watching || this.#bypassed) return
    this.#watching = true
    inRoot(() =>
      clock
        .setTimeout(() => {
          this.#watching = false
          if (this.#engine.closed || !this.all.some(isBusy)) return
          // Timers come a little early by this clock: by the whole pause, each second one would ask nothing.
          this.#askIfDue(clock.now(), this.#pauseMs / 2)
          this.sent()
        }, this.#pauseMs)
        .unref(),
    )
  }

  #askIfDue(now: number, pauseMs: number): void {
    if (now - this.#askedAt >= pauseMs) this.#askAll(now)
  }

  #askAll(now: number): void {
    this.#askedAt = now
    inRoot(() => {
      for (const host of this.all) if (!host.asking) void this.#ask(host)
    })
  }

  /** Never rejects. */
  async #ask(host: Host): Promise<void> {
    const at = clock.now()
    host.asking = true
    try {
      host.standing = this.#words.read(await host.probe.probe())
      if (host.standing === null) this.#leaveOut(host, 'its answer is not understood')
      else this.#heard(host, at)
    } catch (thrown) {
      host.standing = null
      if (host === this.#primary) this.#sound = false
      this.#leaveOut(host, isFailure(thrown) ? reasonOf(thrown) : String(thrown))
    } finally {
      host.asking = false
    }
  }

  #heard(host: Host, at: number): void {
    const { primary, timeline, system } = host.standing as NonNullable<Host['standing']>
    if (this.#system === '' && primary) this.#system = system
    if (primary && system === this.#system) {
      if (host !== this.#primary && (this.#timeline === 0 || timeline > this.#timeline)) this.#switchPrimary(host)
      if (host === this.#primary) {
        this.#sound = true
        this.#timeline = timeline
        this.#samples.add(at, host.standing as Reached)
        for (const other of this.all) if (other !== host) this.#judge(other)
      }
    } else if (host === this.#primary) {
      this.#sound = false
      if (this.#timeline !== 0 && !primary)
        this.#tell('primary-gone', `${host.name} was the primary and takes no writes any more.`, host)
    }
    this.#judge(host)
  }

  /** Decides the kind of server by its last answer. */
  #judge(host: Host): void {
    const { standing } = host
    if (host === this.#primary) {
      host.role = 'primary'
      return
    }
    if (standing === null || this.#system === '') return
    if (standing.system !== this.#system)
      this.#leaveOut(host, 'it has other data: it was not copied from the same server (system_identifier)')
    else if (standing.primary)
      this.#leaveOut(host, `it takes writes although ${this.#primary.name} is the primary, whose history is newer`)
    else if (standing.timeline !== this.#timeline)
      this.#leaveOut(host, 'it follows another primary, or has not said yet that it follows this one')
    else {
      host.freshAt = this.#samples.freshAt(standing)
      if (host.role === 'replica') return
      const told = host.why !== ''
      host.role = 'replica'
      if (told && host.why !== 'not asked yet')
        this.#tell('replica-back', `${host.name} is used for reads again.`, host, false)
      host.why = ''
    }
  }

  /** Nothing is sent there any more; those who wait for it go to the primary. */
  #leaveOut(host: Host, why: string): void {
    if (host === this.#primary) return
    const news = host.role !== 'out' || host.why === 'not asked yet'
    host.role = 'out'
    host.why = why
    if (news && !this.#engine.closed)
      this.#tell(
        'replica-left-out',
        `${host.name} is left out: ${why}. Reads go to the others, or to the primary.`,
        host,
      )
    abandon(host)
  }

  #switchPrimary(host: Host): void {
    const old = this.#primary
    const moves = !this.#bypassed
    const known = this.#timeline !== 0
    this.#primary = host
    host.role = 'primary'
    if (moves) {
      this.#engine.pool = host.pool
      this.#engine.functions.moved(host.pool)
      this.#engine.listening?.moved()
    }
    old.role = 'out'
    old.why = 'it is not the primary any more'
    if (known) this.#tell('primary-changed', `${host.name} is the primary now, in place of ${old.name}.`, host)
    // Its later commits belong to a history that has ended.
    abandon(old)
  }

  awaited(): void {
    const now = clock.now()
    if (!this.#sound || now - this.#askedAt >= this.#pauseMs) this.#searchPrimary()
  }

  /** A connection of it could not be opened, or was `lost`, which says little of a replica. */
  noteTrouble(host: Host, failure: Failure, lost: boolean): void {
    if (this.#engine.closed) return
    if (host !== this.#primary) {
      if (host.role === 'replica' && !lost) this.#leaveOut(host, reasonOf(failure))
      else if (!host.asking) inRoot(() => void this.#ask(host))
      return
    }
    this.#sound = false
    if (host.pool.waiting > 0) this.#searchPrimary()
  }

  noteStale(): void {
    this.#sound = false
    this.#searchPrimary()
  }

  noteWrite(): void {
    this.#wroteAt = clock.now()
  }

  #searchPrimary(): void {
    if (this.#searching || this.#engine.closed) return
    this.#searching = true
    inRoot(() => this.#searchOnce())
  }

  #searchOnce(): void {
    this.#askAll(clock.now())
    clock
      .setTimeout(() => {
        this.#searching = !this.#engine.closed && !this.#sound && this.#primary.pool.waiting > 0
        if (this.#searching) this.#searchOnce()
      }, searchMs)
      .unref()
  }

  retriesOnPrimary({ stmt, away, slot, wanted }: Routed, failure: Failure): boolean {
    // The end of a transaction cannot be repeated on another host.
    if ((away ?? slot?.reads?.pool ?? null) === null || this.#engine.closed || stmt.cls === 'control') return false
    const { following: refusal } = this.#engine.dialect.explain(failure.fields ?? {})
    if (failure.kind === 'lost') return refusal === 'now' || this.#engine.functions.isPlain(stmt)
    if (failure.kind !== 'server' || refusal === null) return false
    if (refusal === 'never' && wanted === null) this.#primaryOnly.add(stmt)
    return true
  }

  opened(host: Host, raw: RawConnection): void {
    this.#servers.set(raw, host.server)
  }

  serverOf(raw: RawConnection): ServerInfo | null {
    return this.#servers.get(raw) ?? null
  }

  stats(): readonly HostStats[] {
    const now = clock.now()
    return this.all.map((host) => host.stats(now))
  }

  /** The sum over the pools of all. */
  counts(): PoolStats {
    return sumOf(this.all.map(({ pool }) => ({ ...pool.stats() })))
  }

  /** Closes all but the pool of the engine, which closes that. */
  async close(deadline: number, all: boolean): Promise<CloseReport[]> {
    const others = this.all.filter(({ pool }) => pool !== this.#engine.pool)
    const closing = [...others.map(({ pool }) => pool.close(deadline, all))]
    await Promise.all(this.all.map(({ probe }) => probe.close(deadline)))
    return Promise.all(closing)
  }

  #tell(
    code: 'replica-left-out' | 'replica-back' | 'primary-changed' | 'primary-gone',
    message: string,
    host: Host,
    warn = true,
  ): void {
    notice(code, message, { engine: this.#engine.name, places: [host.name], warn })
  }
}

/** Statements that wait for it go elsewhere. Those that run there are lost, and reads are sent again. */
function abandon({ pool }: Host): void {
  for (const waiter of pool.expel()) waiter.rejoin?.()
  for (const member of [...pool.members])
    if (member.state !== 'opening') member.raw.destroy({ kind: 'lost', outcome: 'unknown' })
}

/** Whether a statement waits for a connection to it, or for its answer. */
function isBusy({ pool }: Host): boolean {
  if (pool.waiting > 0) return true
  for (const { state, raw } of pool.members) if (state !== 'opening' && raw.inFlight > 0) return true
  return false
}

/** Without what the server says in detail: that may hold values. */
function reasonOf({ kind, fields, cause }: Failure): string {
  const said =
    fields?.['message'] ?? (cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : '')
  return kind === 'timeout' ? 'it did not answer in time' : `it cannot be asked (${said === '' ? kind : said})`
}

/** The sum over several pools. */
function sumOf<S extends Readonly<Record<string, number>>>(counts: readonly S[]): S {
  const [first, ...rest] = counts
  const sum: Record<string, number> = { ...first }
  for (const each of rest) for (const [name, count] of Object.entries(each)) sum[name] = (sum[name] ?? 0) + count
  return sum as S
}
