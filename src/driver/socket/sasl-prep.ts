// SASLprep (RFC 4013) of a password, as PostgreSQL does it: what cannot be prepared is taken as it is.

/** RFC 3454, table C.1.2 without the space itself: they become a space. */
const spaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** Table B.1: they become nothing. Some are marks, or join what is around them, so they stand apart. */
const nothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu
/** Tables C.2.1 to C.9: control characters, private use, surrogates, tags and the like. */
const prohibited =
  /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]|\u0340|\u0341/u
/** Letters that are written from right to left. */
const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u
const leftToRight = /[\p{Lu}\p{Ll}\p{Lt}]/u

/**
 * The form of a password that is hashed. Passwords of ASCII are their own.
 *
 * @see PostgreSQL, `src/common/saslprep.c`.
 */
export function saslPrep(password: string): string {
  if (/^[\x20-\x7e]*$/.test(password)) return password
  const prepared = password.replaceAll(spaces, ' ').replaceAll(nothing, '').normalize('NFKC')
  if (prepared === '' || prohibited.test(prepared) || mixesDirections(prepared)) return password
  return prepared
}

/** Section 6 of RFC 3454. */
function mixesDirections(text: string): boolean {
  if (!rightToLeft.test(text)) return false
  const characters = Array.from(text)
  const ends = [characters[0] ?? '', characters.at(-1) ?? '']
  return leftToRight.test(text) || !ends.every((each) => rightToLeft.test(each))
}
