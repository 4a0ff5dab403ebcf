// What is made once for each shape of a statement and kept: texts, row specifications. A shape is a set of columns, so it
// comes from callers: bounded. Holds no values.

const most = 500

export class Shapes<T> {
  readonly #known = new Map<string, T>()

  peek(shape: string): T | undefined {
    return this.#known.get(shape)
  }

  get(shape: string, make: () => T): T {
    const known = this.#known.get(shape)
    if (known !== undefined) return known
    if (this.#known.size >= most) this.#known.clear()
    const made = make()
    this.#known.set(shape, made)
    return made
  }
}
