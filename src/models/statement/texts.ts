// SQL texts by shape: a statement of a model is written once for each set of columns and kept. Bounded, because the sets
// come from callers. Holds no values.

const most = 500

export class Texts {
  readonly #known = new Map<string, string>()

  /** The text of a shape, which `write` makes the first time. */
  get(shape: string, write: () => string): string {
    const known = this.#known.get(shape)
    if (known !== undefined) return known
    if (this.#known.size >= most) this.#known.clear()
    const text = write()
    this.#known.set(shape, text)
    return text
  }
}
