// A line of those who wait: in the order in which they came, and any of them may leave it. A Set would do, but V8 keeps all who were in
// it: each table that a Set has outgrown points to the next one (`OrderedHashTable`), for loops over it that are under way. When the
// collector of new objects has moved one such table to the old ones, it takes all tables behind it for used, with all that stood in
// them, until the old objects are collected too.

/** A place in a line. */
export class Standing<T> {
  readonly of: T
  /** Null: it has left. */
  line: Line<T> | null
  before: Standing<T> | null
  after: Standing<T> | null = null

  constructor(of: T, line: Line<T>, before: Standing<T> | null) {
    this.of = of
    this.line = line
    this.before = before
  }
}

export class Line<T> {
  #first: Standing<T> | null = null
  #last: Standing<T> | null = null
  #size = 0
  /** The loops that are under way, each by who comes next in it. */
  readonly #loops: { next: Standing<T> | null }[] = []

  get size(): number {
    return this.#size
  }

  /** Undefined: nobody is there. */
  get first(): T | undefined {
    return this.#first?.of
  }

  /** The nth, counted from 0; undefined: there are not so many. */
  at(nth: number): T | undefined {
    let standing = this.#first
    while (standing !== null && nth-- > 0) standing = standing.after
    return standing?.of
  }

  /** At the end. */
  add(of: T): Standing<T> {
    const standing = new Standing(of, this, this.#last)
    if (this.#last === null) this.#first = standing
    else this.#last.after = standing
    this.#last = standing
    this.#size++
    return standing
  }

  /** False: it is not in this line. */
  remove(standing: Standing<T> | null): boolean {
    if (standing?.line !== this) return false
    const { before, after } = standing
    if (before === null) this.#first = after
    else before.after = after
    if (after === null) this.#last = before
    else after.before = before
    for (const loop of this.#loops) if (loop.next === standing) loop.next = after
    standing.line = standing.before = standing.after = null
    this.#size--
    return true
  }

  /** Anybody may leave meanwhile, and is passed over then. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    const loop = { next: this.#first }
    this.#loops.push(loop)
    try {
      while (loop.next !== null) {
        const { of, after }: Standing<T> = loop.next
        loop.next = after
        yield of
      }
    } finally {
      this.#loops.splice(this.#loops.indexOf(loop), 1)
    }
  }
}

/** A line of objects that do not know their place in it. */
export class Roll<T extends object> {
  readonly #line = new Line<T>()
  readonly #places = new WeakMap<T, Standing<T>>()

  get size(): number {
    return this.#line.size
  }

  has(of: T): boolean {
    return this.#places.has(of)
  }

  add(of: T): void {
    if (!this.has(of)) this.#places.set(of, this.#line.add(of))
  }

  /** False: it was not there. */
  delete(of: T): boolean {
    this.#line.remove(this.#places.get(of) ?? null)
    return this.#places.delete(of)
  }

  clear(): void {
    for (const each of this) this.delete(each)
  }

  /** As of a line. */
  [Symbol.iterator](): Iterator<T> {
    return this.#line[Symbol.iterator]()
  }
}
