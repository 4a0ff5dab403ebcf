// What `console.log` and `util.inspect` show of our objects is what their `toString()` says: what they are doing now,
// never a password or a parameter value.
import { inspect } from 'node:util'

const PrintedByToString = class {
  [inspect.custom](): string {
    return (this as { toString(): string }).toString()
  }
}

/** The base of every object users hold: inspected, it prints `toString()`. */
export const Printable: new () => object = PrintedByToString
