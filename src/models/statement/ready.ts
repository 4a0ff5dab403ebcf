// A statement of a model, ready to run: what executors are given. One small object for each call.
import type { RowSpec } from '../../sql/compiled.ts'
import { type Statement, toStatement, type ToStatement, type Within } from '../../sql/statement.ts'

export type Decode<R> = (rows: readonly unknown[], within: Within | null) => R[]

/** Its own statement. */
export type Ready<R> = Statement<R> & ToStatement<R>

export function ready<R>(sql: string, params: readonly unknown[], spec?: RowSpec<R>, decode?: Decode<R>): Ready<R> {
  return new ReadyStatement(sql, params, spec, decode)
}

class ReadyStatement<R> implements Statement<R>, ToStatement<R> {
  readonly sql: string
  readonly params: readonly unknown[]
  readonly spec: RowSpec<R> | undefined
  readonly decode: Decode<R> | undefined

  constructor(sql: string, params: readonly unknown[], spec?: RowSpec<R>, decode?: Decode<R>) {
    this.sql = sql
    this.params = params
    this.spec = spec
    this.decode = decode
  }

  [toStatement](): this {
    return this
  }
}
