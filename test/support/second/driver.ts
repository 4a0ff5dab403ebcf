/**
 * A second fake server, of another family than PostgreSQL, in front of the first: it speaks the SQL of `dialect.ts`, takes the
 * operations of a unit one by one, says nothing of the transaction in its errors, keeps a transaction open after most of them,
 * and forgets all prepared statements when it resets a session.
 */

import type { FakeDriver } from '../fake/driver.ts'
import {
  type ConnectionHooks,
  type Driver,
  type Failure,
  type Op,
  OpState,
  type RawConnection,
  type RefusedStatement,
  type Unit,
} from '../../../src/driver/driver.ts'
import type { Compiled } from '../../../src/sql/compiled.ts'
import type { Dialect } from '../../../src/sql/dialect.ts'
import { postgres } from '../../../src/postgres/dialect.ts'
import { deadlock, lockTimeout, second, translate } from './dialect.ts'

type Options = Readonly<Record<string, unknown>>

/** What the server does and was asked, for all its connections. */
interface Server {
  readonly received: string[]
  readonly prepared: string[]
  readonly violations: string[]
  /** How often it was asked for the state of a transaction. */
  asked: number
  resets: number
  /** A lock that was waited for too long takes back the whole transaction, as an option of such servers has it. */
  timeoutEnds: boolean
}

export class SecondDriver implements Driver<Options> {
  readonly name = 'second'
  readonly dialect: Dialect = second
  readonly functions = false
  readonly poolLimit: number = Infinity
  readonly server: Server = { received: [], prepared: [], violations: [], asked: 0, resets: 0, timeoutEnds: false }
  readonly #first: FakeDriver

  constructor(first: FakeDriver) {
    this.#first = first
  }

  /** What it received, as it was written: one line for each text. */
  get received(): string[] {
    return this.server.received
  }

  get violations(): string[] {
    return this.server.violations
  }

  parse(options: Options): Options {
    return this.#first.parse(options)
  }

  async open(options: Options, hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
    const connection = new SecondConnection(hooks, this.server)
    connection.begin(await this.#first.open(options, connection.hooks, deadline))
    return connection
  }

  classify(failure: Failure): ReturnType<Driver['classify']> {
    return this.#first.classify(failure)
  }
}

/** As the second server numbers its errors. */
function renumbered(failure: Failure): Failure {
  const { fields } = failure
  if (failure.kind !== 'server' || fields === undefined) return failure
  const codes: Readonly<Record<string, string>> = {
    '40001': deadlock,
    '55P03': lockTimeout,
    '57014': '1317',
    '53300': '1040',
  }
  return { ...failure, fields: { ...fields, code: codes[fields['code'] ?? ''] ?? '1064' } }
}

const stopped: Failure = { kind: 'server', outcome: 'rolled_back', fields: { code: '1317', message: 'stopped' } }

/** What an operation came to. */
type End = { readonly failure: Failure | null; readonly op: Op }

class SecondConnection implements RawConnection {
  readonly native: unknown = null
  readonly lent = false
  readonly maxInFlight = 1
  readonly hooks: ConnectionHooks
  /** `SET TRANSACTION` was sent: it is the next transaction's, whoever begins it. */
  #next = ''
  #inFlight = 0
  /** The statement that the first server is running. */
  #running: Op | null = null
  #raw: RawConnection | null = null
  #lost: Failure | null = null
  #cancelling = false
  #cancel: Promise<unknown> = Promise.resolve()
  /** The unit in flight has been answered. */
  #done: Promise<void> = Promise.resolve()
  #settled: () => void = () => {}
  /** By the last answer that says so: an error does not. */
  #status: 'idle' | 'tx' = 'idle'
  /** The names of statements that the session has, and those that this end takes to be there. */
  readonly #prepared = new Set<string>()
  readonly #known = new Set<string>()
  readonly #outer: ConnectionHooks
  readonly #server: Server

  constructor(outer: ConnectionHooks, server: Server) {
    this.#outer = outer
    this.#server = server
    this.hooks = {
      ...outer,
      // The first server rests between the operations of a unit.
      idle: () => {},
      room: () => {},
      // Told when all that was in flight has failed.
      lost: (_, failure) => {
        if (this.#inFlight > 0) this.#lost = failure
        else outer.lost(this, failure)
      },
      notice: (fields) => outer.notice(fields),
      notification: (channel, payload, pid) => outer.notification(channel, payload, pid),
    }
  }

  begin(raw: RawConnection): void {
    this.#raw = raw
  }

  get #first(): RawConnection {
    return this.#raw as RawConnection
  }

  get id(): number {
    return this.#first.id
  }

