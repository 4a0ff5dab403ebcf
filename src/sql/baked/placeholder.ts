// What stands in a query for a value that is given later. Made while a query is baked, found by plans among the parameters,
// and nothing that could be sent: whoever computes with it is told at once.
import { UsageError } from '../../errors/index.ts'
import { Printable } from '../../util/printable.ts'

/** Drizzle knows its classes by this name, across copies of itself: so its conditions and columns take ours as one of its own. */
const entityKind: symbol = Symbol.for('drizzle:entityKind')

export class Placeholder extends Printable {
  readonly name: string
  /** What a builder does to the value before it is sent. */
  readonly encode: ((value: unknown) => unknown) | null

  constructor(name: string, encode: ((value: unknown) => unknown) | null = null) {
    super()
    this.name = name
    this.encode = encode
  }

  toJSON(): never {
    throw unknownYet(this.name)
  }

  [Symbol.toPrimitive](): never {
    throw unknownYet(this.name)
  }

  static {
    Object.defineProperty(this, entityKind, { value: 'Placeholder' })
  }

  override toString(): string {
    return `:${this.name}`
  }
}

/** Gives a placeholder for whatever member is read. */
export function placeholders(): object {
  const made = new Map<string, Placeholder>()
  return new Proxy(Object.freeze({}), {
    get(_, name) {
      if (typeof name === 'symbol')
        throw new UsageError('The parameters of a baked query have names: take them one by one, as in (p) => p.id.')
      let placeholder = made.get(name)
      if (placeholder === undefined) made.set(name, (placeholder = new Placeholder(name)))
      return placeholder
    },
  })
}

function unknownYet(name: string): UsageError {
  return new UsageError(
    `The value of :${/^\w{1,40}$/.test(name) ? name : '…'} is not known while the query is being baked, so nothing can be computed with it. ` +
      'Compute in SQL, or before the value is given.',
  )
}
