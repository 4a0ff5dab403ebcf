// Which conversion of the users' own a type has, in one database: found by its number, by its names, by what an array has as
// elements and a domain is over, and by the kind of the type. Made once for each set of conversions and each engine.
import type { Conversions, TypeConversion, TypePart } from '../../sql/conversions.ts'
import { partText, type Writing } from '../encode.ts'
import { readArray } from '../text-forms.ts'
import { type Reader, readerFor } from '../type-table.ts'
import type { KnownTypes, TypeBook } from './book.ts'
import { unreadable } from './pieces.ts'
import { firstOfDatabase, isBuiltIn } from './built-in.ts'
import { type BinaryForm, formBeside } from './of-extension.ts'

/** How values of a type travel in binary, or the elements of an array type. */
export interface Binary extends BinaryForm {
  /** The type of the elements; 0 for what is no array. */
  readonly element: number
}

/** PostgreSQL's words for any type of a kind, by `typtype`. */
const kinds: Readonly<Record<string, string>> = { e: 'anyenum', r: 'anyrange', m: 'anymultirange', c: 'record' }
const record = 2249

const converters = new WeakMap<TypeBook, WeakMap<Conversions, Converter>>()

/** What users have said, for the types of a database as they are known now. */
export function converterOf(book: TypeBook, conversions: Conversions): Converter {
  let those = converters.get(book)
  if (those === undefined) converters.set(book, (those = new WeakMap()))
  let known = those.get(conversions)
  if (known === undefined || known.edition !== book.edition) {
    known = new Converter(book, conversions)
    those.set(conversions, known)
  }
  return known
}

/** As `writingBy`. @throws {UsageError} where the statement has conversions for what is no type. */
export function checkedWriting(book: TypeBook, conversions: Conversions | undefined): Writing {
  if (conversions !== undefined) book.given.check(conversions)
  return writingBy(book, conversions)
}

/** How the parameters of a statement are written. */
export function writingBy(book: TypeBook, conversions: Conversions | undefined): Writing {
  return conversions === undefined ? book.writing : converterOf(book, conversions)
}

export class Converter implements Writing {
  readonly book: TypeBook
  readonly converter: this = this
  readonly edition: number
  readonly writes: boolean
  readonly #conversions: Conversions
  /** As they were when it was made: rows that come later are read by that, whatever another session changes meanwhile. */
  readonly #types: KnownTypes
  /** Some are for types of the database: those that come in results have to be known. */
  readonly #asks: boolean
  readonly #found = new Map<number, TypeConversion | null>()

  constructor(book: TypeBook, conversions: Conversions) {
    this.edition = book.edition
    this.book = book
    this.#types = book.known
    this.#conversions = conversions
    this.writes = conversions.writes
    const serves = (name: string): boolean =>
      name === kinds['c'] ||
      !(isBuiltIn(name.replaceAll(/^pg_catalog\.|(?:\[\])+$/g, '')) || Number(name) < firstOfDatabase)
    this.#asks = conversions.names.some(serves)
  }

  /** Those of the types that have to be looked up before values of them are read. */
  unknown(types: readonly number[]): number[] {
    return this.#asks ? this.#types.unknown(types) : []
  }

  /** Null: users have said nothing of how it is read. */
  reader(type: number): Reader | null {
    return this.#find(type)?.read ?? null
  }

  /** Null: users have said nothing of how it is written. */
  writer(type: number): ((value: object) => string) | null {
    return this.#find(type)?.write ?? null
  }

  /** Null: values are read from their text. */
  binaryReader(type: number): Pick<Binary, 'element' | 'read'> | null {
    return this.#binary(type, 'read')
  }

  /** Null: values are written as text. */
  binaryWriter(type: number): Pick<Binary, 'element' | 'write'> | null {
    return this.#binary(type, 'write')
  }

  #binary(type: number, way: 'read' | 'write'): Binary | null {
    if (type < firstOfDatabase) return null
    const row = this.#types.row(type)
    const element = row?.element ?? 0
    const form = formBeside(
      this.#find(element === 0 ? type : element)?.[way],
      element === 0 ? row : this.#types.row(element),
    )
    if (form === null || (element !== 0 && this.#conversions.find([String(type), ...this.#names(type)]) !== undefined))
      return null
    return { ...form, element }
  }

  isValue(type: number, items: readonly unknown[]): boolean {
    const list = this.#find(type)?.list
    if (list !== true) return list === undefined
    return !items.some((item) => item === null || Array.isArray(item))
  }

  #find(type: number): TypeConversion | null {
    let found = this.#found.get(type)
    if (found === undefined) {
      // What a type is made of may hold the type itself: until it is known there is none.
      this.#found.set(type, null)
      found = this.#made(type)
      this.#found.set(type, found)
    }
    return found
  }

  #made(type: number): TypeConversion | null {
    const own = this.#conversions.find([String(type), ...this.#names(type)])
    if (own !== undefined) return this.#over(own, type)
    const element = this.#types.element(type)
    if (element !== 0) return this.#arrayOf(element)
    const base = this.#types.base(type)
    if (base !== type) return this.#find(base)
    const kind = this.#conversions.find([type === record ? '' : (kinds[this.#kind(type)] ?? '')])
    return kind === undefined ? null : this.#over(kind, type)
  }

  #names(type: number): readonly string[] {
    const element = this.#types.base(type) === type ? this.#types.element(type) : 0
    const names = this.#types
      .names(type)
      .flatMap((name) => (type < firstOfDatabase ? [name, `pg_catalog.${name}`] : [name]))
    if (element === 0) return names
    return [...this.#names(element).map((name) => `${name}[]`), ...names]
  }

  #kind(type: number): string {
    const row = this.#types.row(type)
    if (row !== undefined) return row.kind
    const range = this.#types.range(type)
    return range === 0 ? '' : this.#types.range(range) === 0 ? 'r' : 'm'
  }

  #arrayOf(element: number): TypeConversion | null {
    const read = this.#find(element)?.read
    if (read === undefined) return null
    const delimiter = this.#types.delimiter(element)
    return { read: (text) => readArray(text, read, delimiter) ?? unreadable('array') }
  }

  #over(own: TypeConversion, type: number): TypeConversion {
    if (own.over === undefined) return own
    const row = this.#types.row(type)
    const range = this.#types.range(type)
    const of = range === 0 ? 0 : this.#types.range(range) || range
    const made = own.over({
      name: this.#types.names(type).at(-1) ?? String(type),
      fields: row === undefined ? [] : row.types.map((each, at) => this.#part(row.fields[at] ?? '', each)),
      forget: () => this.book.forget(),
      of: of === 0 ? null : this.#part(this.#types.names(of).at(-1) ?? '', of),
    })
    return own.list === undefined ? made : { ...made, list: own.list }
  }

  #part(name: string, type: number): TypePart {
    return {
      name,
      read: (text) => this.#read(type)(text),
      write: (value) => partText(value, type, this),
    }
  }

  #read(type: number): Reader {
    const book = this.book
    return this.reader(type) ?? readerFor(this.#types.base(type), 'default', book) ?? ((text) => text)
  }
}
