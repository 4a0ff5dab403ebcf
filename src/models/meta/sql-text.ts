// Text and parameters as they grow: plain SQL of ours, and Drizzle's objects rendered with the next placeholders.
import { type Growing, writeExpression } from '../../builder/drizzle/core/expression.ts'
import { withEncoded } from '../../builder/drizzle/core/lists.ts'
import { render, type SqlLike } from '../../builder/drizzle/core/render.ts'

export class SqlText implements Growing {
  text: string
  readonly params: unknown[]

  /** It may begin with a text that is known, and its parameters. */
  constructor(text = '', params: readonly unknown[] = []) {
    this.text = text
    this.params = [...params]
  }

  add(text: string): this {
    this.text += text
    return this
  }

  sql(value: SqlLike): this {
    if (writeExpression(value, this)) return this
    const { sql, params } = render(withEncoded(value) as SqlLike, { before: this.params.length })
    this.text += sql
    for (const param of params) this.params.push(param)
    return this
  }

  /** A placeholder and its value. */
  param(value: unknown): this {
    this.params.push(value)
    this.text += `$${this.params.length}`
    return this
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
