// Instances as plain objects: what `toJSON` and `plain` give. Columns and JSON properties, without what is hidden, and the
// instances that a loader has attached; other fields of the class are its own affair.
import { UnknownJsonPropertyError } from '../../errors/index.ts'
import { isObject, type JsonProperty } from '../json/property.ts'
import { isModel, metaOf, type ModelMeta } from '../meta/model-meta.ts'

type Target = Record<string, unknown>

/**
 * A column that has properties is replaced by them. What is not loaded is left out.
 * @throws {UnknownJsonPropertyError} when such a column holds a key that is no property. (GINO: `to_dict`.)
 */
export function jsonOf(instance: object): Target {
  const meta = metaOf(instance.constructor)
  const source = instance as Readonly<Target>
  const target: Target = {}
  for (const { key } of meta.columns) {
    if (meta.hidden.has(key)) continue
    const value = source[key]
    const properties = meta.propertiesOf.get(key)
    if (value === undefined) continue
    if (properties === undefined) put(target, key, value)
    else addProperties(target, source, meta, key, properties)
  }
  for (const key of Object.keys(source))
    if (!meta.byKey.has(key) && !meta.properties.has(key) && isLoaded(source[key]))
      put(target, key, plainOf(source[key]))
  return target
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
  for (const { name } of properties) if (!meta.hidden.has(name)) put(target, name, source[name])
}

function put(target: Target, key: string, value: unknown): void {
  target[key] = value
}

/** What a loader attaches: an instance, or a list of them. */
function isLoaded(value: unknown): boolean {
  return isInstance(value) || (Array.isArray(value) && value.length > 0 && value.every(isInstance))
}

export function isInstance(value: unknown): value is object {
  return typeof value === 'object' && value !== null && isModel(value.constructor)
}

/** Instances within lists and plain objects too. Everything else stays as it is. */
export function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOf)
  if (isInstance(value)) return (value as unknown as { toJSON(): unknown }).toJSON()
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plainOf(member)]))
}
