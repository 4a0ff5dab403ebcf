// Rows from the bytes of DataRows: an interpreted decoder for each (shape, RowSpec, options of types), cached. Sessions ask for
// one when they know a statement's shape and feed it every DataRow. It knows no connection; a value it cannot read makes it
// throw, and the session fails that one operation.
import { ProtocolError, StalePlanError } from '../../../errors/index.ts'
import type { Field, RowSpec, Shape } from '../../../sql/compiled.ts'
import { askedField, binaryArrayOf, binaryField } from './binary-result.ts'
import { fieldReader, fieldReaderOf, int32, misfit, readAll } from './field-reader.ts'
import { generateRows, type PushRow } from './generated.ts'
import { areWhole, KindRows, UnpairedRows } from './kind-rows.ts'
import { listReader } from './list-reader.ts'
import { type Branch, build, generateAfter, own, rootOf } from '../../row-tree.ts'
import type { TypeBook } from '../../../postgres/types/book.ts'
import { type Converter, converterOf } from '../../../postgres/types/converter.ts'
import { KeptRows } from './kept-rows.ts'
import type { Bytes, FieldReader, Formats, RowDecoder } from './row-decoder.ts'
import { noteColumns } from './unread-column.ts'

type Target = Record<string, unknown>

const cachedShapes = 2000
const unspecified = new Map<string, RowDecoder>()
const specified = new WeakMap<RowSpec, Map<string, RowDecoder>>()
/** What users have said of types means something in one database alone. */
const converted = new WeakMap<Converter, typeof specified>()

/** Rows of lists are asked for in binary on every session: they are many, and the server makes them for less. */
export function mayBeBinary(
  { spec }: { readonly spec: RowSpec | null },
  session: { readonly binary: boolean },
): boolean {
  return session.binary || spec?.kinds !== undefined
}

/**
 * The decoder for rows of that shape. Of several columns with one name the last wins.
 * @param binary Whether its columns may be asked for in binary.
 */
export function decoderFor(shape: Shape, spec: RowSpec | null, book: TypeBook, binary: boolean): RowDecoder {
  const converter = converterFor(spec, book)
  if (converter !== null) {
    const types = converter.unknown(shape.fields.map(({ type }) => type))
    if (types.length > 0) return new KeptRows(shape, types)
  }
  let known = unspecified
  if (spec !== null) {
    const of = converter === null ? specified : (converted.get(converter) ?? new WeakMap<RowSpec, typeof known>())
    if (converter !== null) converted.set(converter, of)
    known = of.get(spec) ?? new Map<string, RowDecoder>()
    of.set(spec, known)
  }
  const key = `${binary ? 'b' : ''}${book.local ? 'l' : ''}${book.int8} ${shape.key}`
  let decoder = known.get(key)
  if (decoder === undefined) {
    decoder = makeDecoder(shape.fields, spec, book, converter, binary)
    if (known.size >= cachedShapes) known.clear()
    known.set(key, decoder)
  }
  return decoder
}

/**
 * The decoder for rows that came in these formats, one for each column, because their columns were taken for others.
 * @throws {StalePlanError} when one of them is not read so.
 */
export function decoderAsAsked(
  shape: Shape,
  spec: RowSpec | null,
  book: TypeBook,
  asked: readonly number[],
): RowDecoder {
  const converter = converterFor(spec, book)
  const unknown = converter?.unknown(shape.fields.map(({ type }) => type)) ?? []
  if (unknown.length > 0 || spec?.byNames !== undefined) throw new StalePlanError(changed)
  return makeDecoder(shape.fields, spec, book, converter, false, asked)
}

const changed =
  'The columns of the statement have changed since another connection ran it, and their new types are not read in the format that was asked for. Run it again.'

/** Null: nobody has said anything of types, or the rows are read as their specification declares. */
function converterFor(spec: RowSpec | null, book: TypeBook): Converter | null {
  if (spec?.conversions === undefined || spec.columns !== null || spec.read !== undefined) return null
  if (spec.byNames !== undefined) return null
  return converterOf(book, spec.conversions)
}

/** Equal keys, equal decoders: names and types in order. */
export function shapeKey(fields: readonly Field[]): string {
  let key = ''
  for (const { name, type } of fields) key += `${type} ${name.length} ${name},`
  return key
}

function makeDecoder(
  fields: readonly Field[],
  given: RowSpec | null,
  book: TypeBook,
  converter: Converter | null,
  binary: boolean,
  asked: readonly number[] | null = null,
): RowDecoder {
  const spec = given?.byNames?.(fields.map(({ name }) => name)) ?? given
  if (!areWhole(fields, spec?.kinds)) return new UnpairedRows(fields.length, asked)
  const formats = fields.map((_, i) => asked?.[i] ?? spec?.formats?.[i] ?? 0)
  const readerOf = (type: number, at: number): FieldReader => {
    const column = spec?.columns?.[at]
    if (column?.list !== undefined) return listReader(column.list, fields, book)
    if (spec?.read !== undefined && spec.columns === null) return fieldReaderOf(spec.read(type))
    const said = converter?.reader(type) ?? null
    const saidInBinary = said === null ? null : binaryOf(type, converter)
    if (asked?.[at] === 1) return saidInBinary ?? askedField(type, column, said, book) ?? unread()
    const wanted = binary && formats[at] === 0
    const read = !wanted ? null : said === null ? binaryField(type, column, book) : saidInBinary
    if (read !== null) formats[at] = 1
    return read ?? (said === null ? fieldReader(type, column, book) : fieldReaderOf(said))
  }
  const decoder = rowDecoder(fields, spec, readerOf)
  if (formats.includes(1)) decoder.formats = formats
  return decoder
}

