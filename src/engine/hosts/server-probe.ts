// Asks one server whether it is the primary and how far it has replayed, on a separate connection: a caller that waits for a primary
// does not also wait for a free connection. The connection is opened when it is needed, and again after it was lost.
import { before, clock, deferred } from '../../util/clock.ts'
import type { ConnectionHooks, Failure, RawConnection } from '../../driver/driver.ts'
import { type Compiled, firstColumn } from '../../sql/compiled.ts'
import { InternalOp } from '../internal-op.ts'
import { inRoot } from '../../util/context.ts'

export class ServerProbe {
  readonly #open: (hooks: ConnectionHooks, deadline: number) => Promise<RawConnection>
  readonly #question: () => Compiled
  /** The time that the server may take to answer, the opening of a connection included. */
  readonly #patienceMs: number
  #raw: RawConnection | null = null
  #opening: Promise<RawConnection> | null = null
  #closed = false
  #asking = 0
  #askedAt = 0

  constructor(
    open: (hooks: ConnectionHooks, deadline: number) => Promise<RawConnection>,
    question: () => Compiled,
    patienceMs: number,
  ) {
    this.#open = open
    this.#question = question
    this.#patienceMs = patienceMs
  }

  /** The answer of the server. Rejects with a `Failure`. */
  async probe(): Promise<string> {
    this.#asking++
    try {
      return await this.#ask()
    } finally {
      this.#asking--
      this.#askedAt = clock.now()
    }
  }

  async #ask(): Promise<string> {
    const deadline = clock.now() + this.#patienceMs
    const raw = this.#raw ?? (await within(deadline, (this.#opening ??= inRoot(() => this.#connect(deadline)))))
    const question = new ProbeOp(this.#question())
    raw.submit(question)
    try {
      return await within(deadline, question.answer)
    } catch (failure) {
      if (raw === this.#raw) this.#raw = null
      raw.destroy({ kind: 'closed', outcome: 'not_started' })
      throw failure
    }
  }

  async #connect(deadline: number): Promise<RawConnection> {
    const lost = (raw: RawConnection): void => {
      if (raw === this.#raw) this.#raw = null
    }
    const none = (): void => {}
    try {
      const hooks = { idle: none, room: none, lost, notice: none, notification: none, parameter: none }
      const raw = await this.#open(hooks, deadline)
      if (this.#closed) raw.destroy({ kind: 'closed', outcome: 'not_started' })
      return (this.#raw = raw)
    } finally {
      this.#opening = null
    }
  }

  /** Since when its connection is of no use to anybody; undefined: it has none, or uses it. */
  get idleSince(): number | undefined {
    return this.#raw === null || this.#asking > 0 ? undefined : this.#askedAt
  }

  /** Closes its connection until the next question. */
  closeIdle(): void {
    const raw = this.#raw
    this.#raw = null
    void raw?.close(clock.now() + this.#patienceMs)
  }

  async close(deadline: number): Promise<void> {
    this.#closed = true
    const raw = this.#raw
    this.#raw = null
    await raw?.close(deadline)
  }
}

class ProbeOp extends InternalOp {
  readonly #answer = deferred<string>()
  readonly answer: Promise<string> = this.#answer.promise

  constructor(stmt: Compiled) {
    super(stmt, undefined, firstColumn)
    this.answer.catch(() => {})
  }

  protected over(failure: Failure | null): void {
    if (failure === null) this.#answer.resolve(String(this.rows[0]))
    else this.#answer.reject(failure)
  }
}

async function within<T>(deadline: number, work: Promise<T>): Promise<T> {
  const answer = await before(deadline, work, null)
  if (answer !== null) return answer
  const failure: Failure = { kind: 'timeout', outcome: 'not_started' }
  throw failure as unknown
}
