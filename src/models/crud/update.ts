// `user.update({ … })`: changes of one row. Awaiting or applying it runs UPDATE … RETURNING, and what the database made of the
// changed columns is assigned to the instance.
import { GeneverError, NoSuchRowError, UsageError } from '../../errors/index.ts'
import { checkMadeIn } from '../../engine/query/made-with.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { Within } from '../../sql/statement.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { type MadeUpdate, metaOf, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { held, Row } from '../meta/row.ts'
import { keyText } from './get.ts'
import { executorOf } from './place.ts'
import { ready, type Shape } from '../statement/ready.ts'
import { OnlyParams, Writer } from '../statement/sink.ts'
import type { Enclosing, Handle } from '../../engine/context/frame.ts'
import { callOf } from '../statement/call.ts'
import type { CallOptions } from '../types/model.ts'
import { rejected, whenAwaited } from '../../util/thrown.ts'
import { addValues, type Change, changesOf, fixedShape, writeAssignments } from '../values/changes.ts'
import { asExpression } from '../values/expression.ts'
import { asValues, checkKeys, later, noValues, type Values } from '../values/given.ts'
import { changed } from '../values/hooks.ts'
import { Memory } from '../values/memory.ts'
import { type RowCondition, writeCondition } from '../statement/row-condition.ts'

type Instance = object & Record<string, unknown>

export class InstanceUpdate {
  readonly #instance: Instance
  readonly #meta: ModelMeta
  readonly #find: () => RowCondition
  readonly #madeIn: Enclosing | null
  readonly #memory: Memory
  #values: Values = noValues

  /** `find` gives the row, or throws why it cannot be found. */
  constructor(instance: object, values: unknown, find: () => RowCondition) {
    this.#instance = instance as Instance
    this.#meta = metaOf(instance.constructor)
    this.#find = find
    this.#madeIn = this.#meta.db.transactionHere()
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
    return this.#start(given).then(undefined, (error: unknown) => {
      this.#failed(error)
      throw error
    })
  }

  #start(given: CallOptions | Handle | undefined): Promise<object> {
    const { beforeUpdate } = this.#meta.hooks
    try {
      const options = callOf(given, 'apply()')
      checkMadeIn(this.#madeIn)
      return beforeUpdate === undefined ? this.#run(this.#values, options) : this.#hooked(beforeUpdate, options)
    } catch (error) {
      return rejected(error)
    }
  }

  /** The instance is what it was; where nobody knows whether the row was changed, it has to be read again. */
  #failed(error: unknown): void {
    this.#memory.undo(error instanceof GeneverError && error.outcome === 'unknown' ? 'unknown' : 'rollback')
  }

  // oxlint-disable-next-line unicorn/no-thenable -- an update that is awaited must run
  then<A = object, B = never>(
    onFulfilled?: ((instance: object) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return whenAwaited(this.#start(undefined)).then(onFulfilled, (error: unknown) => {
      this.#failed(error)
      if (typeof onRejected === 'function') return onRejected(error)
      throw error
    })
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
    if (!meta.dialect.models.updateReturns) return this.#andRead(changes, condition, options)
    const { made, params } = statementOf(meta, changes, condition)
    const statement = ready<object>(meta, made.text, params, made.spec, this.#learning(made.columns, gone))
    return executorOf(instance, meta, options?.on).first(statement, options) as Promise<object>
  }

  /** Assigns the values of the changed row to the instance. */
  #learning(
    columns: readonly ModelColumn[],
    missing: (instance: object) => NoSuchRowError,
  ): (rows: readonly unknown[], within: Within | null) => object[] {
    const instance = this.#instance
    const meta = this.#meta
    return (rows, within) => {
      if (rows.length === 0) throw missing(instance)
      learn(this.#memory, instance, meta, columns, rows[0] as readonly unknown[])
      this.#memory.follow(within)
      return [instance]
    }
  }

  /** Where UPDATE gives no rows: the row is read again in the same transaction, by the key that it then has. */
  #andRead(changes: readonly Change[], condition: RowCondition, options: CallOptions | undefined): Promise<object> {
    const instance = this.#instance
    const meta = this.#meta
    const { made, params } = statementOf(meta, changes, condition)
    const { columns } = made
    const key = keyAfter(instance, meta, changes, condition)
    const write = ready(meta, made.text, params)
    const select = meta.texts.get(
      `read${columns.map(({ index }) => index).join()}`,
      () =>
        `select ${columns.map(({ quoted }) => quoted).join(', ')} from ${meta.sqlName} where ${keyText(meta)} for update`,
    )
    const read = ready<object>(meta, select, key, made.spec, this.#learning(columns, lost))
    const both = async (tx: Executor, limits?: CallOptions): Promise<object> => {
      const { rowCount } = await tx.status(write, limits)
      if (rowCount === 0) throw gone(instance)
      return (await tx.first(read, limits)) as object
    }
    const executor = executorOf(instance, meta, options?.on)
    if (executor.transactionHere() !== null) return both(executor, options)
    const { timeoutMs, signal } = options ?? {}
    return executor.transaction((tx) => both(tx), { timeoutMs, signal })
  }
}

