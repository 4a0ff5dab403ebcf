/** A connection of a driver under test, with what its hooks were told, and the operations that it runs. */

import { expect } from 'vitest'
import {
  type ConnectionHooks,
  type Driver,
  type Failure,
  type Op,
  OpState,
  type RawConnection,
  type StatementResult,
} from '../../src/driver/driver.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import type { Compiled, RowSpec } from '../../src/sql/compiled.ts'

/** A deadline that is never reached, unless a test says a shorter one. */
export const later = (ms = 50_000): number => performance.now() + ms

interface More {
  readonly spec?: RowSpec<any>
  readonly maxRows?: number
  readonly results?: StatementResult[]
}

export class TestOp implements Op<any> {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec<any> | null
  readonly maxRows: number
  readonly rows: any[] = []
  readonly results: StatementResult[] | null
  tag = ''
  count = -1
  state: OpState = OpState.queued
  failure: Failure | null = null
  readonly settled: Promise<this>
  #settle: (() => void) | undefined

  constructor(stmt: Compiled, params: readonly unknown[] = [], more: More = {}) {
    this.stmt = stmt
    this.params = params
    this.spec = more.spec ?? null
    this.maxRows = more.maxRows ?? 0
    this.results = more.results ?? null
    this.settled = new Promise((resolve) => (this.#settle = () => resolve(this)))
  }

  done(): void {
    this.state = OpState.settled
    this.#settle?.()
  }

  fail(failure: Failure): void {
    this.failure ??= failure
    this.state = OpState.settled
    this.#settle?.()
  }

  /** `INSERT 1`, `server 23505 rolled_back`, `pending`. */
  get end(): string {
    if (this.state !== OpState.settled) return 'pending'
    if (this.failure === null) return this.count < 0 ? this.tag : `${this.tag} ${this.count}`.trim()
    const { kind, outcome, fields } = this.failure
    return [kind, fields?.['code'], outcome].filter(Boolean).join(' ')
  }
}

/** A connection with what its hooks were told. */
export class TestConnection implements ConnectionHooks {
  readonly told: string[] = []
  readonly #cache = new StatementCache({ dialect: postgres, prepare: true })
  raw!: RawConnection

  /** Prepared under a name, as the engine does; the same text is the same statement. */
  named(text: string): Compiled {
    return this.#cache.compile(text).compiled
  }

  plain(text: string): Compiled {
    return { ...this.#cache.compile(text).compiled, name: '' }
  }

  op(text: string | Compiled, params?: readonly unknown[], more?: More): TestOp {
    return new TestOp(typeof text === 'string' ? this.plain(text) : text, params, more)
  }

  /** The operation after it has ended, well or not. */
  run(text: string | Compiled, params?: readonly unknown[], more?: More): Promise<TestOp> {
    const op = this.op(text, params, more)
    this.raw.submit(op)
    return op.settled
  }

  async rows(text: string | Compiled, params?: readonly unknown[]): Promise<any[]> {
    const op = await this.run(text, params)
    expect(op.failure).toBeNull()
    return op.rows
  }

  async value(text: string | Compiled, params?: readonly unknown[]): Promise<any> {
    const [row] = await this.rows(text, params)
    return Object.values(row as object)[0]
  }

  /** How the operations of a unit ended. */
  async unit(...texts: (string | TestOp)[]): Promise<string[]> {
    const ops = texts.map((text) => (typeof text === 'string' ? this.op(text) : text))
    this.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    return ops.map(({ end }) => end)
  }

  idle(): void {
    this.told.push('idle')
  }

  room(): void {
    this.told.push('room')
  }

  lost(_raw: RawConnection, { kind, fields }: Failure): void {
    this.told.push(['lost', kind, fields?.['code']].filter(Boolean).join(' '))
  }

  notice({ message }: Readonly<Record<string, string>>): void {
    this.told.push(`notice ${message}`)
  }

  notification(channel: string, payload: string): void {
    this.told.push(`notification ${channel} ${payload}`)
  }
}

const opened: TestConnection[] = []

/** An open connection; closed after the test. */
export async function connect(driver: Driver, options: Record<string, unknown>): Promise<TestConnection> {
  const connection = await keep(driver, options)
  opened.push(connection)
  return connection
}

/** An open connection that the test closes by itself. */
export async function keep(driver: Driver, options: Record<string, unknown>): Promise<TestConnection> {
  const connection = new TestConnection()
  connection.raw = await driver.open(driver.parse(options), connection, later(60_000))
  return connection
}

export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map(({ raw }) => raw.close(later())))
}

export async function failureOf(opening: Promise<unknown>): Promise<Failure> {
  return opening.then(
    () => expect.fail('it opened'),
    (failure: unknown) => failure as Failure,
  )
}
