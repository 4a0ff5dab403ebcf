// What rows of one result share while they become objects: the objects made so far by key, and the context of callables.

/** An object that further rows may add to. */
export interface Entry {
  readonly instance: Record<string, unknown>
  /** Its lists by name. */
  readonly lists: [string, unknown[]][]
  /** What it has been given to: the objects that have it, or the result itself. */
  readonly owners: Set<object>
}

export class Fold {
  /** The rows of one object of the query come together: when the next one begins, the others are done and forgotten. */
  readonly consecutive: boolean
  /** The second argument of callables: one object for a result. */
  readonly context: object = {}
  /** Whether the object read last is a new one to its owner. */
  fresh = true
  readonly #groups = new Map<object, WeakMap<object, Map<unknown, Entry>>>()

  constructor(consecutive = false) {
    this.consecutive = consecutive
  }

  /** The objects of one loader inside of one owner. */
  groups(loader: object, owner: object): Map<unknown, Entry> {
    let owners = this.#groups.get(loader)
    if (owners === undefined) this.#groups.set(loader, (owners = new WeakMap()))
    let groups = owners.get(owner)
    if (groups === undefined) owners.set(owner, (groups = new Map()))
    return groups
  }
}
