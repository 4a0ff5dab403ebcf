// Generates code that reads the rows of given columns: one function, without a loop and without a look-up for each value. It gives the
// same values as the interpreted decoder, and throws where that throws. It pays only where many rows follow, and is not used where the
// process may not make code from text.
import type { RowSpec } from '../../../sql/compiled.ts'
import { mayMakeCode, mostMembers } from '../../row-tree.ts'
import { epoch } from './binary-reader.ts'
import { binaryKind } from './binary-result.ts'
import { isText, misfit, text } from './field-reader.ts'
import type { Bytes, FieldReader } from './row-decoder.ts'

export type PushRow = (bytes: Bytes, at: number, end: number, rows: unknown[]) => void

export interface Made {
  readonly make: () => object
  /** Undefined: a row is pushed. */
  readonly fold: RowSpec['fold']
}

/** A row is of one kind of several. */
interface Others {
  /** Reads the number in front; else the number that all rows of the kind have. */
  readonly number: FieldReader | number
  readonly before: number
  readonly after: number
}

/**
 * Null: there is none.
 * @param names Of the members, or null for rows that are arrays.
 * @param made Rows are objects of that kind, to which values are assigned.
 */
export function generateRows(
  names: readonly string[] | null,
  readers: readonly FieldReader[],
  made: Made | null = null,
  others: Others | null = null,
): PushRow | null {
  if (readers.length > mostMembers || names?.includes('__proto__') === true || !mayMakeCode()) return null
  const isNumbered = typeof others?.number === 'function'
  let body = `let l = 0, s = 0;\n${others === null ? '' : `end -= ${others.after};\n`}`
  if (others !== null && !isNumbered) body += `o += ${others.before};\n`
  readers.forEach((reader, i) => {
    if (i === 1 && others !== null && isNumbered) body += `o += ${others.before};\n`
    body += `let v${i} = null; l = ${int32At('o')}; o += 4;
if (l >= 0) { s = o; o += l; if (o > end) throw misfit(); ${valueOf(reader, i)} }\n`
  })
  if (others !== null && isNumbered && readers.length === 1) body += `o += ${others.before};\n`
  body += `if (o !== end) throw misfit();\n${rowOf(names, readers, made, others?.number ?? null)}`
  // oxlint-disable-next-line typescript/no-implied-eval -- names are written as JSON, all else is ours
  const generate = Function(
    'readers',
    'text',
    'misfit',
    'make',
    'fold',
    `'use strict'; return function pushRow(b, o, end, rows) {\n${body}\n}`,
  ) as (
    readers: readonly FieldReader[],
    read: FieldReader,
    fail: () => Error,
    make: Made['make'] | undefined,
    fold: Made['fold'],
  ) => PushRow
  return generate(readers, text, misfit, made?.make, made?.fold)
}

/**
 * The same for a row of one kind of several: its number if `number` reads one, then fields that are NULL, then its own. `before` and
 * `after` are how many bytes the fields of the other kinds have.
 */
export function generateKind(
  number: FieldReader | number,
  readers: readonly FieldReader[],
  before: number,
  after: number,
): PushRow | null {
  const all = typeof number === 'function' ? [number, ...readers] : readers
  return generateRows(null, all, null, { number, before, after })
}

/** Where the next row belongs. A `push` would be a call for each row. */
const next = 'rows[rows.length]'

/** The statements that put the values together. */
function rowOf(
  names: readonly string[] | null,
  readers: readonly FieldReader[],
  made: Made | null,
  number: FieldReader | number | null,
): string {
  const values = readers.map((_, i) => `v${i}`)
  if (typeof number === 'number') values.push(String(number))
  else if (number !== null) values.push(values.shift() as string)
  if (names === null) return `${next} = [${values.join(', ')}];`
  if (made === null)
    return `${next} = { ${names.map((name, i) => `${JSON.stringify(name)}: ${values[i]}`).join(', ')} };`
  const assigned = names.map((name, i) => `row[${JSON.stringify(name)}] = ${values[i]};\n`)
  return `const row = make();\n${assigned.join('')}${made.fold === undefined ? `${next} = row;` : 'fold(rows, row);'}`
}

function int32At(at: string): string {
  return `((b[${at}] << 24) | (b[${at} + 1] << 16) | (b[${at} + 2] << 8) | b[${at} + 3])`
}

function valueOf(reader: FieldReader, i: number): string {
  const usual = `v${i} = readers[${i}](b, s, o);`
  if (isText(reader)) return `v${i} = text(b, s, o);`
  switch (binaryKind(reader)) {
    case 'int4':
      return `if (l !== 4) throw misfit(); v${i} = ${int32At('s')};`
    case 'bool':
      return `if (l !== 1) throw misfit(); v${i} = b[s] === 1;`
    case 'safe':
      return eightBytes(i, mostSafe, 'h * 0x100000000 + w', usual)
    case 'moment':
      return eightBytes(i, mostMoment, `new Date(h * 4294967 + ${epoch} + Math.floor((h * 296 + w) / 1000))`, usual)
    case null:
      return usual
  }
}

/** The high halves of numbers that are exact, and of times that a Date can be, stay below. */
const mostSafe = 0x1f_ff_ff
const mostMoment = 2_000_000_000

/** As the reader has it, which is asked for what is rare: another length, and a high half that is not below `most`. */
function eightBytes(i: number, most: number, value: string, usual: string): string {
  return `const h = l === 8 ? ${int32At('s')} : ${most}, w = ${int32At('s + 4')} >>> 0;
if (h > -${most} && h < ${most}) v${i} = ${value}; else ${usual}`
}