/** Null: what users have said of the type is for its text. */
function binaryOf(type: number, converter: Converter | null): FieldReader | null {
  const known = converter?.binaryReader(type) ?? null
  if (known === null) return null
  return known.element === 0 ? known.read : binaryArrayOf(known.element, known.read)
}

function unread(): never {
  throw new StalePlanError(changed)
}

function rowDecoder(
  fields: readonly Field[],
  spec: RowSpec | null,
  readerOf: (type: number, at: number) => FieldReader,
): RowDecoder {
  const { columns = null, types = 0 } = spec ?? {}
  if (columns !== null && columns.length + types !== fields.length) {
    throw new ProtocolError(`The statement gave ${fields.length} columns, and ${columns.length} were expected`)
  }
  const readers = fields.slice(0, fields.length - types).map(({ type }, at) => readerOf(type, at))
  const decoder = decoderOf(fields, spec, readers)
  noteColumns(decoder, fields, columns, readers)
  return decoder
}

function decoderOf(fields: readonly Field[], spec: RowSpec | null, readers: readonly FieldReader[]): RowDecoder {
  const { into = 'object', columns = null, make = null, fold, types = 0 } = spec ?? {}
  if (spec === null || (into === 'object' && columns === null && make === null && fold === undefined))
    return new PlainRows(fields, readers)
  if (spec?.kinds !== undefined) return new KindRows(readers, spec.kinds)
  if (into === 'scalar') return new ScalarRows(fields.length, readers, fold)
  if (into === 'array' && (columns === null || columns.every(({ path }) => path.length === 0)))
    return new ArrayRows(readers, types, fold)
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
  formats: Formats = undefined
  readonly width: number
  readonly #names: readonly string[]
  readonly #readers: readonly FieldReader[]
  readonly #hasProto: boolean
  /** How many rows it has read, and code for the next ones. */
  #read = 0
  #code: PushRow | null = null
  /** Holds the hidden class of a row: while it lives, rows grow along its transitions and stay fast however wide. */
  readonly template: unknown

  constructor(fields: readonly Field[], readers: readonly FieldReader[]) {
    this.width = fields.length
    this.#names = fields.map(({ name }) => name)
    this.#readers = readers
    this.#hasProto = this.#names.includes('__proto__')
    this.template = JSON.parse(`{${this.#names.map((name) => `${JSON.stringify(name)}:null`).join(',')}}`)
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    if (this.#code !== null) {
      this.#code(bytes, at, end, rows)
      return
    }
    if (++this.#read === generateAfter) this.#code = generateRows(this.#names, this.#readers)
    const row: Target = {}
    if (this.#hasProto) own(row, '__proto__', null)
    readMembers(row, this.#names, this.#readers, bytes, at, end)
    rows.push(row)
  }
}

type Fold = RowSpec['fold']

class ScalarRows implements RowDecoder {
  formats: Formats = undefined
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
  formats: Formats = undefined
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #fold: Fold
  /** The length in bytes of the columns that only have types. */
  readonly #rest: number
  #read = 0
  #code: PushRow | null = null

  constructor(readers: readonly FieldReader[], types: number, fold: Fold) {
    this.width = readers.length + types
    this.#readers = readers
    this.#fold = fold
    this.#rest = types * 4
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    if (this.#code !== null) {
      this.#code(bytes, at, end - this.#rest, rows)
      return
    }
    if (++this.#read === generateAfter && this.#fold === undefined) this.#code = generateRows(null, this.#readers)
    add(readAll(this.#readers, bytes, at, end - this.#rest), rows, this.#fold)
  }
}

function isPlainName(path: readonly string[]): boolean {
  return path.length === 1 && path[0] !== '__proto__'
}

/** Objects made by `make`, one member for each field: rows of a model. */
class MadeRows implements RowDecoder {
  formats: Formats = undefined
  readonly width: number
  readonly #readers: readonly FieldReader[]
  readonly #names: readonly string[]
  readonly #make: () => object
  readonly #fold: Fold
  #read = 0
  #code: PushRow | null = null

  constructor(readers: readonly FieldReader[], names: readonly string[], make: () => object, fold: Fold) {
    this.width = readers.length
    this.#readers = readers
    this.#names = names
    this.#make = make
    this.#fold = fold
  }

  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void {
    if (this.#code !== null) {
      this.#code(bytes, at, end, rows)
      return
    }
    if (++this.#read === generateAfter)
      this.#code = generateRows(this.#names, this.#readers, { make: this.#make, fold: this.#fold })
    const target = this.#make() as Target
    readMembers(target, this.#names, this.#readers, bytes, at, end)
    add(target, rows, this.#fold)
  }
}

/** Objects made by `make`, nested by the columns' paths, NULL where a whole group is NULL. */
class BuiltRows implements RowDecoder {
  formats: Formats = undefined
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

function add(row: unknown, rows: unknown[], fold: Fold): void {
  if (fold === undefined) rows.push(row)
  else fold(rows, row)
}
