// The interfaces through which the pool uses the layers above it: the source of connections, and the waiters.
import type { Failure, Op, RawConnection } from '../driver/driver.ts'
import type { ErrorFields, Meaning } from '../sql/dialect.ts'
import type { ListNode } from '../util/linked-list.ts'
import type { Copying, Lease, LeaseHolder } from './lease.ts'
import type { Member } from './member.ts'

/** Opens connections that are ready for use: the driver's own and everything the engine does to a new session. */
export interface ConnectionSource {
  /** Opens the connection of a member, which hears its hooks. Called in the root context. Rejects with a `Failure`. */
  open(member: Member, deadline: number): Promise<RawConnection>
  classify(failure: Failure): 'statement' | 'connection' | 'endpoint' | 'full' | 'config'
  /** The meaning of such an error of the database. */
  explain(error: ErrorFields): Meaning
  /** A connection has ended; `null` when the pool closed it itself. */
  closed(raw: RawConnection, failure: Failure | null): void
  /** Its session was cleaned for the next user; `since` in monotonic milliseconds. */
  cleaned?(raw: RawConnection, since: number): void
  /** A lease began or ended, maybe because it was `recalled`; called only when somebody listens. */
  lent(raw: RawConnection, event: 'acquire' | 'release', waitMs: number, useMs: number, recalled: boolean): void
  /** Somebody joined or left the queue, in which `waiting` are now; called only when somebody listens. */
  queued?(event: 'begin' | 'end', waiting: number, waitMs: number): void
  /** All connections are one session, in one transaction that is never committed: one that waits in a transaction holds up all others. */
  readonly oneSession?: boolean
  /** Whether anybody listens to `lent` or `queued`. */
  readonly observed: boolean
  /** A connection came back with a transaction nobody ended; it is about to be rolled back. */
  leftOpen(raw: RawConnection): void
  /** The pool is being closed and waits for these; `cursor`: one of them is held for a cursor that nobody reads. */
  waitsToClose?(holders: readonly string[], cursor: boolean): void
  /** The pool has closed: what was kept for it ends too, by the deadline. */
  ended?(deadline: number): Promise<void>
}

/** A statement the pool can serve by itself. */
export interface PlacedOp extends Op {
  /** The data of a COPY. */
  readonly copy?: Copying | null
  /** Called just before it is submitted. */
  starting(raw: RawConnection): void
  /** A read that failed because of its connection is about to be placed again, as if it had never been sent. */
  again(): void
  /** For messages: the text, shortened. */
  describe(): string
  /** Nothing may stand in front of it in its unit. */
  readonly standsAlone: boolean
  /** Statements to send before it, which take back the settings of frames that the session still has; null: there are none. */
  unframe(raw: RawConnection): readonly Op[] | null
  /** Whether it may wait behind others on the same connection: its asker holds nothing they could be waiting for. */
  readonly mayShare: boolean
  /** Whether it may be sent again although it may have run: it changes nothing. */
  readonly mayRepeat: boolean
}

/** Somebody in the queue: an implicit statement (`op`) or a slot that wants a lease (`holder`). */
export interface PoolWaiter {
  readonly op: PlacedOp | null
  readonly holder: LeaseHolder | null
  /** It was put into the queue at `now`, monotonic milliseconds: the time to arm its own deadline. */
  queued(now: number): void
  granted(lease: Lease): void
  refuse(failure: Failure): void
  /** It was taken out of the queue, and is to wait elsewhere. */
  rejoin?(): void
  /** The place among those who had a connection recalled, in the order of the recalls; 0: it is a newcomer. */
  readonly recalledAt: number
  /** The frames, slots and transactions that the asker runs inside of. Asked only when it has to wait. */
  around(): readonly object[]
  /** Where the queue has it; null: it is in none. */
  queueing: Wait | null
}

/** A wait in the queue of a pool. Only the queue looks into it. */
export interface Wait {
  readonly waiter: PoolWaiter
  readonly queue: object
  /** Those who came before have a lower one. */
  readonly nth: number
  /** Monotonic milliseconds. */
  readonly since: number
  /** An event said that it has begun, so another one says that it has ended. */
  readonly told: boolean
  around: readonly object[]
  /** Among the newcomers; null: it had a connection recalled. */
  newcomer: ListNode<Wait> | null
  /** Among those who can do with a place on a shared connection; null: it cannot. */
  sharer: ListNode<PoolWaiter> | null
}

export interface PoolLimits {
  readonly min: number
  readonly max: number
  /** How many connections implicit reads may share; none if it is left out. */
  readonly shared?: number | undefined
  /** Whether reads of one text that share a connection and are issued together have one Sync. */
  readonly batchReads?: boolean | undefined
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly maxWaiting: number
  /** How long waiters wait. */
  readonly acquireTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly resetTimeoutMs: number
  readonly cancelTimeoutMs: number
  readonly closeTimeoutMs: number
  readonly resetAlways: boolean
  /** A pooler is in between: there is no session to clean, and who knows where a cancel request arrives. */
  readonly pooled?: boolean | undefined
}

/** Counts at one moment, except `recalls`. `open` = idle + reserved + serving + draining. */
export interface PoolStats {
  /** Connections that are open. */
  readonly open: number
  /** The option `pool: { max }`. */
  readonly max: number
  /** Connections that nobody uses. */
  readonly idle: number
  /** Connections borrowed by a connection handle or a transaction. */
  readonly reserved: number
  /** Connections busy with an implicit statement, with several reads that share it, or with a query of the engine itself. */
  readonly serving: number
  /** Connections that are being checked, reset or closed. */
  readonly draining: number
  /** Connections that are being opened. */
  readonly opening: number
  /** Callers that wait for a connection. */
  readonly waiting: number
  /** Connections that listen to channels. They are beyond `max`. */
  readonly listening: number
  /** How often the pool has taken a connection back from a scope that was not using it, since the pool was made. */
  readonly recalls: number
}

/** The result of `close()`. */
export interface CloseReport {
  /** The number of connections that were closed in order. */
  readonly drained: number
  /** One line for each connection broken at the deadline: the statement that ran on it and its holder. */
  readonly broken: readonly string[]
}
