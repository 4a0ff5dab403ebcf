// How instances are printed: the class and its fields, without what is hidden; depth and circles as of other objects.
import type { inspect, InspectOptions } from 'node:util'
import { isObject } from '../json/property.ts'
import { metaOf, type ModelMeta, modelName } from '../meta/model-meta.ts'

/** The instances that are being printed, from the outermost inward. */
const inside = new Set<object>()

/** What `inspect.custom` of an instance gives. */
export function printed(
  instance: object,
  depth: number | null,
  options: InspectOptions,
  print: typeof inspect,
): string {
  const name = modelName(instance.constructor)
  if (inside.has(instance)) return `[Circular ${name}]`
  if (depth !== null && depth < 0) return `${name} {…}`
  inside.add(instance)
  try {
    return `${name} ${print(shown(instance, metaOf(instance.constructor)), { ...options, depth })}`
  } finally {
    inside.delete(instance)
  }
}

function shown(instance: object, meta: ModelMeta): object {
  const fields = new Map(Object.entries(instance).filter(([key]) => !meta.hidden.has(key)))
  for (const key of meta.concealed) {
    const value: unknown = Reflect.get(instance, key)
    if (!meta.hidden.has(key) && value !== undefined) fields.set(key, withoutHidden(meta, key, value))
  }
  return Object.fromEntries(fields)
}

function withoutHidden(meta: ModelMeta, column: string, value: unknown): unknown {
  if (!isObject(value)) return value
  const hidden = meta.propertiesOf.get(column)?.filter(({ name }) => meta.hidden.has(name)) ?? []
  return Object.fromEntries(Object.entries(value).filter(([key]) => !hidden.some((property) => property.key === key)))
}
