// Rows from text fields: an interpreted decoder for each (shape, RowSpec, int8 option), cached. Sessions ask for one when
// they know a statement's shape and feed it every DataRow. It reads no bytes and knows no connection; a value it cannot
// read makes it throw, and the session fails that one operation.
import { ProtocolError } from '../../errors/index.ts'
import type { ColumnSpec, Field, RowSpec, Shape } from '../../sql/compiled.ts'
import { type Int8, type Reader, readerFor } from './type-table.ts'

/** The fields of one DataRow. */
export type TextRow = readonly (string | null)[]

export interface RowDecoder {
  /** The number of fields every row must have. */
  readonly width: number
  push(fields: TextRow, rows: unknown[]): void
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
    read === undefined || columns !== null ? columnReader(type, columns?.[i], int8) : read(type),
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

/** What `mode` gives goes through `map`; NULL goes through neither. */
function columnReader(type: number, column: ColumnSpec | undefined, int8: Int8): Reader | null {
  const read = readerFor(type, column?.mode ?? 'default', int8)
  const map = column?.map
  if (map === undefined) return read
  return read === null ? map : (text) => map(read(text))
}

/** Plain objects, named as the fields come: the path of nearly every statement. */
class PlainRows implements RowDecoder {
  readonly width: number
  readonly #names: readonly string[]
  readonly #readers: readonly (Reader | null)[]
  readonly #hasProto: boolean
  /** Holds the hidden class of a row: while it lives, rows grow along its transitions and stay fast however wide. */
  readonly template: unknown

  constructor(fields: readonly Field[], int8: Int8) {
    this.width = fields.length
    this.#names = fields.map(({ name }) => name)
    this.#readers = fields.map(({ type }) => readerFor(type, 'default', int8))
    this.#hasProto = this.#names.includes('__proto__')
    this.template = JSON.parse(`{${this.#names.map((name) => `${JSON.stringify(name)}:null`).join(',')}}`)
  }

  push(fields: TextRow, rows: unknown[]): void {
    const names = this.#names
    const readers = this.#readers
    const row: Target = {}
    if (this.#hasProto) own(row, '__proto__', null)
    for (let i = 0; i < names.length; i++) {
      const text = fields[i] as string | null
      const read = readers[i] as Reader | null
      row[names[i] as string] = text === null || read === null ? text : read(text)
    }
    rows.push(row)
  }
}

type Fold = RowSpec['fold']

class ScalarRows implements RowDecoder {
  readonly width: number
  readonly #read: Reader | null
  readonly #fold: Fold

  constructor(width: number, readers: readonly (Reader | null)[], fold: Fold) {
    this.width = width
    this.#read = readers[0] ?? null
    this.#fold = fold
  }

  push(fields: TextRow, rows: unknown[]): void {
    const text = fields[0] ?? null
    add(text === null || this.#read === null ? text : this.#read(text), rows, this.#fold)
  }
}

class ArrayRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly (Reader | null)[]
  readonly #fold: Fold

  constructor(readers: readonly (Reader | null)[], fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#fold = fold
  }

  push(fields: TextRow, rows: unknown[]): void {
    add(readAll(fields, this.#readers), rows, this.#fold)
  }
}

function isPlainName(path: readonly string[]): boolean {
  return path.length === 1 && path[0] !== '__proto__'
}

/** Objects made by `make`, one member for each field: rows of a model. */
class MadeRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly (Reader | null)[]
  readonly #names: readonly string[]
  readonly #make: () => object
  readonly #fold: Fold

  constructor(readers: readonly (Reader | null)[], names: readonly string[], make: () => object, fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#names = names
    this.#make = make
    this.#fold = fold
  }

  push(fields: TextRow, rows: unknown[]): void {
    const names = this.#names
    const readers = this.#readers
    const target = this.#make() as Target
    for (let i = 0; i < names.length; i++) {
      const text = fields[i] as string | null
      const read = readers[i] as Reader | null
      target[names[i] as string] = text === null || read === null ? text : read(text)
    }
    add(target, rows, this.#fold)
  }
}

/** Objects made by `make`, nested by the columns' paths, NULL where a whole group is NULL. */
class BuiltRows implements RowDecoder {
  readonly width: number
  readonly #readers: readonly (Reader | null)[]
  readonly #root: Branch
  readonly #make: (() => object) | null
  readonly #fold: Fold

  constructor(readers: readonly (Reader | null)[], root: Branch, make: (() => object) | null, fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#root = root
    this.#make = make
    this.#fold = fold
  }

  push(fields: TextRow, rows: unknown[]): void {
    add(build(this.#root, fields, readAll(fields, this.#readers), this.#make), rows, this.#fold)
  }
}

function readAll(fields: TextRow, readers: readonly (Reader | null)[]): unknown[] {
  const values: unknown[] = []
  for (let i = 0; i < readers.length; i++) {
    const text = fields[i] as string | null
    const read = readers[i] as Reader | null
    values.push(text === null || read === null ? text : read(text))
  }
  return values
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

function build(branch: Branch, fields: TextRow, values: readonly unknown[], make: (() => object) | null): unknown {
  const { group, members } = branch
  if (group.length > 0 && group.every((column) => fields[column] === null)) return null
  const target = (make === null ? {} : make()) as Target
  for (const { key, column, branch: inner } of members) {
    const value = inner === null ? values[column] : build(inner, fields, values, null)
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
