// The kinds of Drizzle's objects, told by the names of their classes: in both versions, and in any copy of the package.

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

/** The text of a `StringChunk`: a list of strings on 0.45, a string on 1.0. */
export function chunkText({ value }: { readonly value: unknown }): string {
  return Array.isArray(value) ? value.join('') : String(value)
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

const families = new WeakMap<object, boolean>()

/** Whether a table, view or column of Drizzle's is one of MySQL. */
export function isOfMysql(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as { readonly constructor?: unknown } | null
  const constructor = prototype?.constructor
  if (typeof constructor !== 'function') return false
  let known = families.get(constructor)
  if (known === undefined) {
    known = namesOf(constructor).some((name) => /^MySql(?:Table|Column|View)$/.test(String(name)))
    families.set(constructor, known)
  }
  return known
}

/** Of a class and those it extends, as Drizzle names them. */
export function namesOf(given: object): unknown[] {
  const names: unknown[] = []
  for (let of: object | null = given; of !== null; of = Object.getPrototypeOf(of) as object | null)
    if (Object.hasOwn(of, entityKind)) names.push((of as Record<symbol, unknown>)[entityKind])
  return names
}

/** Drizzle's `is`, by name: it works across copies. */
export function isA(value: object, kind: string): boolean {
  let made: unknown = (Object.getPrototypeOf(value) as object | null)?.constructor
  for (; typeof made === 'function'; made = Object.getPrototypeOf(made))
    if ((made as { [entityKind]?: unknown })[entityKind] === kind) return true
  return false
}

/** The first column, table or view in an expression that is wanted. */
export function findDeclared(value: unknown, wanted: (declared: object) => boolean): object | undefined {
  if (Array.isArray(value)) {
    for (const each of value as readonly unknown[]) {
      const found = findDeclared(each, wanted)
      if (found !== undefined) return found
    }
    return undefined
  }
  switch (kindOf(value)) {
    case 'SQL':
      return findDeclared((value as Chunk).queryChunks, wanted)
    case 'Column':
    case 'Table':
      return wanted(value as object) ? (value as object) : undefined
    case 'Param':
      return findDeclared((value as Chunk).encoder, wanted)
    case 'other':
      return findInside(value as Inside, wanted)
    case 'StringChunk':
    case 'Name':
    case 'data':
      return undefined
  }
}

/** What holds SQL: a subquery, an alias, a builder. */
interface Inside {
  readonly _: { readonly sql?: unknown }
  readonly sql?: unknown
  getSQL?(): unknown
  /** Of builders only. */
  toSQL?(): unknown
}

function findInside(value: Inside, wanted: (declared: object) => boolean): object | undefined {
  if (isA(value, 'View')) return wanted(value) ? value : undefined
  // Proxies, which hide what else they have.
  if (isA(value, 'Subquery')) return findDeclared(value._.sql, wanted)
  if (isA(value, 'SQL.Aliased')) return findDeclared(value.sql, wanted)
  return typeof value.toSQL === 'function' ? findDeclared(value.getSQL?.(), wanted) : undefined
}

function kindOfClass(given: object): Kind {
  const names = namesOf(given)
  const found = names.map((name) => kinds.find((each) => each === name)).find((kind) => kind !== undefined)
  return found ?? (names.length > 0 ? 'other' : 'data')
}
