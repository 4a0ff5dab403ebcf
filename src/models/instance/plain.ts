// Instances as plain objects, for `toJSON` and `plain`. They have the columns and JSON properties that are not hidden, everything that a
// loader attached, and the instances in other fields of the class.
import { UnknownJsonPropertyError, UsageError } from '../../errors/index.ts'
import { isObject, type JsonProperty } from '../json/property.ts'
import { isModel, metaOf, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import type { Plain } from '../types/plain.ts'
import type { inspect, InspectOptions } from 'node:util'

type Target = Record<string, unknown>

/** The objects that are being made plain, from the outermost inward. */
const inside = new Set<object>()

/**
 * A column that has properties is replaced by them. Columns that are not loaded are left out.
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
        `${meta.sqlName}: '${column}' holds ${unknown.map((key) => JSON.stringify(key)).join(', ')}, which is not a property of the model. Declare it under json, or hide the column with hidden: ['${column}'].`,
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

function isInstance(value: unknown): value is object {
  return typeof value === 'object' && value !== null && isModel(value.constructor)
}

/** Instances within lists and plain objects too. Everything else stays as it is. @throws {UsageError} when it holds itself. */
function plainOf(value: unknown): unknown {
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
    `JSON has no circles, but ${names.length > 0 ? `a ${names[0]} holds itself (${names.join(' → ')})` : 'an object holds itself'}. Leave one side out, by a toJSON() of the class or by plain() of its parts.`,
  )
}

/**
 * Instances as plain objects, which frameworks can hand from server to client components: an instance, a list of them, or an
 * object that holds some. Dates stay dates. A function and no method, because a method would take the name of a column.
 * @throws {UnknownJsonPropertyError} as `toJSON()`.
 */
export function plain<T>(value: T): Plain<T> {
  return plainOf(value) as Plain<T>
}

/** The instances that are being printed, from the outermost inward. */
const printing = new Set<object>()

/** The text that `inspect.custom` of an instance gives. */
export function printed(
  instance: object,
  depth: number | null,
  options: InspectOptions,
  print: typeof inspect,
): string {
  const name = modelName(instance.constructor)
  if (printing.has(instance)) return `[Circular ${name}]`
  if (depth !== null && depth < 0) return `${name} {…}`
  printing.add(instance)
  try {
    return `${name} ${print(shown(instance, metaOf(instance.constructor)), { ...options, depth })}`
  } finally {
    printing.delete(instance)
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
