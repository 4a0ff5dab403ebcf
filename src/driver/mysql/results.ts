// The answer to one statement of a user: its rows, read as they come. A procedure may give several results, and its OUT and INOUT
// parameters are one more. Only an operation that asks for several results gets them all.
import { UsageError } from '../../errors/index.ts'
import { type Failure, type Op, OpState, type StatementResult } from '../driver.ts'
import { counts } from './outcome.ts'
import type { Column, Cursor, Ok } from './packets.ts'
import { decoderIn, type Statement } from './prepared.ts'
import { decoderOf, type RowDecoder, shapeOf, unreadColumn } from './rows.ts'
import type { Conversions } from './types.ts'

export class Results {
  readonly #op: Op
  readonly #statement: Statement | null
  readonly #conversions: Conversions
  readonly #all: StatementResult[] = []
  #decode: RowDecoder | null = null
  #seen = 0
  #affected = -1
  #unreadable: Pick<Failure, 'cause' | 'column'> | null = null

  constructor(op: Op, statement: Statement | null, conversions: Conversions) {
    this.#op = op
    this.#statement = statement
    this.#conversions = conversions
  }

  /** Those of the next result. */
  columns(columns: readonly Column[]): void {
    const op = this.#op
    const isFirst = this.#all.length === 0
    this.#seen = 0
    const fields = isFirst ? [] : shapeOf(columns).fields
    this.#all.push({ tag: op.stmt.verb, count: 0, rows: isFirst ? op.rows : [], fields, columns: null })
    try {
      this.#decode = isFirst ? this.#first(columns) : this.#later(columns)
    } catch (cause) {
      this.#unfit(cause)
    }
  }

  row(cursor: Cursor): void {
    const op = this.#op
    const { maxRows, port = null } = op
    if (maxRows > 0 && this.#seen >= maxRows) return
    this.#seen++
    if (this.#decode === null || this.#unreadable !== null || op.state === OpState.abandoned) return
    const { at } = cursor
    try {
      this.#decode(cursor, (this.#all.at(-1) as StatementResult).rows)
    } catch (cause) {
      return this.#unfit(cause, unreadColumn(this.#decode, cursor, at))
    }
    port?.arrived()
  }

  /** An end of a result, or an OK. */
  ended(ok: Ok | null): void {
    const last = this.#all.at(-1)
    if (ok === null && last !== undefined) last.count = this.#affected = this.#seen
    else if (ok !== null && last === undefined) {
      this.#affected = ok.affected
      if (ok.insertId !== 0) this.#op.insertId = ok.insertId
    }
  }

  /** Behind the last of them. `kept`: no transaction can undo what the statement did. Null: all is well. */
  settle(kept: boolean): Failure | null {
    const op = this.#op
    op.tag = op.stmt.verb
    op.count = counts(op.stmt) ? this.#affected : -1
    if (this.#all.length > 1 && this.#unreadable === null) {
      const [first] = this.#all
      if (op.results)
        op.results.push({ ...(first as StatementResult), fields: op.shape?.fields ?? [] }, ...this.#all.slice(1))
      else this.#unreadable = { cause: tooMany(op, this.#all.length) }
    }
    if (this.#unreadable === null) return null
    return { kind: 'decode', outcome: kept ? 'committed' : 'rolled_back', ...this.#unreadable }
  }

  #first(columns: readonly Column[]): RowDecoder {
    const [op, statement] = [this.#op, this.#statement]
    if (statement === null) {
      op.shape = op.stmt.shape = shapeOf(columns)
      return decoderOf(columns, op.spec, this.#conversions, false)
    }
    const decode = decoderIn(statement, columns, op.spec, this.#conversions)
    // The same text has other columns in another database.
    op.shape = op.stmt.shape = statement.shape
    return decode
  }

  #later(columns: readonly Column[]): RowDecoder | null {
    const { results, spec } = this.#op
    return results ? decoderOf(columns, spec, this.#conversions, this.#statement !== null) : null
  }

  #unfit(cause: unknown, column?: string): void {
    this.#unreadable = { cause, column }
    this.#op.port?.unreadable({ kind: 'decode', outcome: 'rolled_back', cause, column })
  }
}

function tooMany({ stmt: { verb, text } }: Op, count: number): UsageError {
  return new UsageError(
    `${verb} gave ${count} results, and all methods but status() give the rows of one. It ran. Call it by status(), whose \`results\` has each of ` +
      'them; the last one has the OUT and INOUT parameters, if there are any.',
    { statement: { sql: text } },
  )
}
