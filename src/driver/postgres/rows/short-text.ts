// Reads short texts, of which rows are full, without a call into Node's C++ for each: that call costs more than to look at the bytes
// here. One call with the codes of all characters makes one text, and none for each character.
import type { Bytes } from './row-decoder.ts'

/** Longer ones cost a call of Node's less. */
export const longestShort = 16

const of = String.fromCharCode as (...codes: readonly (number | undefined)[]) => string

/** The text of so many bytes from `s` on. Null: it is not ASCII alone. */
export function shortText(b: Bytes, s: number, length: number): string | null {
  let all = 0
  for (let at = s + length - 1; at >= s; at--) all |= b[at] as number
  if (all > 127) return null
  switch (length) {
    case 0:
      return ''
    case 1:
      return of(b[s])
    case 2:
      return of(b[s], b[s + 1])
    case 3:
      return of(b[s], b[s + 1], b[s + 2])
    case 4:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3])
    case 5:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4])
    case 6:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4], b[s + 5])
    case 7:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4], b[s + 5], b[s + 6])
    case 8:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4], b[s + 5], b[s + 6], b[s + 7])
    case 9:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4], b[s + 5], b[s + 6], b[s + 7], b[s + 8])
    case 10:
      return of(b[s], b[s + 1], b[s + 2], b[s + 3], b[s + 4], b[s + 5], b[s + 6], b[s + 7], b[s + 8], b[s + 9])
    case 11:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
      )
    case 12:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
        b[s + 11],
      )
    case 13:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
        b[s + 11],
        b[s + 12],
      )
    case 14:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
        b[s + 11],
        b[s + 12],
        b[s + 13],
      )
    case 15:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
        b[s + 11],
        b[s + 12],
        b[s + 13],
        b[s + 14],
      )
    default:
      return of(
        b[s],
        b[s + 1],
        b[s + 2],
        b[s + 3],
        b[s + 4],
        b[s + 5],
        b[s + 6],
        b[s + 7],
        b[s + 8],
        b[s + 9],
        b[s + 10],
        b[s + 11],
        b[s + 12],
        b[s + 13],
        b[s + 14],
        b[s + 15],
      )
  }
}
