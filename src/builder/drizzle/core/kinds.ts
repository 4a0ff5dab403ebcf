// What Drizzle's objects are, told by the names of their classes: both versions, and any copy of them.

const kinds = ['StringChunk', 'SQL', 'Name', 'Column', 'Param', 'Table', 'other'] as const
/** `data` is no class of Drizzle's. */
export type Kind = (typeof kinds)[number] | 'data'

export interface Chunk {
  readonly value: unknown
  readonly queryChunks: readonly unknown[]
  readonly shouldInlineParams?: boolean
  readonly encoder: Encoder
  readonly name: string
  readonly table: object
  readonly isAlias?: boolean
}

export interface Encoder {
  readonly columnType?: string
  mapToDriverValue(value: unknown): unknown
}

const entityKind = Symbol.for('drizzle:entityKind')
const classes = new WeakMap<object, Kind>()

export function kindOf(value: unknown): Kind {
  if (typeof value !== 'object' || value === null) return 'data'
  // Subqueries are proxies, which hide what they are from all but this.
  const prototype = Object.getPrototypeOf(value) as { readonly constructor?: unknown } | null
  const constructor = prototype?.constructor
  if (typeof constructor !== 'function') return 'data'
  let kind = classes.get(constructor)
  if (kind === undefined) {
    kind = kindOfClass(constructor)
    classes.set(constructor, kind)
  }
  return kind
}

function kindOfClass(given: object): Kind {
  let kind: Kind = 'data'
  for (let of: object | null = given; of !== null; of = Object.getPrototypeOf(of) as object | null) {
    if (!Object.hasOwn(of, entityKind)) continue
    const name = (of as Record<symbol, unknown>)[entityKind]
    const found = kinds.find((each) => each === name)
    if (found !== undefined) return found
    kind = 'other'
  }
  return kind
}
