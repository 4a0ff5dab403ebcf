// Rows from the bytes of DataRows: an interpreted decoder for each (shape, RowSpec, int8 option), cached. Sessions ask for
// one when they know a statement's shape and feed it every DataRow. It knows no connection; a value it cannot read makes it
// throw, and the session fails that one operation.
import { ProtocolError } from '../../../errors/index.ts'
import type { ColumnSpec, Field, RowSpec, Shape } from '../../../sql/compiled.ts'
import { type Bytes, fieldReader, fieldReaderOf, type FieldReader } from './field-reader.ts'
import type { Int8 } from './type-table.ts'

export interface RowDecoder {
  /** The number of fields every row must have. */
  readonly width: number
  /** @param at Where the length of the first field is. @throws {ProtocolError} a misfit when the fields do not end at `end`. */
  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void
}

type Target = Record<string, unknown>

const cachedShapes = 2000
const unspecified = new Map<string, RowDecoder>()
const specified = new WeakMap<RowSpec, Map<string, RowDecoder>>()

/** The decoder for rows of that shape. Of several columns with one name the last wins. */
export function decoderFor(shape: Shape, spec: RowSpec | null, int8: Int8): RowDecoder {
  let known = unspecified
  if (spec !== null) {
    known = specified.get(spec) ?? new Map<string, RowDecoder>()
    specified.set(spec, known)
  }
  const key = `${int8} ${shape.key}`
  let decoder = known.get(key)
  if (decoder === undefined) {
    decoder = makeDecoder(shape.fields, spec, int8)
    if (known.size >= cachedShapes) known.clear()
    known.set(key, decoder)
  }
  return decoder
}

/** Equal keys, equal decoders: names and types in order. */
export function shapeKey(fields: readonly Field[]): string {
  let key = ''
  for (const { name, type } of fields) key += `${type} ${name.length} ${name},`
  return key
}

function makeDecoder(fields: readonly Field[], spec: RowSpec | null, int8: Int8): RowDecoder {
  if (spec === null) return new PlainRows(fields, int8)
  const { into, columns, make, fold, read } = spec
  if (columns !== null && columns.length !== fields.length) {
    throw new ProtocolError(`The statement has ${fields.length} columns, its row specification ${columns.length}`)
  }
  const readers = fields.map(({ type }, i) =>
    read === undefined || columns !== null ? fieldReader(type, columns?.[i], int8) : fieldReaderOf(read(type)),
  )
  if (into === 'scalar') return new ScalarRows(fields.length, readers, fold)
  if (into === 'array' && (columns === null || columns.every(({ path }) => path.length === 0)))
    return new ArrayRows(readers, fold)
  const paths = columns?.map(({ path }) => path) ?? fields.map(({ name }) => [name])
  if (
    into === 'object' &&
    make !== null &&
    paths.every(isPlainName) &&
    columns?.every(({ nullGroup }) => nullGroup === undefined) === true
  )
    return new MadeRows(
      readers,
      paths.map(([name]) => name as string),
      make,
      fold,
    )
  return new BuiltRows(readers, rootOf(paths, columns), into === 'array' ? () => [] : make, fold)
}

/** Plain objects, named as the fields come: the path of nearly every statement. */
class PlainRows implements RowDecoder {
  readonly width: number
  readonly #names: readonly string[]
  readonly #readers: readonly FieldReader[]
  readonly #hasProto: boolean
  /** Holds the hidden class of a row: while it lives, rows grow along its transitions and stay fast however wide. */
  readonly template: unknown

