// `user.update({ … })`: changes of one row. Awaiting or applying it runs UPDATE … RETURNING, and what the database made of the
// changed columns is assigned to the instance.
import { GeneverError, NoSuchRowError, TransactionEndedError } from '../../errors/index.ts'
import { madeInTransaction } from '../../engine/query/sql-query.ts'
import type { TransactionRecord } from '../../engine/transaction/record.ts'
import type { Within } from '../../sql/statement.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { metaOf, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { held, Row } from '../meta/row.ts'
import { ready } from '../statement/ready.ts'
import { OnlyParams, Writer } from '../statement/sink.ts'
import type { Handle } from '../../engine/handle.ts'
import { callOf } from '../statement/call.ts'
import type { CallOptions } from '../types/model.ts'
import { type Change, changesOf, shapeOf, writeAssignments } from '../values/changes.ts'
import { asExpression } from '../values/expression.ts'
import { asValues, checkKeys, later, type Values } from '../values/given.ts'
import { changed } from '../values/hooks.ts'
import { Memory } from '../values/memory.ts'
import { type RowCondition, writeCondition } from '../statement/row-condition.ts'

/**
 * Changes of one row, not yet made. Thenable on purpose: `await user.update({ … })` must never be a silent no-op. Applied
 * again it runs again, with its expressions evaluated anew. (GINO: `UpdateRequest`.)
 */
export interface Update<Self, Set> extends PromiseLike<Self> {
  /** Changes more; of several values for one column the last wins. */
  set(values: Set): Update<Self, Set>
  /**
   * Runs it; without a change nothing is sent.
   * @throws {NoSuchRowError} when the row is gone.
   * @throws {UsageError} when the model has no primary key and no `lookup()`.
   */
  apply(options?: CallOptions | Handle): Promise<Self>
}

type Instance = object & Record<string, unknown>

export class InstanceUpdate {
  readonly #instance: Instance
  readonly #meta: ModelMeta
  readonly #find: () => RowCondition
  readonly #madeIn: TransactionRecord | null
  readonly #memory: Memory
  #values: Values = {}

  /** `find` gives the row, or throws why it cannot be found. */
  constructor(instance: object, values: unknown, find: () => RowCondition) {
    this.#instance = instance as Instance
    this.#meta = metaOf(instance.constructor)
    this.#find = find
    this.#madeIn = madeInTransaction(this.#meta.db)
    this.#memory = new Memory(instance)
    void this.set(values)
  }

