// Ranges and multiranges as objects, whatever they are of.
import type { TypeConversion, TypePart, TypeParts } from '../../sql/conversions.ts'
import { checkMembers, pieceText, Pieces, unreadable, unwritable } from './pieces.ts'

/** A range. Numbers and times between two ends. */
export interface Range<T = unknown> {
  /** Null: without a lower end. */
  readonly lower: T | null
  /** Null: without an upper end. */
  readonly upper: T | null
  /** Whether the ends belong to it, as PostgreSQL writes it. */
  readonly bounds: '[]' | '[)' | '(]' | '()'
  /** It holds nothing. */
  readonly empty: boolean
}

/** A range as a parameter. Without `bounds` the lower end belongs to it, and the upper end does not. */
export type RangeGiven<T = unknown> = Partial<Range<T>>

const isEmpty: Range = { lower: null, upper: null, bounds: '()', empty: true }

function readRange(pieces: Pieces, { read }: TypePart): Range {
  const open = pieces.take()
  const lower = pieces.next(',')
  const comma = pieces.take()
  const upper = pieces.next('])')
  const close = pieces.take()
  if (!/^[[(],[\])]$/.test(open + comma + close)) return unreadable('range')
  return {
    lower: lower === null ? null : read(lower),
    upper: upper === null ? null : read(upper),
    bounds: (open + close) as Range['bounds'],
    empty: false,
  }
}

const members = ['lower', 'upper', 'bounds', 'empty']

function rangeText(given: object, { write }: TypePart): string {
  checkMembers('of a range', given, members)
  // Nothing at all would be a range of everything.
  if (!['lower', 'upper', 'empty'].some((name) => Object.hasOwn(given, name)))
    unwritable('of a range', 'an object with lower or upper, of which null is an open end, or with empty')
  const { lower = null, upper = null, bounds = '[)', empty = false } = given as RangeGiven
  if (empty) return 'empty'
  if (!/^[[(][\])]$/.test(bounds)) unwritable('of a range', 'bounds that are [], [), (] or ()')
  return `${bounds[0]}${pieceText(write(lower))},${pieceText(write(upper))}${bounds[1]}`
}

const subtypeOf = ({ of, name }: TypeParts): TypePart =>
  of ?? unwritable(name, 'a conversion that is not for ranges, because it is no range')

/** A range as an object: `{ lower: 1, upper: 5, bounds: '[)', empty: false }`. Its ends become what columns of their type become. */
export const range: TypeConversion<Range> = {
  list: false,
  over(parts) {
    const subtype = subtypeOf(parts)
    return {
      read: (text) => (text === 'empty' ? { ...isEmpty } : readRange(new Pieces(text, 0), subtype)),
      write: (value) => rangeText(value, subtype),
    }
  },
}

/** A multirange as a list of ranges. */
export const multirange: TypeConversion<Range[]> = {
  list: true,
  over(parts) {
    const subtype = subtypeOf(parts)
    return {
      read(text) {
        const ranges: Range[] = []
        const pieces = new Pieces(text, 1)
        while (/^[[(]$/.test(text[pieces.at] ?? '')) {
          ranges.push(readRange(pieces, subtype))
          if (text[pieces.at] === ',') pieces.at++
        }
        return text[0] === '{' && text.slice(pieces.at) === '}' ? ranges : unreadable('multirange')
      },
      write: (value) =>
        Array.isArray(value)
          ? `{${value.map((each) => rangeText(each as object, subtype)).join(',')}}`
          : unwritable(parts.name, 'a list of ranges'),
    }
  },
}
