// How instances of a class are made before a row is assigned to them: by `new`, so that initialisers, `#private` members and
// redeclared fields work. Looked at once per class.
import { UsageError } from '../../errors/index.ts'

interface Concealing {
  readonly columns: readonly { readonly key: string }[]
  readonly properties: ReadonlyMap<string, unknown>
  /** The columns whose values are not shown. */
  readonly concealed: readonly string[]
}

/** @throws {UsageError} when the constructor needs arguments, or a column is a getter without a setter. */
export function makerOf(model: new () => object, meta: Concealing, name: string): () => object {
  const probe = attempt(model, name)
  for (const { key } of meta.columns)
    if (!Object.hasOwn(probe, key) && isReadOnly(probe, key))
      throw new UsageError(
        `${name}.${key} is a getter without a setter, so a row cannot be read into it. Add a setter, or give the getter another name.`,
      )
  const shadowing = [...meta.properties.keys(), ...meta.concealed].filter((key) => Object.hasOwn(probe, key))
  if (shadowing.length === 0) return () => new model()
  return () => uncovered(new model(), shadowing)
}

/** Fields of the class that are declared again hide the accessors of JSON properties and of what is not shown. */
export function uncovered(instance: object, names: Iterable<string>): object {
  for (const name of names) Reflect.deleteProperty(instance, name)
  return instance
}

function attempt(model: new () => object, name: string): object {
  try {
    return new model()
  } catch (cause) {
    throw new UsageError(
      `The constructor of ${name} must work without arguments: rows are assigned to what it makes.`,
      { cause },
    )
  }
}

function isReadOnly(instance: object, key: string): boolean {
  for (let at: object | null = instance; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, key)
    if (found !== undefined) return found.get !== undefined && found.set === undefined
  }
  return false
}
