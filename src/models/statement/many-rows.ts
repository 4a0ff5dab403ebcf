// What static updates and deletes share: they say which rows, or that every row is meant, run when awaited, and give a number
// of rows or, with `returning()`, instances.
import { TransactionEndedError, UsageError } from '../../errors/index.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { madeInTransaction } from '../../engine/query/sql-query.ts'
import type { TransactionRecord } from '../../engine/transaction/record.ts'
import { sourceOf } from '../load/source.ts'
import { metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { type Condition, conditionOf, writeConditions } from '../query/compile/condition.ts'
import { ready, type Ready } from './ready.ts'
import { Writer } from './sink.ts'
import type { Handle } from '../../engine/handle.ts'
import { callOf } from './call.ts'
import type { CallOptions } from '../types/model.ts'

/** The instances of what was written. */
export interface Returned<I> extends PromiseLike<I[]> {
  apply(options?: CallOptions | Handle): Promise<I[]>
}

export interface Rows {
  readonly conditions: readonly Condition[]
  readonly every: boolean
}

const none: Rows = { conditions: [], every: false }

export abstract class ManyRows<Made> {
  protected readonly model: ModelLike
  protected readonly meta: ModelMeta
  protected readonly rows: Rows
  readonly #method: string
  readonly #madeIn: TransactionRecord | null

  constructor(model: ModelLike, method: string, rows: Rows = none) {
    this.model = model
    this.meta = metaOf(model)
    this.#method = method
    this.rows = rows
    this.#madeIn = madeInTransaction(this.meta.db)
  }

  /** The same with other rows. */
  protected abstract with(rows: Rows): Made
  /** What stands before WHERE; false when there is nothing to do. */
  protected abstract write(writer: Writer): boolean

  where(condition: unknown): Made {
    const made = conditionOf(this.meta, sourceOf(this.model).columns, condition)
    const { conditions, every } = this.rows
    return this.with({ conditions: made === undefined ? conditions : [...conditions, made], every })
  }

  everyRow(): Made {
    return this.with({ ...this.rows, every: true })
  }

  async apply(given?: CallOptions | Handle): Promise<number> {
    const options = callOf(given, 'apply()')
    await this.prepare()
    const made = this.#ready(false)
    if (made === null) return 0
    const { rowCount } = await this.#executor(options).status(made, options)
    return rowCount ?? 0
  }

  returning(): Returned<object> {
    const apply = async (given?: CallOptions | Handle): Promise<object[]> => {
      const options = callOf(given, 'apply()')
      await this.prepare()
      const made = this.#ready(true)
      return made === null ? [] : this.#executor(options).all(made, options)
    }
    // oxlint-disable-next-line unicorn/no-thenable -- runs when awaited, as without it
    return { apply, then: (onFulfilled, onRejected) => apply().then(onFulfilled, onRejected) }
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a change that is awaited must run
  then<A = number, B = never>(
    onFulfilled?: ((count: number) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.apply().then(onFulfilled, onRejected)
  }

  /** Hooks of the model. */
  protected prepare(): Promise<void> | undefined {
    return undefined
  }

  #executor(options: CallOptions | undefined): Executor {
    return this.meta.executor(options?.on)
  }

  #ready(returning: boolean): Ready<object> | null {
    if (this.#madeIn !== null && this.#madeIn.state !== 'open')
      throw new TransactionEndedError(this.#madeIn.endedMessage())
    const { conditions, every } = this.rows
    if (conditions.length === 0 && !every)
      throw new UsageError(
        `${modelName(this.model)}.${this.#method}() was not told which rows: add .where(…), or .everyRow() if all of them are meant.`,
      )
    const writer = new Writer()
    if (!this.write(writer)) return null
    if (conditions.length > 0) writeConditions(writer.add(' where '), conditions)
    if (!returning) return ready<object>(writer.text, writer.params)
    writer.add(` returning ${this.meta.list()}`)
    const { meta } = this
    return ready<object>(writer.text, writer.params, meta.specOf(this.model) as never, meta.loaded)
  }
}
