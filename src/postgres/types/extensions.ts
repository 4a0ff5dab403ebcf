// Types of extensions, and of text search, as objects: hstore, ltree, pgvector.
import type { TypeConversion } from '../../sql/conversions.ts'
import { numberText } from '../text-forms.ts'
import { inBinary, ofExtension } from './of-extension.ts'
import { Pieces, unreadable, unwritable } from './pieces.ts'
import { halfvecForm, sparsevecForm, vectorForm } from './vectors.ts'

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`

/** An object with texts; a value may be null. */
export const hstore: TypeConversion<Record<string, string | null>> = ofExtension(['hstore'], {
  list: false,
  read(text) {
    const entries: [string, string | null][] = []
    const pieces = new Pieces(text, 0)
    while (pieces.at < text.length) {
      const key = pieces.next('=') ?? ''
      pieces.at += 2
      const isNull = text.startsWith('NULL', pieces.at)
      const value = pieces.next(',') ?? ''
      entries.push([key, isNull ? null : value])
      pieces.at += 2
    }
    return Object.fromEntries(entries)
  },
  write: (value) =>
    Object.entries(value)
      .map(([key, each]) => {
        if (each !== null && typeof each !== 'string') return unwritable('hstore', 'an object with texts and null')
        return `${quoted(key)}=>${each === null ? 'NULL' : quoted(each)}`
      })
      .join(', '),
})

/** A list of labels. */
export const ltree: TypeConversion<string[]> = ofExtension(['ltree'], {
  list: true,
  read: (text) => (text === '' ? [] : text.split('.')),
  write: (value) => (Array.isArray(value) ? value.join('.') : unwritable('ltree', 'a list of labels')),
})

const isNumbers = (value: object): value is number[] =>
  (Array.isArray(value) && value.every((each) => typeof each === 'number')) || value instanceof Float32Array

/** A list of numbers: `vector` and `halfvec` of pgvector. */
export const vector: TypeConversion<number[]> = ofExtension(
  ['vector', 'halfvec'],
  inBinary(
    'vector',
    { vector: vectorForm, halfvec: halfvecForm },
    {
      list: true,
      read: (text) => (/^\[[-+\d.,e ]*\]$/.test(text) ? (JSON.parse(text) as number[]) : unreadable('vector')),
      write: (value: object) =>
        isNumbers(value) ? `[${Array.from(value, numberText).join()}]` : unwritable('vector', 'a list of numbers'),
    },
  ),
)

/** A value of `sparsevec`. */
export interface SparseVector {
  readonly dimensions: number
  /** By their index, which begins with 1. All others are 0. */
  readonly values: Readonly<Record<number, number>>
}

/** `sparsevec` of pgvector. */
export const sparsevec: TypeConversion<SparseVector> = ofExtension(
  ['sparsevec'],
  inBinary(
    'vector',
    { sparsevec: sparsevecForm },
    {
      list: false,
      read(text) {
        const [, entries, dimensions] = /^\{(.*)\}\/(\d+)$/.exec(text) ?? unreadable('sparsevec')
        const values = (entries as string)
          .split(',')
          .flatMap((entry) => (entry === '' ? [] : [entry.split(':').map(Number)]))
        return { dimensions: Number(dimensions), values: Object.fromEntries(values) as Record<number, number> }
      },
      write(value: object) {
        const { dimensions, values } = value as Partial<SparseVector>
        if (typeof dimensions !== 'number' || typeof values !== 'object')
          return unwritable('sparsevec', 'an object { dimensions, values }')
        const entries = Object.entries(values).map(([index, each]) => `${index}:${numberText(each)}`)
        return `{${entries.join(',')}}/${dimensions}`
      },
    },
  ),
)

/** A word of a `tsvector`, and where it stands. */
export interface Lexeme {
  readonly lexeme: string
  readonly positions: readonly { readonly position: number; readonly weight: 'A' | 'B' | 'C' | 'D' }[]
}

/** The words of a `tsvector`, with where they stand. */
export const tsvector: TypeConversion<Lexeme[]> = {
  list: true,
  read: (text) =>
    [...text.matchAll(/'((?:[^']|'')*)'(?::([\dA-D,]+))?/g)].map(([, lexeme = '', positions]) => ({
      lexeme: lexeme.replaceAll("''", "'").replaceAll('\\\\', '\\'),
      positions: (positions?.split(',') ?? []).map((place) => ({
        position: Number.parseInt(place, 10),
        weight: (/[A-C]$/.exec(place)?.[0] ?? 'D') as 'A' | 'B' | 'C' | 'D',
      })),
    })),
  write(value) {
    if (!Array.isArray(value)) return unwritable('tsvector', 'a list of { lexeme, positions }')
    return (value as Partial<Lexeme>[])
      .map(({ lexeme = '', positions = [] }) => {
        const places = positions.map(({ position, weight }) => `${position}${weight}`).join(',')
        return `'${lexeme.replaceAll("'", "''").replaceAll('\\', '\\\\')}'${places === '' ? '' : `:${places}`}`
      })
      .join(' ')
  },
}
