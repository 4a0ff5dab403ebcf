// Rows from packets: a decoder for the columns of a result and the specification of its statement. A session keeps it with the
// prepared statement while the columns stay the same.
import { ProtocolError } from '../../errors/index.ts'
import type { ColumnSpec, RowSpec, Shape } from '../../sql/compiled.ts'
import { generateAfter, mayMakeCode, mostMembers, shapeOf as treeOf } from '../row-tree.ts'
import type { Column, Cursor } from './packets.ts'
import { type Conversions, type Read, readerOf } from './types.ts'

/** Reads the packet of one row from the cursor and pushes what it becomes. @throws {ProtocolError} */
export type RowDecoder = (cursor: Cursor, rows: unknown[]) => void

type Target = Record<string, unknown>

export function decoderOf(
  columns: readonly Column[],
  given: RowSpec | null,
  as: Conversions,
  binary: boolean,
): RowDecoder {
  const spec = given?.byNames?.(columns.map(({ name }) => name)) ?? given
  if (spec !== null && spec.columns !== null && spec.columns.length !== columns.length)
    throw new ProtocolError(`The statement gave ${columns.length} columns, and ${spec.columns.length} were expected`)
  const asked = spec?.columns === null ? spec.read : undefined
  const readers = columns.map((column, i) =>
    readerOf(column, spec?.columns?.[i] ?? asTextFor(column, asked), as, binary),
  )
  const names = columns.map(({ name }, i) => spec?.columns?.[i]?.path.join('.') || name)
  const decoder = rowsOf(columns, spec, readers, binary)
  columnsOf.set(decoder, { names, readers, binary })
  return decoder
}

/** What is known of the columns of rows. */
interface Columns {
  readonly names: readonly string[]
  readonly readers: readonly Read[]
  readonly binary: boolean
}

const columnsOf = new WeakMap<RowDecoder, Columns>()

/** Which column of a row that begins there could not be read. Undefined: none refuses to be read again. */
export function unreadColumn(decoder: RowDecoder, cursor: Cursor, at: number): string | undefined {
  const { names = [], readers = [], binary = false } = columnsOf.get(decoder) ?? {}
  let read = 0
  const counted = readers.map((reader): Read => (each) => {
    const value = reader(each)
    read++
    return value
  })
  const nulls: boolean[] = []
  cursor.at = at
  try {
    ;(binary ? binaryValues : textValues)(counted, nulls)(cursor)
    return undefined
  } catch {
    const present = names.filter((_, i) => nulls[i] !== true)
    return present[read]
  }
}

function rowsOf(
  columns: readonly Column[],
  spec: RowSpec | null,
  readers: readonly Read[],
  binary: boolean,
): RowDecoder {
  const names = binary ? flatNames(columns, spec) : null
  if (names !== null) return objectRows(names, readers, spec?.make ?? null)
  // Of the row that is being read, for objects in each other: no row is made while another one is.
  const nulls: boolean[] | null = spec?.columns?.some(({ nullGroup }) => nullGroup !== undefined) === true ? [] : null
  const values = binary ? binaryValues(readers, nulls) : textValues(readers, nulls)
  const shape = treeOf(
    columns.map(({ name }) => name),
    spec,
  )
  const fold = spec?.fold
  return (cursor, rows) => {
    const row = shape(values(cursor), nulls ?? none)
    if (cursor.at !== cursor.end) throw misfit()
    if (fold === undefined) rows.push(row)
    else fold(rows, row)
  }
}

/** What the fields of a result are called. MySQL numbers no tables and columns. */
export function shapeOf(columns: readonly Column[]): Shape {
  const fields = columns.map(({ name, type }) => ({ name, type, table: 0, column: 0, typmod: -1 }))
  return { params: [], fields, rows: true, key: '', path: 0, at: 0 }
}

/** For a column whose text the statement wants to read itself. */
function asTextFor({ type }: Column, asked: RowSpec['read']): ColumnSpec | undefined {
  const map = asked?.(type)
  return map === undefined || map === null
    ? undefined
    : { path: [], mode: 'raw-text', map: map as (wire: unknown) => unknown }
}

