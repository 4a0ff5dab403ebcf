// How instances of a class are made before a row is assigned to them: by `new`, so that initialisers, `#private` members and
// redeclared fields work. Looked at once per class.
import { UsageError } from '../../errors/index.ts'
import type { ModelLike, ModelMeta } from './model-meta.ts'

/** @throws {UsageError} when the constructor needs arguments, or a column is a getter without a setter. */
export function makerOf(model: ModelLike, meta: ModelMeta): () => object {
  const probe = attempt(model)
  for (const { key } of meta.columns)
    if (!Object.hasOwn(probe, key) && isReadOnly(probe, key))
      throw new UsageError(
        `${model.name}.${key} is a getter without a setter, so a row cannot be read into it. Add a setter, or give the getter another name.`,
      )
  const shadowing = [...meta.properties.keys()].filter((name) => Object.hasOwn(probe, name))
  if (shadowing.length === 0) return () => new model()
  return () => uncovered(new model(), shadowing)
}

/** Fields of the class that are declared again hide the accessors of JSON properties. */
export function uncovered(instance: object, properties: Iterable<string>): object {
  for (const name of properties) Reflect.deleteProperty(instance, name)
  return instance
}

function attempt(model: ModelLike): object {
  try {
    return new model()
  } catch (cause) {
    throw new UsageError(
      `The constructor of ${model.name} must work without arguments: rows are assigned to what it makes.`,
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
