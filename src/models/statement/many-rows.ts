// The common part of static updates and deletes: they say which rows, or that every row is meant, run when awaited, and give a number
// of rows or, with `returning()`, instances.
import { UsageError } from '../../errors/index.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { checkMadeIn } from '../../engine/query/made-with.ts'
import { executorOfMade } from '../../engine/query/placed.ts'
import type { MadeWith } from '../../sql/statement.ts'
import { sourceOf } from '../load/source.ts'
import { metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import {
  addParams,
  type Condition,
  conditionOf,
  shapeOfConditions,
  writeConditions,
} from '../query/compile/condition.ts'
import { ready, type Ready, type Shape } from './ready.ts'
import { returnsRows } from './returning.ts'
import { type Sink, Writer } from './sink.ts'
import type { Enclosing, Handle } from '../../engine/context/frame.ts'
import { callOf } from './call.ts'
import type { CallOptions } from '../types/model.ts'
import type { Returned } from '../types/writes.ts'
import { attempt, whenAwaited } from '../../util/thrown.ts'

export interface Rows {
  readonly conditions: readonly Condition[]
  readonly every: boolean
  /** The settings of the scope it was made in. */
  readonly madeWith: MadeWith | null
  /** The database that was meant there. */
  readonly madeOn: Executor | null
}

const none: Rows = { conditions: [], every: false, madeWith: null, madeOn: null }

/** The part before WHERE. */
export interface Beginning {
  /** Identifies its text; null where that depends on more than its columns. */
  readonly shape: Shape | null
  write(sink: Sink): void
  /** Its parameters, of one with a number for its shape. */
  addParams(params: unknown[]): void
}

/** Runs the statement of it. Null: there is nothing to do. */
type Apply<T> = (begun: Beginning | null, options: CallOptions | undefined) => Promise<T>

/** The shape of an update that sets values is a number below this, and that of a deletion is 0. */
const pastShapes = 2 ** 30

export abstract class ManyRows<Made> {
  protected readonly model: ModelLike
  protected readonly meta: ModelMeta
  protected readonly rows: Rows
  readonly #method: string
  readonly #madeIn: Enclosing | null

  constructor(model: ModelLike, method: string, rows: Rows = none) {
    this.model = model
    this.meta = metaOf(model)
    this.#method = method
    this.#madeIn = this.meta.db.transactionHere()
    this.rows = rows.madeOn === null ? { ...rows, ...this.#made() } : rows
  }

  /** The same with other rows. */
  protected abstract with(rows: Rows): Made
  /** Null when there is nothing to do. A promise: hooks of the model run first. */
  protected abstract begin(): Beginning | null | Promise<Beginning | null>

  where(condition: unknown): Made {
    const made = conditionOf(this.meta, sourceOf(this.model).columns, condition)
    if (made === undefined) return this.with(this.rows)
    return this.with({ ...this.rows, conditions: [...this.rows.conditions, made] })
  }

  everyRow(): Made {
    return this.with({ ...this.rows, every: true })
  }

  apply(given?: CallOptions | Handle): Promise<number> {
    return this.#begun(given, false, (begun, options) => this.#apply(begun, options))
  }

  returning(): Returned<object> {
    const apply = (given?: CallOptions | Handle): Promise<object[]> =>
      this.#begun(given, true, (begun, options) => this.#applyReturning(begun, options))
    // oxlint-disable-next-line unicorn/no-thenable -- runs when awaited, as without it
    return { apply, then: (onFulfilled, onRejected) => whenAwaited(apply()).then(onFulfilled, onRejected) }
  }

  #begun<T>(given: unknown, returning: boolean, apply: Apply<T>): Promise<T> {
    return attempt(() => {
      const options = callOf(given as CallOptions | Handle | undefined, 'apply()')
      this.#checkAsked(returning)
      const begun = this.begin()
      return begun instanceof Promise ? begun.then((made) => apply(made, options)) : apply(begun, options)
    })
  }

  #apply(begun: Beginning | null, options: CallOptions | undefined): Promise<number> {
    const made = this.#ready(begun, false)
    if (made === null) return Promise.resolve(0)
    return whenAwaited(this.#executor(options).status(made, options)).then(({ rowCount }) => rowCount ?? 0)
  }

  #applyReturning(begun: Beginning | null, options: CallOptions | undefined): Promise<object[]> {
    const made = this.#ready(begun, true)
    if (made === null) return Promise.resolve([])
    const executor = this.#executor(options)
    const run = (returns: boolean): Promise<object[]> => {
      if (!returns) throw this.#unreturned('DELETE of this server')
      return executor.all<object>(made, options)
    }
    const returns = returnsRows(this.meta, executor, options)
    return returns instanceof Promise ? returns.then(run) : run(returns)
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a change that is awaited must run
  then<A = number, B = never>(
    onFulfilled?: ((count: number) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return whenAwaited(this.apply()).then(onFulfilled, onRejected)
  }

  #made(): Pick<Rows, 'madeWith' | 'madeOn'> {
    const { db } = this.meta
    return { madeWith: db.madeWith(), madeOn: db.madeHere() }
  }

  #executor(options: CallOptions | undefined): Executor {
    const { madeWith, madeOn } = this.rows
    const executor = this.meta.executor(options?.on, madeWith, madeOn ?? undefined)
    return executorOfMade(madeWith, executor, `This ${this.#method}()`)
  }

  #unreturned(what: string): UsageError {
    const [does, did] = this.#method === 'update' ? ['update', 'changed'] : ['delete', 'deleted']
    return new UsageError(
      `${modelName(this.model)}.${does}() cannot give the rows it ${did}: ${what} has no RETURNING. Leave out returning(), and read them by a query.`,
    )
  }

  /** Before hooks run. */
  #checkAsked(returning: boolean): void {
    checkMadeIn(this.#madeIn)
    const { conditions, every } = this.rows
    if (conditions.length === 0 && !every)
      throw new UsageError(
        `${modelName(this.model)}.${this.#method}() needs to know its rows: add .where(…), or .everyRow() for all of them.`,
      )
    const { models, title } = this.meta.dialect
    if (returning && this.#method === 'update' && !models.updateReturns) throw this.#unreturned(`UPDATE of ${title}`)
  }

  #ready(beginning: Beginning | null, returning: boolean): Ready<object> | null {
    checkMadeIn(this.#madeIn)
    const { meta } = this
    const { conditions } = this.rows
    if (beginning === null) return null
    const shape = wholeShape(beginning, conditions, returning)
    const known = shape === null ? undefined : meta.writes.peek(shape)
    if (known !== undefined) {
      const params: unknown[] = []
      beginning.addParams(params)
      addParams(params, conditions)
      return this.#statement(known, params, returning)
    }
    const writer = new Writer(meta.dialect)
    beginning.write(writer)
    if (conditions.length > 0) writeConditions(writer.add(' where '), conditions)
    if (returning) writer.add(` returning ${meta.list()}`)
    const { text, params } = writer
    if (shape !== null) meta.writes.keep(shape, text)
    return this.#statement(text, params, returning)
  }

  #statement(text: string, params: readonly unknown[], returning: boolean): Ready<object> {
    const { meta } = this
    if (!returning) return ready<object>(meta, text, params)
    return ready<object>(meta, text, params, meta.specOf(this.model) as never, meta.loaded)
  }
}

/** The shape of the whole statement, a number that is exact; null where its text is not kept. */
function wholeShape({ shape }: Beginning, conditions: readonly Condition[], returning: boolean): number | null {
  if (typeof shape !== 'number') return null
  const where = shapeOfConditions(conditions)
  return where === undefined ? null : (where * 2 + Number(returning)) * pastShapes + shape
}
