// Who uses the pool in a schedule: borrowers with a slot and implicit statements. Each watches that it is served once,
// in its turn and never beside the rules.
import type { Failure, RawConnection } from '../../src/driver/driver.ts'
import type { PlacedOp, PoolWaiter, Wait } from '../../src/pool/contract.ts'
import type { Lease, LeaseHolder } from '../../src/pool/lease.ts'
import type { Compiled, StatementClass } from '../../src/sql/compiled.ts'
import { broken } from './world.ts'

const statement = (text: string, cls: StatementClass, dirties: number): Compiled => ({
  text,
  name: '',
  cls,
  verb: '',
  dirties,
  pins: 0,
  names: 0,
  hasControl: false,
  control: null,
  shape: null,
})

/** A world's statements are its own: what is learned of one world's texts must not change the next. */
export function statements(): Readonly<Record<'reads' | 'slow' | 'others', readonly Compiled[]>> {
  return {
    reads: [statement('read 1', 'read', 0), statement('read 2', 'read', 0)],
    slow: [statement('slow read', 'read', 0)],
    others: [statement('write', 'write', 0), statement('dirty read', 'read', 1), statement('dirty write', 'write', 1)],
  }
}

/** The last moment at which reads may go past somebody at the head of the queue, and a bit for the timer. */
const longestOvertakingMs = 51

/** Everybody who waits, in the order of coming. */
export class Line {
  readonly waiting: Set<Borrower | Statement> = new Set()
  now: () => number = () => 0
  /** Whether an idle connection is being asked, which may serve whoever waits. */
  asking: () => boolean = () => false

  /** Somebody is served by a connection; `joins`: others are in flight on it. */
  served(user: Borrower | Statement, joins: boolean): void {
    this.waiting.delete(user)
    const { value: first } = this.waiting.values().next()
    for (const other of this.waiting) {
      if (user.recalledAt > 0) {
        if (other.recalledAt > 0 && other.recalledAt < user.recalledAt) broken(`${user.name} came back before its turn`)
        continue
      }
      if (!other.exclusive || other.recalledAt > 0 || other.arrived >= user.arrived) continue
      if (!joins) broken(`${user.name} took a connection before ${other.name}, who came earlier`)
      if (other === first && !this.asking() && this.now() - other.since > longestOvertakingMs)
        broken(`${user.name} joined a lane although ${other.name} has waited for its end for long`)
    }
  }
}

let arrivals = 0
let recalls = 0

/** Somebody with a slot: waits for a lease, holds it, gives it back. */
export class Borrower implements PoolWaiter, LeaseHolder {
  readonly name: string = 'a borrower'
  readonly exclusive: boolean = true
  arrived: number = ++arrivals
  since = 0
  readonly op: null = null
  readonly holder: this = this
  lease: Lease | null = null
  state: 'waiting' | 'holding' | 'away' | 'gone' = 'waiting'
  recalledAt = 0
  queueing: Wait | null = null
  activity = 0
  quietSince = 0
  /** It has nothing to do for its connection at the moment. */
  idles = false
  /** It never lets its connection go before its end. */
  readonly holds: boolean
  readonly #parent: Borrower | null
  readonly #line: Line

  constructor(line: Line, parent: Borrower | null, holds: boolean) {
    this.#line = line
    this.#parent = parent
    this.holds = holds
  }

  get recallable(): boolean {
    return this.lease !== null && this.idles && !this.holds
  }

