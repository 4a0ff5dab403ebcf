// A row as nested objects, made by the paths of its columns. The row decoders of all drivers use it.
import type { ColumnSpec, Kinds, RowSpec } from '../sql/compiled.ts'

/** To make code for rows takes as long as reading so many of them. */
export const generateAfter = 500
/** A literal with more members is slow, and so is a function of more statements. */
export const mostMembers = 100

let allowed: boolean | null = null

/** Whether code may be made from text: a policy of the process may forbid it. */
export function mayMakeCode(): boolean {
  if (allowed !== null) return allowed
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- what it is about
    allowed = Function('return true')() === true
  } catch {
    allowed = false
  }
  return allowed
}

/** One object of a row: its members in the order of the columns, and the columns that make it NULL together. */
export interface Branch {
  readonly members: Member[]
  readonly group: number[]
}

interface Member {
  readonly key: string
  readonly column: number
  readonly branch: Branch | null
}

export function build(
  branch: Branch,
  nulls: readonly boolean[],
  values: readonly unknown[],
  make: (() => object) | null,
): unknown {
  const { group, members } = branch
  if (group.length > 0 && group.every((column) => nulls[column])) return null
  const target = (make === null ? {} : make()) as Record<string, unknown>
  for (const { key, column, branch: inner } of members) {
    const value = inner === null ? values[column] : build(inner, nulls, values, null)
    if (key === '__proto__') own(target, key, value)
    else target[key] = value
  }
  return target
}

/** The tree of the paths; an empty path is the column's own position. */
export function rootOf(paths: readonly (readonly string[])[], columns: readonly ColumnSpec[] | null): Branch {
  const root: Branch = { members: [], group: [] }
  paths.forEach((path, column) => {
    const keys = path.length === 0 ? [String(column)] : path
    branchAt(root, keys.slice(0, -1)).members.push({ key: keys.at(-1) ?? '', column, branch: null })
  })
  const groups = new Map<number, number[]>()
  columns?.forEach(({ nullGroup }, column) => {
    if (nullGroup !== undefined) groups.set(nullGroup, [...(groups.get(nullGroup) ?? []), column])
  })
  for (const group of groups.values()) {
    const owners: (readonly string[])[] = group.map((column) => (paths[column] ?? []).slice(0, -1))
    const common = owners.reduce(commonStart)
    branchAt(root, common).group.push(...group)
  }
  return root
}

function branchAt(root: Branch, keys: readonly string[]): Branch {
  let branch = root
  for (const key of keys) {
    let inner = branch.members.find((member) => member.key === key)?.branch
    if (inner === undefined || inner === null) {
      inner = { members: [], group: [] }
      branch.members.push({ key, column: -1, branch: inner })
    }
    branch = inner
  }
  return branch
}

function commonStart(one: readonly string[], other: readonly string[]): readonly string[] {
  const differs = one.findIndex((key, i) => key !== other[i])
  return differs < 0 ? one : one.slice(0, differs)
}

export function own(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
}

/** Makes a row of its values, and of which were NULL before they were mapped. */
export type RowShape = (values: readonly unknown[], nulls: readonly boolean[]) => unknown

/** What the values of a row become, by the specification of its statement and the names of its columns. */
export function shapeOf(names: readonly string[], spec: RowSpec | null): RowShape {
  if (spec === null || (spec.into === 'object' && spec.columns === null)) {
    const make = spec?.make ?? null
    return (values) => {
      const row = (make === null ? {} : make()) as Record<string, unknown>
      for (let i = 0; i < names.length; i++) {
        const name = names[i] as string
        if (name === '__proto__') own(row, name, values[i])
        else row[name] = values[i]
      }
      return row
    }
  }
  if (spec.into === 'scalar') return ([value = null]) => value
  const { kinds } = spec
  if (kinds !== undefined) return (values, nulls) => ofKind(values, nulls, kinds)
  const flat = spec.columns === null || spec.columns.every(({ path }) => path.length === 0)
  if (spec.into === 'array' && flat) return (values) => values
  const root = rootOf(spec.columns?.map(({ path }) => path) ?? [], spec.columns)
  const make = spec.into === 'array' ? (): object => [] : spec.make
  return (values, nulls) => build(root, nulls, values, make)
}

/** The columns of the kind of a row, and its number or the kind. */
function ofKind(values: readonly unknown[], nulls: readonly boolean[], { counts, numbered }: Kinds): unknown[] {
  const before = numbered ? 1 : 0
  const starts = counts.map((_, kind) => counts.slice(0, kind).reduce((sum, count) => sum + count, before))
  const first = nulls.indexOf(false)
  const number = numbered
    ? (values[0] as number)
    : Math.max(
        starts.findLastIndex((start) => start <= first),
        0,
      )
  const kind = number % counts.length
  const start = starts[kind] as number
  return [...values.slice(start, start + (counts[kind] as number)), number]
}
