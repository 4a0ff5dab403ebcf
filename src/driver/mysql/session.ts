// One session of MySQL or MariaDB as a raw connection: a unit in flight whose operations are sent one by one, reset, ping, cancel with
// quarantine, loss. The bytes go through mysql2's connection; the runner knows what they mean.
import { currentDatabase } from '../../mysql/dialect.ts'
import { wasIdle, wasUnread } from '../../mysql/errno.ts'
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { InForce } from '../../sql/settings.ts'
import { clock, before, deferred } from '../../util/clock.ts'
import {
  type ConnectionHooks,
  type Failure,
  type Op,
  OpState,
  type RawConnection,
  type RefusedStatement,
  type Unit,
} from '../driver.ts'
import { interrupt, type Interruption } from '../interrupt.ts'
import { clientBusy, endedByClient, Loan } from '../postgres/loan.ts'
import { Baseline, type Establishing, identities } from './baseline.ts'
import { check } from './check.ts'
import type { Client } from './client.ts'
import { endsSession, lossOutcome, skipped, stopped, wasStopped } from './outcome.ts'
import { Code, textPacket } from './packets.ts'
import { holdsNoMore } from './room.ts'
import { Runner, type RunnerHost, type RunnerOptions } from './runner.ts'
import type { Encoded } from './values.ts'

export interface SessionOptions extends RunnerOptions {
  readonly id: number
  readonly returning: boolean
  readonly established: Establishing
  /** Asks the server, over a connection made for it, to stop what this session runs. */
  readonly kill: (deadline: number) => Promise<Interruption>
}

/** The answer of one operation, until its unit is told. */
interface End {
  readonly op: Op
  readonly failure: Failure | null
}

export class Session implements RawConnection, RunnerHost {
  readonly id: number
  readonly born: number = clock.now()
  readonly maxInFlight = 1
  readonly returning: boolean
  epoch = 0
  dirty = 0
  readonly inForce: InForce = new InForce()
  readonly #client: Client
  readonly #hooks: ConnectionHooks
  readonly #options: SessionOptions
  readonly #runner: Runner
  readonly #baseline: Baseline
  #loan: Loan<Client>
  /** How long a unit waits for the client while it is lent; null: it is not. */
  #lentFor: number | null = null
  #alive = true
  #lostBy: Failure | null = null
  #quarantined = false
  #inFlight = 0
  #ops: readonly Op[] = []
  #ends: End[] = []
  /** The parameters of the unit in flight, while it waits for the client. */
  #waiting: readonly (readonly Encoded[])[] | null = null
  /** The operation that was sent. */
  #running: Op | null = null
  /** The unit in flight is being stopped: nothing more of it is sent. */
  #stopping = false
  #whenSettled: ((ends: readonly End[]) => void) | null = null

  constructor(client: Client, hooks: ConnectionHooks, options: SessionOptions) {
    this.id = options.id
    this.returning = options.returning
    this.#client = client
    this.#loan = new Loan(client)
    this.#hooks = hooks
    this.#options = options
    this.#runner = new Runner(client, this, options)
    this.#baseline = new Baseline(this.#runner, options.established, options.database)
    this.#runner.stopping = () => this.#stopping
    client.on('error', (cause) => this.broken({ kind: 'lost', outcome: 'unknown', cause }))
    client.on('end', () => this.broken({ kind: 'lost', outcome: 'unknown' }))
  }

  get native(): unknown {
    return this.#loan.object
  }

