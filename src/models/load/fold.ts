// What rows of one result share while they become objects: the objects made so far by key, and the context of callables.

/** An object that further rows may add to. */
export interface Entry {
  readonly instance: Record<string, unknown>
  /** Its lists by name. */
  readonly lists: [string, unknown[]][]
  /** What it has been given to: the objects that have it, or the result itself. Null: only what it was made for. */
  readonly owners: Set<object> | null
}

/** The objects of a loader by what they belong to; the owner of the row before is most often asked for again. */
class Groups {
  readonly #byOwner = new WeakMap<object, Map<unknown, Entry>>()
  #owner: object | null = null
  #last: Map<unknown, Entry> = new Map()

  of(owner: object): Map<unknown, Entry> {
    if (owner === this.#owner) return this.#last
    let groups = this.#byOwner.get(owner)
    if (groups === undefined) this.#byOwner.set(owner, (groups = new Map()))
    this.#owner = owner
    this.#last = groups
    return groups
  }
}

export class Fold {
  /** The rows of one object of the query come together: when the next one begins, the others are done and forgotten. */
  readonly consecutive: boolean
  /** The second argument of callables: one object for a result. */
  readonly context: object = {}
  /** Whether the object read last is a new one to its owner. */
  fresh = true
  readonly #groups = new Map<object, Groups>()

  constructor(consecutive = false) {
    this.consecutive = consecutive
  }

  /** The objects of one loader inside of one owner. */
  groups(loader: object, owner: object): Map<unknown, Entry> {
    let groups = this.#groups.get(loader)
    if (groups === undefined) this.#groups.set(loader, (groups = new Groups()))
    return groups.of(owner)
  }
}
