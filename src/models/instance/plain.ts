// Instances as plain objects: what `toJSON` and `plain` give. Columns and JSON properties, without what is hidden, and what a
// loader has attached, whatever it found; of other fields of the class, the instances.
import { UnknownJsonPropertyError, UsageError } from '../../errors/index.ts'
import { isObject, type JsonProperty } from '../json/property.ts'
import { isModel, metaOf, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'

type Target = Record<string, unknown>

/** The objects that are being made plain, from the outermost inward. */
const inside = new Set<object>()

/**
 * A column that has properties is replaced by them. What is not loaded is left out.
 * @throws {UnknownJsonPropertyError} when such a column holds a key that is no property. (GINO: `to_dict`.)
 * @throws {UsageError} when it holds itself.
 */
export function jsonOf(instance: object): Target {
  return within(instance, () => {
    const meta = metaOf(instance.constructor)
    const source = instance as Readonly<Target>
    const target: Target = {}
    for (const { key } of meta.columns) {
      if (meta.hidden.has(key)) continue
      const value = source[key]
      const properties = meta.propertiesOf.get(key)
      if (value === undefined) continue
      if (properties === undefined) target[key] = jsonValue(value)
      else addProperties(target, source, meta, key, properties)
    }
    addAttached(target, source, meta)
    return target
  })
}

function addProperties(
  target: Target,
  source: Readonly<Target>,
  meta: ModelMeta,
  column: string,
  properties: readonly JsonProperty[],
): void {
  const stored = source[column]
  if (isObject(stored)) {
    const unknown = Object.keys(stored).filter((key) => !properties.some((property) => property.key === key))
    if (unknown.length > 0)
      throw new UnknownJsonPropertyError(
        `${meta.sqlName}: '${column}' holds ${unknown.map((key) => JSON.stringify(key)).join(', ')}, which is no property of the model. Declare it under json, or hide the column with hidden: ['${column}'].`,
      )
  }
  for (const { name } of properties) if (!meta.hidden.has(name)) target[name] = source[name]
}

/** Members that are methods have been called with what was found. */
function addAttached(target: Target, source: Readonly<Target>, meta: ModelMeta): void {
  const loaded = Row.loaded(source)
  for (const key of loaded) if (typeof source[key] !== 'function') target[key] = jsonValue(plainOf(source[key]))
  for (const key of Object.keys(source))
    if (!meta.byKey.has(key) && !meta.properties.has(key) && !loaded.includes(key) && isInstances(source[key]))
      target[key] = plainOf(source[key])
}

/** JSON has no bigint, no infinity and no NaN: they are text, as PostgreSQL's own JSON has them. */
function jsonValue(value: unknown): unknown {
  if (isNoJson(value)) return String(value)
  return Array.isArray(value) && value.some(hasNoJson) ? value.map(jsonValue) : value
}

function isNoJson(value: unknown): value is bigint | number {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))
}

function hasNoJson(value: unknown): boolean {
  return isNoJson(value) || (Array.isArray(value) && value.some(hasNoJson))
}

/** An instance, or a list of them. */
function isInstances(value: unknown): boolean {
  return isInstance(value) || (Array.isArray(value) && value.length > 0 && value.every(isInstance))
}

export function isInstance(value: unknown): value is object {
  return typeof value === 'object' && value !== null && isModel(value.constructor)
}

/** Instances within lists and plain objects too. Everything else stays as it is. @throws {UsageError} when it holds itself. */
export function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return within(value, () => value.map(plainOf))
  if (isInstance(value)) return (value as unknown as { toJSON(): unknown }).toJSON()
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value
  return within(value, () => Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plainOf(member)])))
}

function within<T>(value: object, work: () => T): T {
  if (inside.has(value)) throw circle(value)
  inside.add(value)
  try {
    return work()
  } finally {
    inside.delete(value)
  }
}

function circle(value: object): UsageError {
  const path = [...inside].slice([...inside].indexOf(value)).filter(isInstance)
  const names = [...path, ...(isInstance(value) ? [value] : [])].map(({ constructor }) => modelName(constructor))
  return new UsageError(
    `JSON has no circles, but here ${names.length > 0 ? `a ${names[0]} holds itself (${names.join(' → ')})` : 'an object holds itself'}. Leave one side out, by a toJSON() of the class or by plain() of its parts.`,
  )
}
