// Text and parameters as they grow: plain SQL of ours, and Drizzle's objects rendered with the next placeholders.
import { type Growing, writeExpression } from '../../builder/drizzle/core/expression.ts'
import { withEncoded } from '../../builder/drizzle/core/lists.ts'
import type { Dialect, Placeholders } from '../../sql/dialect.ts'
import { render, type SqlLike } from '../../builder/drizzle/core/render.ts'

export class SqlText implements Growing {
  readonly dialect: Dialect
  text: string
  readonly params: unknown[]

  /** It may begin with a text that is known, and its parameters; or write beside another text, with parameters in common. */
  constructor(dialect: Dialect, text = '', params: readonly unknown[] | SqlText = []) {
    this.dialect = dialect
    this.text = text
    this.params = params instanceof SqlText ? params.params : [...params]
  }

  add(text: string): this {
    this.text += text
    return this
  }

  sql(value: SqlLike): this {
    if (writeExpression(value, this)) return this
    const { dialect } = this
    const given = dialect.models.listAsArray ? (withEncoded(value) as SqlLike) : value
    const { sql, params } = render(given, { before: this.params.length, dialect })
    this.text += sql
    for (const param of params) this.params.push(param)
    return this
  }

  /** A placeholder and its value. */
  param(value: unknown): this {
    return this.add(this.placeOf(value))
  }

  /** Its placeholder, for a text that is added later. */
  placeOf(value: unknown, placeholders: Placeholders = this.dialect.placeholder): string {
    return placeholders.text(this.params.push(value) - 1)
  }

  /** One after the other, with commas between them. */
  expressions(values: readonly SqlLike[]): this {
    for (let i = 0; i < values.length; i++) {
      if (i > 0) this.text += ', '
      this.sql(values[i] as SqlLike)
    }
    return this
  }
}