/** The members of objects without others in them; null for rows of another form. */
function flatNames(columns: readonly Column[], spec: RowSpec | null): readonly string[] | null {
  const given = spec?.columns ?? null
  const isFlat = given === null || given.every(({ path, nullGroup }) => path.length === 1 && nullGroup === undefined)
  if (!isFlat || (spec !== null && (spec.into !== 'object' || spec.fold !== undefined))) return null
  const names = given === null ? columns.map(({ name }) => name) : given.map(({ path }) => path[0] as string)
  return names.includes('__proto__') ? null : names
}

/** Objects of binary rows, in one pass: the path of nearly every statement. */
function objectRows(names: readonly string[], readers: readonly Read[], make: (() => object) | null): RowDecoder {
  const width = (readers.length + 9) >> 3
  const mayGenerate =
    make === null && names.length > 0 && names.length <= mostMembers && new Set(names).size === names.length
  let seen = 0
  let generated: RowDecoder | null = null
  return (cursor, rows) => {
    if (generated !== null) return generated(cursor, rows)
    if (mayGenerate && ++seen === generateAfter && mayMakeCode()) generated = generateRows(names, readers)
    const { buffer } = cursor
    const nulls = cursor.at + 1
    cursor.at = nulls + width
    const row = (make === null ? {} : make()) as Target
    for (let i = 0; i < names.length; i++) {
      const isNull = ((buffer[nulls + ((i + 2) >> 3)] as number) & (1 << ((i + 2) & 7))) !== 0
      row[names[i] as string] = isNull ? null : (readers[i] as Read)(cursor)
    }
    if (cursor.at !== cursor.end) throw misfit()
    rows.push(row)
  }
}

/** The same for plain objects as code without a loop and look-ups: made for columns of which many rows come. */
function generateRows(names: readonly string[], readers: readonly Read[]): RowDecoder {
  let body = `const b = cursor.buffer, n = cursor.at + 1;\ncursor.at = n + ${(readers.length + 9) >> 3};\n`
  names.forEach((_, i) => {
    body += `const v${i} = (b[n + ${(i + 2) >> 3}] & ${1 << ((i + 2) & 7)}) === 0 ? r${i}(cursor) : null;\n`
  })
  const members = names.map((name, i) => `${JSON.stringify(name)}: v${i}`).join(', ')
  body += `if (cursor.at !== cursor.end) throw misfit();\nrows[rows.length] = { ${members} };`
  const own = readers.map((_, i) => `r${i} = readers[${i}]`).join(', ')
  // oxlint-disable-next-line typescript/no-implied-eval -- names are written as JSON, all else is ours
  const made = Function(
    'readers',
    'misfit',
    `'use strict'; const ${own}; return function pushRow(cursor, rows) {\n${body}\n}`,
  ) as (readers: readonly Read[], fail: () => Error) => RowDecoder
  return made(readers, misfit)
}

const misfit = (): ProtocolError => new ProtocolError('a row that does not fit the description of its columns')

const none: readonly boolean[] = []

type Values = (cursor: Cursor) => unknown[]

/** `nulls` is told which values are NULL, since a reader may make null of others. */
function binaryValues(readers: readonly Read[], nulls: boolean[] | null): Values {
  const width = (readers.length + 9) >> 3
  return (cursor) => {
    const { buffer } = cursor
    const bits = cursor.at + 1
    cursor.at = bits + width
    const values: unknown[] = []
    for (let i = 0; i < readers.length; i++) {
      const isNull = ((buffer[bits + ((i + 2) >> 3)] as number) & (1 << ((i + 2) & 7))) !== 0
      if (nulls !== null) nulls[i] = isNull
      values.push(isNull ? null : (readers[i] as Read)(cursor))
    }
    return values
  }
}

function textValues(readers: readonly Read[], nulls: boolean[] | null): Values {
  return (cursor) => {
    const values: unknown[] = []
    for (let i = 0; i < readers.length; i++) {
      const isNull = cursor.buffer[cursor.at] === 0xfb
      if (nulls !== null) nulls[i] = isNull
      if (isNull) {
        cursor.at++
        values.push(null)
      } else values.push((readers[i] as Read)(cursor))
    }
    return values
  }
}