  set(values: unknown): this {
    const given = asValues(values, 'update()')
    checkKeys(this.#meta, given)
    this.#values = later(this.#meta, this.#values, given)
    remember(this.#memory, this.#instance, this.#meta, given)
    return this
  }

  apply(given?: CallOptions | Handle): Promise<object> {
    const { beforeUpdate } = this.#meta.hooks
    try {
      const options = callOf(given, 'apply()')
      if (this.#madeIn !== null && this.#madeIn.state !== 'open')
        throw new TransactionEndedError(this.#madeIn.endedMessage())
      const running =
        beforeUpdate === undefined ? this.#run(this.#values, options) : this.#hooked(beforeUpdate, options)
      return running.then(undefined, (error: unknown) => this.#failed(error))
    } catch (error) {
      return Promise.resolve().then(() => this.#failed(error))
    }
  }

  /** The instance is what it was; where nobody knows whether the row was changed, it has to be read again. */
  #failed(error: unknown): never {
    this.#memory.undo(error instanceof GeneverError && error.outcome === 'unknown' ? 'unknown' : 'rollback')
    throw error
  }

  // oxlint-disable-next-line unicorn/no-thenable -- an update that is awaited must run
  then<A = object, B = never>(
    onFulfilled?: ((instance: object) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.apply().then(onFulfilled, onRejected)
  }

  async #hooked(hook: (values: Record<string, unknown>, instance: object) => unknown, options?: CallOptions) {
    const copy = { ...this.#values }
    if (Object.keys(copy).length === 0) return this.#instance
    return this.#run(changed(await hook(copy, this.#instance), copy, 'update()'), options)
  }

  #run(values: Values, options: CallOptions | undefined): Promise<object> {
    const instance = this.#instance
    const meta = this.#meta
    const changes = changesOf(meta, values)
    if (changes.length === 0) return Promise.resolve(instance)
    const condition = this.#find()
    const columns = returned(meta, changes)
    const { text, params } = statementOf(meta, changes, condition, columns)
    const decode = (rows: readonly unknown[], within: Within | null): object[] => {
      if (rows.length === 0) throw gone(instance)
      learn(this.#memory, instance, meta, columns, rows[0] as readonly unknown[])
      this.#memory.follow(within)
      return [instance]
    }
    const statement = ready<object>(text, params, meta.arrayOf(columns), decode)
    return meta.executor(options?.on).first(statement, options) as Promise<object>
  }
}

/** In memory at once; expressions are known only when they come back. */
function remember(memory: Memory, instance: Instance, meta: ModelMeta, values: Values): void {
  for (const [key, value] of Object.entries(values))
    if (value !== undefined && meta.byKey.has(key) && asExpression(value) === undefined) memory.set(key, value)
  if (meta.properties.size === 0) return
  for (const [key, value] of Object.entries(values)) {
    const property = meta.properties.get(key)
    if (property === undefined || value === undefined || asExpression(value) !== undefined) continue
    memory.set(property.column, property.merged(instance[property.column], value))
  }
}

/** What the database made of the change: fields, and the key of the row if that is among them. */
function learn(
  memory: Memory,
  instance: Instance,
  meta: ModelMeta,
  columns: readonly ModelColumn[],
  values: readonly unknown[],
): void {
  const { primaryKey } = meta
  const changesKey = columns.some((column) => primaryKey.includes(column))
  const key = changesKey ? primaryKey.map((column, index) => keyPart(instance, meta, column, index)) : []
  columns.forEach((column, index) => {
    memory.set(column.key, values[index])
    if (!changesKey || !primaryKey.includes(column)) return
    key[primaryKey.indexOf(column)] = held(values[index])
  })
  if (changesKey) memory.set(null, key.length === 1 ? key[0] : key)
}

/** Of the row as it was found. */
function keyPart(instance: Instance, { primaryKey }: ModelMeta, column: ModelColumn, index: number): unknown {
  const key = Row.keyOf(instance)
  if (key === undefined || key === null) return instance[column.key]
  return primaryKey.length === 1 ? key : (key as readonly unknown[])[index]
}

/** What was changed, and what the database computes from it. */
function returned(meta: ModelMeta, changes: readonly Change[]): readonly ModelColumn[] {
  const columns = changes.map(({ column }) => column)
  for (const column of meta.generated) columns.push(column)
  return columns
}

function statementOf(
  meta: ModelMeta,
  changes: readonly Change[],
  condition: RowCondition,
  columns: readonly ModelColumn[],
): { readonly text: string; readonly params: readonly unknown[] } {
  const fixed = 'key' in condition && changes.every((change) => change.fixed)
  const shape = fixed ? `update${shapeOf(changes)}` : ''
  const known = fixed ? meta.texts.peek(shape) : undefined
  if (known !== undefined) {
    const values = new OnlyParams()
    writeAssignments(values, meta, changes)
    writeCondition(values, meta, condition)
    return { text: known, params: values.params }
  }
  const writer = new Writer().add(`update ${meta.sqlName} set `)
  writeAssignments(writer, meta, changes)
  writeCondition(writer.add(' where '), meta, condition)
  const { text, params } = writer.add(` returning ${columns.map(({ quoted }) => quoted).join(', ')}`)
  if (fixed) meta.texts.get(shape, () => text)
  return { text, params }
}

export function gone(instance: object): NoSuchRowError {
  return new NoSuchRowError(
    `The row of this ${modelName(instance.constructor)} is not there: it was deleted, or its key was changed.`,
  )
}