  get born(): number {
    return this.#first.born
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get status(): RawConnection['status'] {
    return this.#inFlight > 0 || !this.alive ? 'unknown' : this.#status
  }

  get epoch(): number {
    return this.#first.epoch
  }

  set epoch(epoch: number) {
    if (this.#next !== '' && this.alive)
      this.#server.violations.push(`${this.#next} was left for the next user of the connection`)
    this.#first.epoch = epoch
  }

  get dirty(): number {
    return this.#first.dirty
  }

  set dirty(bits: number) {
    this.#first.dirty = bits
  }

  get inForce(): RawConnection['inForce'] {
    return this.#first.inForce
  }

  get alive(): boolean {
    return this.#first.alive
  }

  get quarantined(): boolean {
    return this.#cancelling || this.#first.quarantined
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit({ ops }: Unit): void {
    if (this.#inFlight > 0 || !this.alive) {
      this.#server.violations.push('a unit on a connection that is busy or has ended')
      queueMicrotask(() => {
        for (const op of ops) op.fail({ kind: 'closed', outcome: 'not_started' })
      })
      return
    }
    this.#inFlight = 1
    this.#done = new Promise((resolve) => (this.#settled = resolve))
    void this.#run(ops)
  }

  /** One by one: what follows one that failed is never sent. All are told at the end, as of a unit that has one Sync. */
  async #run(ops: readonly Op[]): Promise<void> {
    const ends: End[] = []
    let cause: Failure | null = null
    for (const op of ops) {
      if (cause !== null) {
        const kind = cause.kind === 'lost' || cause.kind === 'closed' ? cause.kind : 'skipped'
        ends.push({ op, failure: { ...cause, kind, outcome: 'not_started' } })
        continue
      }
      // Asked to stop while what stands in front of it ran: it is not sent.
      const failure = this.#cancelling ? stopped : await this.#one(op)
      if (failure === null) this.#status = this.#first.status === 'idle' ? 'idle' : 'tx'
      else if (failure !== stopped) await this.#ask(op)
      if (failure !== null) cause = failure
      ends.push({ op, failure })
    }
    this.#inFlight--
    for (const { op, failure } of ends) {
      if (failure === null) op.done()
      else op.fail(failure)
    }
    if (this.#lost !== null) {
      const failure = this.#lost
      this.#lost = null
      this.#outer.lost(this, failure)
    }
    this.#settled()
    this.#tell()
  }

  /** Tells of room and rest, once no cancel is pending. */
  #tell(): void {
    if (!this.alive || this.#cancelling || this.#inFlight > 0) return
    this.#outer.room(this)
    if (this.alive && !this.#cancelling && this.#inFlight === 0) this.#outer.idle(this)
  }

  /** An error says nothing of the transaction: where one is open, or may be, the answer to a ping does. */
  async #ask({ stmt: { cls } }: Op): Promise<void> {
    if (this.#status === 'idle' && (cls === 'read' || cls === 'write')) return
    while (this.alive && this.#first.quarantined) await this.#cancel
    if (!this.alive) return
    this.#server.asked++
    if (await this.#first.ping(Infinity)) this.#status = this.#first.status === 'idle' ? 'idle' : 'tx'
    else this.#first.destroy({ kind: 'lost', outcome: 'unknown' })
  }

  /** The server has it, or does so now. */
  #prepare({ name, text }: Compiled): Failure | null {
    if (name === '') return null
    if (!this.#known.has(name)) {
      this.#server.prepared.push(text)
      this.#known.add(name)
      this.#prepared.add(name)
    }
    if (this.#prepared.has(name)) return null
    this.#server.violations.push(`${text} is not prepared`)
    return { kind: 'server', outcome: 'rolled_back', fields: { code: '1243', message: 'unknown prepared statement' } }
  }

  prepare(statements: readonly Compiled[]): Promise<readonly RefusedStatement[]> {
    for (const stmt of statements) this.#prepare(stmt)
    return Promise.resolve([])
  }

  async #one(op: Op): Promise<Failure | null> {
    const { text, cls, control } = op.stmt
    const unprepared = this.#prepare(op.stmt)
    if (unprepared !== null) return unprepared
    this.#server.received.push(text)
    if (text.startsWith('SET TRANSACTION')) {
      this.#next = text
      return null
    }
    if (control === 'begin') return this.#beginTransaction(op)
    if (control === 'rollback' || control === 'commit') this.#next = ''
    else if (this.#next !== '') this.#server.violations.push(`${text} stands behind ${this.#next}`)
    // It commits what was open before, also when it fails.
    if (this.#first.status === 'tx' && cls === 'commits') await this.#text('COMMIT')
    if (this.#first.status !== 'tx' || control !== null) return this.#relay(op, translate(text))
    return this.#kept(op)
  }

  #beginTransaction(op: Op): Promise<Failure | null> {
    const level = /ISOLATION LEVEL .*/.exec(this.#next)?.[0] ?? ''
    return this.#relay(op, `BEGIN ${level}`).then((failure) => {
      // The level stays for the next one, whoever begins it.
      if (failure === null) this.#next = ''
      return failure
    })
  }

  /** An error takes back its own statement alone, or the whole transaction. */
  async #kept(op: Op): Promise<Failure | null> {
    const marked = await this.#text('SAVEPOINT kept')
    if (marked !== null) return this.#gone(marked)
    const failure = await this.#relay(op, translate(op.stmt.text))
    if (failure === null)
      return this.#first.status === 'tx' ? this.#gone(await this.#text('RELEASE SAVEPOINT kept')) : null
    if (!this.alive || failure.kind === 'encode') return failure
    const code = failure.fields?.['code']
    const timedOut = code === lockTimeout && this.#server.timeoutEnds
    const ends = code === deadlock || timedOut
    if (!ends && (await this.#text('ROLLBACK TO SAVEPOINT kept')) === null) {
      await this.#text('RELEASE SAVEPOINT kept')
      return failure
    }
    await this.#text('ROLLBACK')
    return timedOut ? failure : { ...failure, fields: { ...failure.fields, code: deadlock } }
  }

  /** The first server has failed where the second could not: so all of the transaction is gone. */
  async #gone(failure: Failure | null): Promise<Failure | null> {
    if (failure === null || !this.alive) return failure
    await this.#text('ROLLBACK')
    return { ...failure, fields: { ...failure.fields, code: deadlock } }
  }

  #text(text: string): Promise<Failure | null> {
    const found = postgres.classify(text)
    const stmt: Compiled = { ...found, text, name: '', shape: null }
    return this.#send(new Relay(stmt, [], null))
  }

  #relay(op: Op, text: string): Promise<Failure | null> {
    const relay = new Relay({ ...op.stmt, text, name: '', shape: null }, op.params, op)
    return this.#send(relay)
  }

  async #send(relay: Relay): Promise<Failure | null> {
    while (this.alive && this.#first.quarantined) await this.#cancel
    if (!this.alive) return { kind: 'lost', outcome: 'not_started' }
    if (relay.state >= 2) return stopped
    this.#running = relay
    this.#first.submit(relay)
    const failure = await relay.end
    this.#running = null
    return failure
  }

  async cancel(_op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    const running = this.#running
    this.#cancelling = true
    const asked = running === null ? Promise.resolve('completed' as const) : this.#first.cancel(running, deadline)
    this.#cancel = asked
    const end = await asked
    if (end !== 'broken') await this.#done
    this.#cancelling = false
    if (end !== 'broken') this.#tell()
    return this.alive ? end : 'broken'
  }

  lend(waitMs: number): Promise<unknown> {
    return this.#first.lend(waitMs)
  }

  reclaim(deadline: number): Promise<boolean> {
    return this.#first.reclaim(deadline)
  }

  setBaseline(sql: string): void {
    this.#first.setBaseline(sql)
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    this.#next = ''
    this.#server.resets++
    const well = await this.#first.reset(dirty, deadline)
    if (well) this.#status = 'idle'
    this.#prepared.clear()
    this.#known.clear()
    return well
  }

  ping(deadline: number): Promise<boolean> {
    return this.#first.ping(deadline)
  }

  close(deadline: number): Promise<void> {
    return this.#first.close(deadline)
  }

  destroy(cause: Failure): void {
    this.#first.destroy(cause)
  }
}

/** An operation as the first server gets it. */
class Relay implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: Op['spec']
  readonly maxRows: number
  readonly rows: unknown[]
  readonly end: Promise<Failure | null>
  #settle: (failure: Failure | null) => void = () => {}
  readonly #of: Op | null
  #state: OpState = OpState.queued

  constructor(stmt: Compiled, params: readonly unknown[], of: Op | null) {
    this.stmt = stmt
    this.params = params
    this.#of = of
    this.spec = of?.spec ?? null
    this.maxRows = of?.maxRows ?? 0
    this.rows = of?.rows ?? []
    this.end = new Promise((resolve) => (this.#settle = resolve))
  }

  get tag(): string {
    return this.#of?.tag ?? ''
  }

  set tag(tag: string) {
    if (this.#of !== null) this.#of.tag = tag
  }

  get count(): number {
    return this.#of?.count ?? -1
  }

  set count(count: number) {
    if (this.#of !== null) this.#of.count = count
  }

  get state(): OpState {
    return this.#state === OpState.settled ? OpState.settled : (this.#of?.state ?? this.#state)
  }

  set state(state: OpState) {
    this.#state = state
    if (this.#of !== null && state === OpState.sent && this.#of.state === OpState.queued) this.#of.state = state
  }

  done(): void {
    this.#state = OpState.settled
    this.#settle(null)
  }

  fail(failure: Failure): void {
    this.#state = OpState.settled
    this.#settle(renumbered(failure))
  }
}
