// A linked list, for queues: in the order in which its members came, and any of them can leave at once. A Set would do, but V8 keeps all
// members that were ever in it: each table that a Set has outgrown points to the next one (`OrderedHashTable`), for loops over it that
// are under way. When the collector of new objects has moved one such table to the old ones, it takes all tables behind it for used,
// with all that stood in them, until the old objects are collected too.
/** The place of one value in a list. */
export class ListNode<T> {
  readonly value: T
  /** Null: it was removed. */
  list: LinkedList<T> | null
  before: ListNode<T> | null
  after: ListNode<T> | null = null

  constructor(value: T, list: LinkedList<T>, before: ListNode<T> | null) {
    this.value = value
    this.list = list
    this.before = before
  }
}

export class LinkedList<T> {
  #first: ListNode<T> | null = null
  #last: ListNode<T> | null = null
  #size = 0
  /** The loops that are under way, each by the node that comes next in it. */
  readonly #loops: { next: ListNode<T> | null }[] = []

  get size(): number {
    return this.#size
  }

  /** Undefined: the list is empty. */
  get first(): T | undefined {
    return this.#first?.value
  }

  /** The nth, counted from 0; undefined: there are not so many. */
  at(nth: number): T | undefined {
    let node = this.#first
    while (node !== null && nth-- > 0) node = node.after
    return node?.value
  }

  /** The last of those that fit; undefined: there is none. */
  findLast(fits: (value: T) => boolean): T | undefined {
    let node = this.#last
    while (node !== null && !fits(node.value)) node = node.before
    return node?.value
  }

  /** At the end. */
  add(value: T): ListNode<T> {
    const node = new ListNode(value, this, this.#last)
    if (this.#last === null) this.#first = node
    else this.#last.after = node
    this.#last = node
    this.#size++
    return node
  }

  /** False: it is not in this list. */
  remove(node: ListNode<T> | null): boolean {
    if (node?.list !== this) return false
    const { before, after } = node
    if (before === null) this.#first = after
    else before.after = after
    if (after === null) this.#last = before
    else after.before = before
    for (const loop of this.#loops) if (loop.next === node) loop.next = after
    node.list = node.before = node.after = null
    this.#size--
    return true
  }

  /** A value that is removed meanwhile is passed over. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    const loop = { next: this.#first }
    this.#loops.push(loop)
    try {
      while (loop.next !== null) {
        const { value, after }: ListNode<T> = loop.next
        loop.next = after
        yield value
      }
    } finally {
      this.#loops.splice(this.#loops.indexOf(loop), 1)
    }
  }
}

/** A linked list that finds the node of a value by itself. */
export class LinkedSet<T extends object> {
  readonly #list = new LinkedList<T>()
  readonly #nodes = new WeakMap<T, ListNode<T>>()

  get size(): number {
    return this.#list.size
  }

  get first(): T | undefined {
    return this.#list.first
  }

  has(value: T): boolean {
    return this.#nodes.has(value)
  }

  add(value: T): void {
    if (!this.has(value)) this.#nodes.set(value, this.#list.add(value))
  }

  /** False: it was not there. */
  delete(value: T): boolean {
    this.#list.remove(this.#nodes.get(value) ?? null)
    return this.#nodes.delete(value)
  }

  clear(): void {
    for (const each of this) this.delete(each)
  }

  /** As of a list. */
  [Symbol.iterator](): Iterator<T> {
    return this.#list[Symbol.iterator]()
  }
}
