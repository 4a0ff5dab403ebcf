/** One connection of the driver `mysql` to a real server, for the tests of the driver. */

import { expect } from 'vitest'
import type { Driver, RawConnection } from '../../src/driver/driver.ts'
import { mysqlDriver } from '../../src/driver/mysql/driver.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { resolveOptions } from '../../src/options/options.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import type { RowSpec } from '../../src/sql/compiled.ts'
import { freshMysql, type FreshMysql } from '../support/mysql.ts'
import { connect as open, type TestConnection, TestOp } from './test-connection.ts'

export const driver: Driver = mysqlDriver
let database: Promise<FreshMysql> | undefined

export async function options(): Promise<Record<string, unknown>> {
  database ??= freshMysql()
  const { places: _, ...connection } = resolveOptions((await database).url).connection
  return connection
}

/** What is lent: mysql2's connection. */
export interface Client {
  query(text: string, answered: (error: unknown, rows: unknown) => void): void
  on(event: 'warn', heard: (warning: unknown) => void): void
}

/** Its statements are those of MySQL. */
export class MysqlConnection {
  readonly #cache = new StatementCache({ dialect: mysql, prepare: true })
  readonly #connection: TestConnection

  constructor(connection: TestConnection) {
    this.#connection = connection
  }

  get raw(): RawConnection {
    return this.#connection.raw
  }

  get told(): readonly string[] {
    return this.#connection.told
  }

  op(text: string, params: readonly unknown[] = [], spec?: RowSpec): TestOp {
    return new TestOp(this.#cache.compile(text).compiled, params, spec === undefined ? {} : { spec })
  }

  run(text: string, params?: readonly unknown[], spec?: RowSpec): Promise<TestOp> {
    const op = this.op(text, params, spec)
    this.raw.submit(op)
    return op.settled
  }

  async value(text: string, params?: readonly unknown[]): Promise<unknown> {
    const op = await this.run(text, params)
    expect(op.failure).toBeNull()
    return Object.values(op.rows[0] as object)[0]
  }

  async unit(...texts: readonly string[]): Promise<string[]> {
    const ops = texts.map((text) => this.op(text))
    this.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    return ops.map(({ end }) => end)
  }
}

export async function connect(more: Record<string, unknown> = {}): Promise<MysqlConnection> {
  await mysql.ready?.()
  return new MysqlConnection(await open(driver, { ...(await options()), ...more }))
}
