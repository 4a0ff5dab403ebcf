// What the slot needs to know of a handle: a connection or a transaction the user holds.
import type { QueryDefaults } from './query/query-options.ts'
import type { Link } from './context/chain.ts'

export interface Handle {
  /** The chain of the code that made the handle. */
  readonly chain: Link | undefined
  /** Defaults for the statements sent through it. */
  defaultsHere(): QueryDefaults | null
}
