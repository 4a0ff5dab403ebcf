// Recognises values by what they are, never by what they hold: plain data, query builders of other libraries, promises.
// Used where a value could be taken for a parameter or for a query. Data parsed from JSON is always plain data, whatever
// keys it has, because only functions and symbols count here. It imports no builder.
const entityKind = Symbol.for('drizzle:entityKind')

export type Builder = 'Drizzle' | 'Kysely' | 'unknown'

const constructorOf = (value: object): unknown => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return typeof prototype === 'object' && prototype !== null ? prototype.constructor : undefined
}

/** Whether the object is what a literal or `JSON.parse` makes: an object without a class, or an array. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || prototype === Array.prototype
}

/** Whether the object has a method of this name, its own or inherited. */
export function hasMethod(value: object, name: PropertyKey): boolean {
  return typeof (value as Record<PropertyKey, unknown>)[name] === 'function'
}

/** The builder library an object seems to come from: a query, table, column, condition or expression. */
export function builderOf(value: object): Builder | undefined {
  const made = constructorOf(value)
  // Read from the prototype: some of Drizzle's objects are proxies that answer for any property.
  if (typeof made === 'function' && entityKind in made) return 'Drizzle'
  if (hasMethod(value, 'toOperationNode') || (hasMethod(value, 'compile') && hasMethod(value, 'execute')))
    return 'Kysely'
  if (hasMethod(value, 'getSQL') || hasMethod(value, 'toSQL')) return 'Drizzle'
  if (Array.isArray((value as { queryChunks?: unknown }).queryChunks) && !isPlain(value)) return 'Drizzle'
  return hasMethod(value, 'compile') ? 'unknown' : undefined
}