/** The key of the row once it is changed, as parameters. @throws {UsageError} where only the server knows it. */
function keyAfter(
  instance: Instance,
  meta: ModelMeta,
  changes: readonly Change[],
  condition: RowCondition,
): readonly unknown[] {
  const name = modelName(instance.constructor)
  if ('sql' in condition)
    throw new UsageError(
      `${name} finds its row by lookup(), and UPDATE of ${meta.dialect.title} does not give the row it changed: use ${name}.update(…).where(…).`,
    )
  return meta.primaryKey.map((column, index) => {
    const change = changes.find((each) => each.column === column)
    if (change === undefined) return condition.key[index]
    if (change.expression === undefined) return column.encode(change.value)
    throw new UsageError(
      `The key of this ${name} is set by SQL, and UPDATE of ${meta.dialect.title} does not give the row it changed: use ${name}.update(…).where(…).`,
    )
  })
}

/** In memory at once; expressions are known only when they come back. */
function remember(memory: Memory, instance: Instance, meta: ModelMeta, values: Values): void {
  for (const key of Object.keys(values)) {
    const value = values[key]
    if (value !== undefined && meta.byKey.has(key) && asExpression(value) === undefined) memory.set(key, value)
  }
  if (meta.properties.size === 0) return
  for (const [key, value] of Object.entries(values)) {
    const property = meta.properties.get(key)
    if (property === undefined || value === undefined || asExpression(value) !== undefined) continue
    memory.set(property.column, property.merged(instance[property.column], value))
  }
}

/** Takes the values that the database has made of the change: fields, and the key of the row if that is among them. */
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

/** The part of the key by which the row was found. */
function keyPart(instance: Instance, { primaryKey }: ModelMeta, column: ModelColumn, index: number): unknown {
  const key = Row.keyOf(instance)
  if (key === undefined || key === null) return instance[column.key]
  return primaryKey.length === 1 ? key : (key as readonly unknown[])[index]
}

/** The columns that were changed, and those that the database computes from them. */
function returned(meta: ModelMeta, changes: readonly Change[]): readonly ModelColumn[] {
  const columns = changes.map(({ column }) => column)
  for (const column of meta.recomputed) if (!columns.includes(column)) columns.push(column)
  return columns
}

function statementOf(
  meta: ModelMeta,
  changes: readonly Change[],
  condition: RowCondition,
): { readonly made: MadeUpdate; readonly params: readonly unknown[] } {
  const shape = 'key' in condition ? fixedShape(changes) : null
  const known = shape === null ? undefined : meta.updates.peek(shape)
  if (known !== undefined) return { made: known, params: paramsOf(meta, changes, condition, shape as Shape) }
  const columns = returned(meta, changes)
  const writer = new Writer(meta.dialect).add(`update ${meta.sqlName} set `)
  writeAssignments(writer, meta, changes)
  writeCondition(writer.add(' where '), meta, condition)
  if (meta.dialect.models.updateReturns) writer.add(` returning ${columns.map(({ quoted }) => quoted).join(', ')}`)
  const { text, params } = writer
  const made = { text, columns, spec: meta.arrayOf(columns) }
  if (shape !== null) meta.updates.keep(shape, made)
  return { made, params }
}

function paramsOf(
  meta: ModelMeta,
  changes: readonly Change[],
  condition: RowCondition,
  shape: Shape,
): readonly unknown[] {
  const values = new OnlyParams()
  if (typeof shape === 'number') addValues(values.params, changes)
  else writeAssignments(values, meta, changes)
  writeCondition(values, meta, condition)
  return values.params
}

/** It was changed just before. */
function lost(instance: object): NoSuchRowError {
  return new NoSuchRowError(
    `The row of this ${modelName(instance.constructor)} was changed, and is not found by its new key: a trigger changed the key, or the column stores another value than was given. Give the key as it is stored.`,
  )
}

export function gone(instance: object): NoSuchRowError {
  return new NoSuchRowError(
    `The row of this ${modelName(instance.constructor)} is gone: it was deleted, or its key was changed.`,
  )
}
