// Shared by the rows of one result while they become objects: the context of callables, and objects of equal keys.
import type { ModelNode } from './node.ts'

export class Shared {
  /** The second argument of callables: one object for a result. */
  readonly context: object = {}
  readonly #objects = new Map<ModelNode, Map<string, object>>()

  /** The object of a loader with that key, which the server wrote; made the first time. A key with NULL is no other's. */
  of(node: ModelNode, key: readonly unknown[], make: () => object): object {
    if (key.includes(null)) return make()
    let objects = this.#objects.get(node)
    if (objects === undefined) this.#objects.set(node, (objects = new Map()))
    const text = JSON.stringify(key)
    const known = objects.get(text)
    if (known !== undefined) return known
    const made = make()
    objects.set(text, made)
    return made
  }
}