  recall(): void {
    if (!this.recallable) broken('recalled although it is in use')
    if (this.#line.waiting.size === 0) broken('recalled although nobody waits')
    const { lease } = this
    this.lease = null
    this.state = 'away'
    this.recalledAt = ++recalls
    void lease?.release()
  }

  /** It works, or waits for something else. */
  turn(idles: boolean): void {
    this.activity++
    this.idles = idles
    this.quietSince = this.#line.now()
    if (idles) this.lease?.noteQuiet()
  }

  blockers(): {
    readonly certain: readonly object[]
    readonly likely: readonly object[]
    readonly idleSince: null
  } | null {
    return this.holds && this.lease !== null ? { certain: [this], likely: [], idleSince: null } : null
  }

  /** It gets a connection without having waited. */
  takes(lease: Lease): void {
    this.state = 'holding'
    this.lease = lease
    this.recalledAt = 0
    this.activity++
    this.idles = false
  }

  queued(now: number): void {
    this.since = now
    this.arrived = ++arrivals
    this.state = 'waiting'
    this.#line.waiting.add(this)
  }

  granted(lease: Lease): void {
    if (this.state !== 'waiting') broken(`granted to one who is ${this.state}`)
    if (!lease.valid) broken('granted a lease that is over')
    if (lease.raw.inFlight > 0) broken('lent a connection with statements in flight')
    this.#line.served(this, false)
    this.takes(lease)
  }

  refuse(): void {
    if (this.state !== 'waiting') broken(`refused one who is ${this.state}`)
    this.#line.waiting.delete(this)
    this.state = 'gone'
  }

  around(): readonly object[] {
    const found: object[] = []
    for (let at: Borrower | null = this.#parent; at !== null; at = at.#parent) found.push(at)
    return found
  }

  release(): void {
    const { lease } = this
    this.lease = null
    this.state = 'gone'
    void lease?.release()
    void lease?.release()
  }

  room(): void {}
  quiet(): void {}

  lost(): void {
    this.lease = null
    this.state = 'gone'
  }

  describe(): string {
    return this.state
  }
}

/** An implicit statement. */
export class Statement implements PlacedOp, PoolWaiter {
  readonly stmt: Compiled
  readonly mayShare: boolean
  readonly mayRepeat: boolean = true
  /** It never shares a connection. */
  readonly exclusive: boolean
  arrived: number = ++arrivals
  since = 0
  readonly params: readonly unknown[] = []
  readonly spec: null = null
  readonly maxRows = 0
  readonly rows: unknown[] = []
  tag = ''
  count = 0
  state: 0 | 1 | 2 | 3 = 0
  /** Whether its caller was told, be it earlier than the answer came. */
  told = false
  sentAgain = 0
  readonly holder: null = null
  readonly recalledAt: number = 0
  queueing: Wait | null = null
  readonly #line: Line

  constructor(line: Line, stmt: Compiled, mayShare: boolean) {
    this.#line = line
    this.stmt = stmt
    this.mayShare = mayShare
    // A read that may not share, or is not known yet, stands in line like others; but a slow one may be set aside.
    this.exclusive = stmt.cls !== 'read'
  }

  get name(): string {
    return this.stmt.text
  }

  describe(): string {
    return this.name
  }

  get op(): this {
    return this
  }

  queued(now: number): void {
    this.since = now
    this.#line.waiting.add(this)
  }

  readonly standsAlone: boolean = false

  unframe(): null {
    return null
  }

  starting(raw: RawConnection): void {
    if (this.state !== 0) broken('a statement started twice, or after it had ended')
    if (raw.inFlight > 0 && !this.mayShare) broken('a statement whose asker has a transaction joined others')
    this.#line.served(this, raw.inFlight > 0)
    this.state = 1
  }

  again(): void {
    if (this.state !== 1) broken(`a statement in state ${this.state} is sent again`)
    if (this.stmt.cls !== 'read' || ++this.sentAgain > 1) broken('a statement is sent again twice, or is no read')
    this.arrived = ++arrivals
    this.state = 0
  }

  granted(): void {
    broken('a statement was given a lease')
  }

  done(): void {
    this.#settle()
  }

  fail(_failure: Failure): void {
    this.#settle()
  }

  refuse(): void {
    this.#settle()
  }

  /** Its caller is told before the answer. */
  abandon(): void {
    this.told = true
    this.state = 2
  }

  around(): readonly object[] {
    return []
  }

  #settle(): void {
    if (this.state === 3) broken('a statement settled twice')
    this.#line.waiting.delete(this)
    this.state = 3
    this.told = true
  }
}