  get lent(): boolean {
    return this.#lentFor !== null
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get status(): RawConnection['status'] {
    return !this.#alive || this.#inFlight > 0 ? 'unknown' : this.#runner.status
  }

  get alive(): boolean {
    return this.#alive
  }

  get quarantined(): boolean {
    return this.#quarantined
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit({ ops }: Unit): void {
    if (!this.#alive || this.#quarantined || this.#inFlight > 0) {
      const cause = this.#alive ? 'submitted to a connection that is busy or quarantined' : undefined
      clock.queueMicrotask(() => {
        for (const op of ops) op.fail({ kind: 'closed', outcome: 'not_started', cause })
      })
      return
    }
    this.#inFlight = 1
    this.#ops = ops
    this.#ends = []
    this.#stopping = false
    const encoded: (readonly Encoded[])[] = []
    for (const op of ops) {
      const failure = check(op, encoded, this.#runner)
      if (failure === null) continue
      clock.queueMicrotask(() => this.#failAll((each) => (each === op ? failure : skipped)))
      return
    }
    this.#client.stream.ref()
    if (this.#lentFor === null) this.#send(0, encoded)
    else this.#sendBehindClient(this.#lentFor, encoded)
  }

  #failAll(failure: (op: Op) => Failure): void {
    this.#ends = this.#ops.map((op) => ({ op, failure: failure(op) }))
    this.#settle()
  }

  /** Neither side sends while the other has anything in flight: a ping stands between both. */
  #sendBehindClient(waitMs: number, encoded: readonly (readonly Encoded[])[]): void {
    const was = this.#runner.status
    const tooLate = (): void => {
      if (this.#waiting === encoded) this.#callOff(clientBusy(waitMs))
    }
    const timer = waitMs === Infinity ? undefined : clock.setTimeout(tooLate, waitMs)
    this.#waiting = encoded
    void this.#runner.packet(textPacket(Code.ping)).then((failure) => {
      clock.clearTimeout(timer)
      if (this.#waiting !== encoded || failure !== null) return
      this.#waiting = null
      if (was === 'tx' && this.#runner.status === 'idle') this.#failAll(endedByClient)
      else this.#send(0, encoded)
    })
  }

  /** The unit that waits for the client is not sent. */
  #callOff(failure: Failure): void {
    this.#waiting = null
    this.#failAll(() => failure)
  }

  /** Sends the operation at `index`; those behind it follow when the server has run it. */
  #send(index: number, encoded: readonly (readonly Encoded[])[]): void {
    const op = this.#ops[index]
    if (op === undefined) return this.#settle()
    const { stmt } = op
    this.#running = op
    this.dirty |= stmt.dirties
    if (op.state === OpState.queued) op.state = OpState.sent
    if ((stmt.dirties & (Dirty.settings | Dirty.role | Dirty.framed)) !== 0) this.#baseline.note(op)
    this.#runner.run(op, encoded[index] ?? [], (failure) => {
      if (!this.#alive) return
      if (failure !== null && endsSession(failure)) {
        const fields = failure.fields ?? {}
        if (wasUnread(fields)) this.#ends.push({ op, failure })
        else if (wasIdle(fields) && this.#runner.status === 'idle') {
          // The error was on its way when the statement was sent: nobody has read it.
          this.#running = null
          return this.broken({ kind: 'lost', outcome: 'unknown' })
        }
        return this.broken({ ...failure, kind: 'lost', outcome: 'unknown' })
      }
      this.#running = null
      if (stmt.dirties !== 0) this.#runner.follow(stmt, failure)
      this.#ends.push({ op, failure })
      const rest = this.#ops.slice(index + 1)
      // The server has run it, also where its answer cannot be read.
      const ran = failure === null || failure.kind === 'decode'
      if (ran && rest.length > 0 && !this.#stopping) return this.#send(index + 1, encoded)
      for (const each of rest) this.#ends.push({ op: each, failure: ran ? stopped : skipped })
      this.#settle()
    })
  }

  #settle(): void {
    const ends = this.#ends
    this.#ops = []
    this.#ends = []
    this.#running = null
    if (!this.#alive) return
    this.#inFlight = 0
    this.#client.stream.unref()
    for (const { op, failure } of ends) {
      if (failure === null) op.done()
      else op.fail(failure)
    }
    const settled = this.#whenSettled
    this.#whenSettled = null
    settled?.(ends)
    if (!this.#quarantined) this.#tellFree()
  }

  #tellFree(): void {
    if (this.#alive && this.#inFlight === 0) this.#hooks.room(this)
    if (this.#alive && this.#inFlight === 0 && !this.#quarantined) this.#hooks.idle(this)
  }

  async cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.#alive) return 'broken'
    if (!this.#ops.includes(op)) return 'completed'
    if (this.#waiting !== null) {
      // What the server would stop is the client's.
      this.#callOff(stopped)
      return 'cancelled'
    }
    this.#quarantined = true
    this.#stopping = true
    // What still comes is of no use: it is not read before the server has stopped.
    this.#runner.hold()
    const { promise: settled, resolve } = deferred<readonly End[]>()
    this.#whenSettled = resolve
    const request = async (until: number): Promise<Interruption> => {
      const killed = await this.#options.kill(until)
      this.#runner.flow()
      return killed
    }
    // What comes next on this session must not be what the server stops: it has to have answered both before.
    const fenced = async (): Promise<boolean> =>
      (await interrupt(request, settled, deadline)) === 'served' && this.#alive && this.#ping()
    if (!(await before(deadline, fenced()))) return 'broken'
    this.#quarantined = false
    this.#tellFree()
    return (await settled).some((end) => end.op === op && wasStopped(end.failure)) ? 'cancelled' : 'completed'
  }

  async prepare(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null> {
    const refused: RefusedStatement[] = []
    const all = async (): Promise<boolean> => {
      for (const stmt of statements) {
        if (stmt.name === '') continue
        const failure = await this.#runner.prepare(stmt)
        if (failure !== null) refused.push({ stmt, failure })
      }
      return this.#alive
    }
    return (await before(deadline, all())) ? refused : null
  }

  /** Makes the session what the driver's options say. Null: it is. */
  async establish(deadline: number): Promise<Failure | null> {
    let failure: Failure | null = null
    const established = async (): Promise<true> => {
      failure = (await this.#ask()) ?? (await this.#baseline.establish())
      return true
    }
    const inTime = await before(deadline, established())
    // Nothing but a statement under way keeps the process alive.
    this.#client.stream.unref()
    return this.#lostBy ?? (inTime ? failure : { kind: 'timeout', outcome: 'not_started' })
  }

  /** Whose session it is, and what its server takes. */
  async #ask(): Promise<Failure | null> {
    let failure: Failure | null = null
    for (const asked of identities) {
      const answer = await this.#runner.ask(`select ${asked}, @@max_allowed_packet, @@collation_connection`, 3)
      if ('kind' in answer) {
        failure = answer
        continue
      }
      const [told = '', most = '', collation = ''] = answer
      this.#baseline.identity = { asked, told }
      if (collation.startsWith('utf8mb4_')) this.#baseline.collation = collation
      this.#runner.mostBytes = Number(most)
      return null
    }
    return failure
  }

  /** The statements that were run so far are what `onConnect` set; they are run again behind each reset by the server. */
  setBaseline(): void {
    const home = this.#baseline.settle()
    if (home !== '') this.inForce.base = { ...this.inForce.base, [currentDatabase]: home }
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    const restored = this.#baseline.restore(dirty).then((well) => {
      if (well) this.dirty = 0
      return well && this.#alive
    })
    return before(deadline, restored)
  }

  lend(waitMs: number): Promise<unknown> {
    this.#lentFor = waitMs
    this.#loan.state = 'lent'
    // The client may unlock them.
    this.#runner.tablesLocked = false
    this.#client.stream.ref()
    return Promise.resolve(this.#loan.object)
  }

  async reclaim(deadline: number): Promise<boolean> {
    if (this.#lentFor === null) return this.#alive
    const back = await before(deadline, this.#ping())
    this.#lentFor = null
    this.#loan.state = 'over'
    // It holds statements that a reset drops.
    this.#client._statements.clear()
    this.#loan = new Loan(this.#client)
    this.#client.stream.unref()
    this.#runner.database = null
    this.#runner.rescope()
    this.dirty |= Dirty.unknown
    return back && this.#alive
  }

  async ping(deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    return before(deadline, this.#ping())
  }

  async #ping(): Promise<boolean> {
    return (await this.#runner.packet(textPacket(Code.ping))) === null
  }

  async close(deadline: number): Promise<void> {
    if (!this.#alive) return
    const ended =
      this.#inFlight === 0
        ? new Promise<boolean>((resolve) => this.#client.end(() => resolve(true)))
        : Promise.resolve(true)
    this.#lose({ kind: 'closed', outcome: 'unknown' })
    await before(deadline, ended)
    this.#client.destroy()
  }

  destroy(cause: Failure): void {
    if (!this.#alive) return
    this.#lose(cause)
    this.#client.destroy()
  }

  /** For the runner, and for what the client tells: the connection is of no use any more. */
  broken(failure: Failure): void {
    this.destroy(failure)
  }

  /** For the runner: only a reset by the server undoes it. */
  changed(): void {
    this.dirty |= Dirty.told
  }

  #lose(failure: Failure): void {
    if (!this.#alive) return
    this.#alive = false
    this.#lostBy = failure
    holdsNoMore(this.#runner)
    const ends = new Map(this.#ends.map((end) => [end.op, end.failure]))
    const [ops, running, { status }] = [this.#ops, this.#running, this.#runner]
    this.#ops = []
    this.#ends = []
    clock.queueMicrotask(() => {
      this.#inFlight = 0
      for (const op of ops) {
        const told = ends.get(op)
        if (told === null) op.done()
        else op.fail(told ?? { ...failure, outcome: op === running ? lossOutcome(op, status) : 'not_started' })
      }
      const settled = this.#whenSettled
      this.#whenSettled = null
      settled?.([])
      this.#hooks.lost(this, failure)
    })
  }
}
