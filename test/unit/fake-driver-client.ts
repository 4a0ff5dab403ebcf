/** The smallest owner of a raw connection, for the tests of the fake driver. */

import type { FakeDriver } from '../support/fake/driver.ts'
import type { ConnectionHooks, Failure, Op, OpState, RawConnection } from '../../src/driver/driver.ts'
import { classify } from '../../src/postgres/classify.ts'
import type { Compiled, RowSpec } from '../../src/sql/compiled.ts'
import { clock } from '../../src/util/clock.ts'

/** By the clock of the package: it goes on where a test stops the global one. */
export const later = (ms: number): number => clock.now() + ms

export class TestOp implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly rows: unknown[] = []
  tag = ''
  count = -1
  state: OpState = 0
  /** How often it was told its end. */
  told = 0
  failure: Failure | null = null
  readonly settled: Promise<this>
  #settle: () => void = () => {}

  constructor(
    text: string,
    params: readonly unknown[] = [],
    more: Partial<Pick<Op, 'spec' | 'maxRows'>> & { dirties?: number } = {},
  ) {
    const { spec = null, maxRows = 0, dirties = 0 } = more
    const { cls, verb, hasControl, control } = classify(text)
    this.stmt = { text, name: '', cls, verb, dirties, pins: 0, names: 0, hasControl, control, shape: null }
    this.params = params
    this.spec = spec
    this.maxRows = maxRows
    this.settled = new Promise((resolve) => (this.#settle = () => resolve(this)))
  }

  done(): void {
    this.told++
    this.state = 3
    this.#settle()
  }

  fail(failure: Failure): void {
    this.told++
    this.state = 3
    this.failure = failure
    this.#settle()
  }

  /** `INSERT 1`, or `server 23505 rolled_back`. */
  get end(): string {
    if (this.state < 3) return 'pending'
    if (this.failure === null) return this.count < 0 ? this.tag : `${this.tag} ${this.count}`
    const { kind, outcome, fields } = this.failure
    return [kind, fields?.['code'], outcome].filter(Boolean).join(' ')
  }
}

export interface Client {
  readonly raw: RawConnection
  /** Hooks as they were told: `room`, `idle`, `lost closed`, `notice …`. */
  readonly events: string[]
  /** Sends each text as a unit of its own, one after the other, and gives their ends. */
  readonly run: (...texts: string[]) => Promise<string[]>
  /** Sends texts as one unit. */
  readonly unit: (...texts: string[]) => Promise<string[]>
  readonly rows: (text: string, ...params: unknown[]) => Promise<unknown[]>
}

export async function connect(driver: FakeDriver): Promise<Client> {
  const events: string[] = []
  const hooks: ConnectionHooks = {
    idle: () => events.push('idle'),
    room: () => events.push('room'),
    lost: (_, failure) => events.push(`lost ${failure.fields?.['code'] ?? failure.kind}`),
    notice: (fields) => events.push(`notice ${fields['code']}`),
    notification: (channel, payload, pid) => events.push(`notification ${channel} ${payload} ${pid}`),
  }
  const raw = await driver.open({}, hooks, later(1000))
  const send = async (ops: TestOp[]): Promise<string[]> => {
    raw.submitUnit({ ops })
    await Promise.all(ops.map((op) => op.settled))
    return ops.map((op) => op.end)
  }
  return {
    raw,
    events,
    unit: (...texts) => send(texts.map((text) => new TestOp(text))),
    run: async (...texts) => {
      const ends: string[] = []
      for (const text of texts) ends.push(...(await send([new TestOp(text)])))
      return ends
    },
    rows: async (text, ...params) => {
      const op = new TestOp(text, params)
      raw.submit(op)
      await op.settled
      if (op.failure !== null) throw new Error(`${text}: ${op.end} ${op.failure.fields?.['message']}`)
      return op.rows
    },
  }
}

/** The fake driver answers in macrotasks: all that is due has happened. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve))
}
