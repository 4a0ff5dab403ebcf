// Text and parameters as they grow: plain SQL of ours, and Drizzle's objects rendered with the next placeholders.
import { render, type SqlLike } from '../../builder/drizzle/core/render.ts'

export class SqlText {
  text = ''
  readonly params: unknown[] = []

  add(text: string): this {
    this.text += text
    return this
  }

  sql(value: SqlLike): this {
    const { sql, params } = render(value, { before: this.params.length })
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

  /** The parts one after the other, with a separator between them. */
  list(parts: readonly ((text: SqlText) => void)[], separator: string): this {
    parts.forEach((part, index) => {
      if (index > 0) this.text += separator
      part(this)
    })
    return this
  }
}
