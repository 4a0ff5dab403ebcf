// Conversions for types that a database has only with an extension. Apart from other conversions: `genever/types` imports it, and loads
// nothing of Node.
const extensions = new WeakMap<object, readonly string[]>()

/** Under these names the conversion is allowed to have nothing to do. */
export function ofExtension<C extends object>(names: readonly string[], conversion: C): C {
  extensions.set(conversion, names)
  return conversion
}

export function isOfExtension(conversion: object, name: string): boolean {
  return extensions.get(conversion)?.includes(name) === true
}
