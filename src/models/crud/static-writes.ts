// `User.update({ … }).where(…)`: one UPDATE of many rows.
import type { ModelLike, ModelMeta } from '../meta/model-meta.ts'
import type { Shape } from '../statement/ready.ts'
import type { Sink } from '../statement/sink.ts'
import { addValues, type Change, changesOf, fixedShape, writeAssignments } from '../values/changes.ts'
import { asValues, checkKeys, later, type Values, withoutUndefined, writable } from '../values/given.ts'
import { changed } from '../values/hooks.ts'
import type { ModelHooks } from '../types/values.ts'
import { type Beginning, ManyRows, type Rows } from '../statement/many-rows.ts'

export class UpdateRows extends ManyRows<UpdateRows> {
  readonly #values: Values

  private constructor(model: ModelLike, values: Values, rows?: Rows) {
    super(model, 'update', rows)
    this.#values = values
  }

  static of(model: ModelLike, given: unknown): UpdateRows {
    const meta = writable(model, 'update()')
    const values = asValues(given, 'update()')
    checkKeys(meta, values)
    return new UpdateRows(model, values)
  }

  set(given: unknown): UpdateRows {
    const values = later(this.meta, this.#values, asValues(given, 'set()'))
    checkKeys(this.meta, values)
    return new UpdateRows(this.model, values, this.rows)
  }

  protected override with(rows: Rows): UpdateRows {
    return new UpdateRows(this.model, this.#values, rows)
  }

  protected override begin(): Beginning | null | Promise<Beginning | null> {
    const { beforeUpdate } = this.meta.hooks
    return beforeUpdate === undefined ? this.#setting(this.#values) : this.#hooked(beforeUpdate)
  }

  async #hooked(hook: NonNullable<ModelHooks['beforeUpdate']>): Promise<Setting | null> {
    const copy = { ...withoutUndefined(this.#values) }
    if (Object.keys(copy).length === 0) return null
    return this.#setting(changed(await hook(copy, undefined), copy, 'update()'))
  }

  #setting(values: Values): Setting | null {
    const changes = changesOf(this.meta, values)
    return changes.length === 0 ? null : new Setting(this.meta, changes)
  }
}

class Setting implements Beginning {
  readonly shape: Shape | null
  readonly #meta: ModelMeta
  readonly #changes: readonly Change[]

  constructor(meta: ModelMeta, changes: readonly Change[]) {
    this.shape = fixedShape(changes)
    this.#meta = meta
    this.#changes = changes
  }

  write(sink: Sink): void {
    sink.add(`update ${this.#meta.sqlName} set `)
    writeAssignments(sink, this.#meta, this.#changes)
  }

  addParams(params: unknown[]): void {
    addValues(params, this.#changes)
  }
}

export class DeleteRows extends ManyRows<DeleteRows> {
  constructor(model: ModelLike, rows?: Rows) {
    super(model, 'delete', rows)
    writable(model, 'delete()')
  }

  protected override with(rows: Rows): DeleteRows {
    return new DeleteRows(this.model, rows)
  }

  protected override begin(): Beginning {
    const { sqlName } = this.meta
    return { shape: 0, write: (sink) => void sink.add(`delete from ${sqlName}`), addParams() {} }
  }
}