  constructor(fields: readonly Field[], int8: Int8) {
    this.width = fields.length
    this.#names = fields.map(({ name }) => name)
    this.#readers = fields.map(({ type }) => fieldReader(type, undefined, int8))
    this.#hasProto = this.#names.includes('__proto__')
    this.template = JSON.parse(`{${this.#names.map((name) => `${JSON.stringify(name)}:null`).join(',')}}`)
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    const row: Target = {}
    if (this.#hasProto) own(row, '__proto__', null)
    readMembers(row, this.#names, this.#readers, bytes, at, end)
    rows.push(row)
  }
}

type Fold = RowSpec['fold']

class ScalarRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #fold: Fold

  constructor(width: number, readers: readonly FieldReader[], fold: Fold) {
    this.width = width
    this.#readers = readers.slice(0, 1)
    this.#fold = fold
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    const last = this.width > 1 ? at + 4 + Math.max(int32(bytes, at), 0) : end
    const [value = null] = readAll(this.#readers, bytes, at, Math.min(last, end))
    add(value, rows, this.#fold)
  }
}

class ArrayRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #fold: Fold

  constructor(readers: readonly FieldReader[], fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#fold = fold
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    add(readAll(this.#readers, bytes, at, end), rows, this.#fold)
  }
}

function isPlainName(path: readonly string[]): boolean {
  return path.length === 1 && path[0] !== '__proto__'
}

/** Objects made by `make`, one member for each field: rows of a model. */
class MadeRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #names: readonly string[]
  readonly #make: () => object
  readonly #fold: Fold

  constructor(readers: readonly FieldReader[], names: readonly string[], make: () => object, fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#names = names
    this.#make = make
    this.#fold = fold
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    const target = this.#make() as Target
    readMembers(target, this.#names, this.#readers, bytes, at, end)
    add(target, rows, this.#fold)
  }
}

/** Objects made by `make`, nested by the columns' paths, NULL where a whole group is NULL. */
class BuiltRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #root: Branch
  readonly #make: (() => object) | null
  readonly #fold: Fold

  constructor(readers: readonly FieldReader[], root: Branch, make: (() => object) | null, fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#root = root
    this.#make = make
    this.#fold = fold
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    const nulls: boolean[] = []
    const values = readAll(this.#readers, bytes, at, end, nulls)
    add(build(this.#root, nulls, values, this.#make), rows, this.#fold)
  }
}

function readMembers(
  target: Target,
  names: readonly string[],
  readers: readonly FieldReader[],
  bytes: Bytes,
  start: number,
  end: number,
): void {
  let at = start
  for (let i = 0; i < names.length; i++) {
    const length = int32(bytes, at)
    at += 4
    if (length < 0) target[names[i] as string] = null
    else {
      const from = at
      at += length
      if (at > end) throw misfit()
      target[names[i] as string] = (readers[i] as FieldReader)(bytes, from, at)
    }
  }
  if (at !== end) throw misfit()
}

/** `nulls` is told which fields are NULL, since a reader may make null of others. */
function readAll(readers: readonly FieldReader[], bytes: Bytes, start: number, end: number, nulls?: boolean[]) {
  const values: unknown[] = []
  let at = start
  for (let i = 0; i < readers.length; i++) {
    const length = int32(bytes, at)
    at += 4
    if (nulls !== undefined) nulls.push(length < 0)
    if (length < 0) values.push(null)
    else {
      const from = at
      at += length
      if (at > end) throw misfit()
      values.push((readers[i] as FieldReader)(bytes, from, at))
    }
  }
  if (at !== end) throw misfit()
  return values
}

function int32(bytes: Bytes, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

const misfitText = 'a row that does not fit the description of its columns'

/** The fields of a row are not as many, or not as long, as they have to be. */
export function misfit(): ProtocolError {
  return new ProtocolError(misfitText)
}

export function isMisfit(error: unknown): boolean {
  return error instanceof ProtocolError && error.message === misfitText
}

function add(row: unknown, rows: unknown[], fold: Fold): void {
  if (fold === undefined) rows.push(row)
  else fold(rows, row)
}

/** One object of a row: its members in the order of the columns, and the columns that make it NULL together. */
interface Branch {
  readonly members: Member[]
  readonly group: number[]
}

interface Member {
  readonly key: string
  readonly column: number
  readonly branch: Branch | null
}

function build(
  branch: Branch,
  nulls: readonly boolean[],
  values: readonly unknown[],
  make: (() => object) | null,
): unknown {
  const { group, members } = branch
  if (group.length > 0 && group.every((column) => nulls[column])) return null
  const target = (make === null ? {} : make()) as Target
  for (const { key, column, branch: inner } of members) {
    const value = inner === null ? values[column] : build(inner, nulls, values, null)
    if (key === '__proto__') own(target, key, value)
    else target[key] = value
  }
  return target
}

/** The tree of the paths; an empty path is the column's own position. */
function rootOf(paths: readonly (readonly string[])[], columns: readonly ColumnSpec[] | null): Branch {
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

function own(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
}
