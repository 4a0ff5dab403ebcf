// Where a statement is written to: text and parameters the first time, only parameters when the text of its shape is known.
import type { SqlLike } from '../../builder/drizzle/core/render.ts'
import { SqlText } from '../meta/sql-text.ts'

export interface Sink {
  readonly params: readonly unknown[]
  add(text: string): unknown
  /** Takes a parameter and gives its placeholder. */
  place(value: unknown): string
  /** In brackets, because it may be a query. */
  expression(value: SqlLike): unknown
}

export class Writer extends SqlText implements Sink {
  place(value: unknown): string {
    return this.placeOf(value)
  }

  expression(value: SqlLike): this {
    const before = this.text
    this.sql(value)
    const written = this.text.slice(before.length)
    // `default` is a keyword and no expression.
    if (written.trim().toLowerCase() !== 'default') this.text = `${before}(${written})`
    return this
  }
}

/** For shapes without expressions. */
export class OnlyParams implements Sink {
  readonly params: unknown[] = []

  add(): void {}

  place(value: unknown): string {
    this.params.push(value)
    return ''
  }

  expression(): void {}
}
