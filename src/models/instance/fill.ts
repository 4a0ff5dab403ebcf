// `new User({ name: 'Ada' })`: values given to a constructor.
import { checkKeys, asValues } from '../values/given.ts'
import type { ModelMeta } from '../meta/model-meta.ts'

/** @throws {UnknownColumnError} for keys that the model has not. */
export function fill(instance: object, meta: ModelMeta, values: object): void {
  const given = asValues(values, 'A model')
  checkKeys(meta, given, true)
  // Columns first: properties are kept in them.
  for (const key of Object.keys(given)) if (meta.byKey.has(key)) Reflect.set(instance, key, given[key])
  for (const key of Object.keys(given)) if (meta.properties.has(key)) Reflect.set(instance, key, given[key])
}
