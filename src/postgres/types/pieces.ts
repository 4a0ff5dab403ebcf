// What the text forms of composite types and ranges have in common: pieces in brackets, quoted where they hold what separates them.
import { ParameterError, ProtocolError } from '../../errors/index.ts'

export function unreadable(what: string): never {
  throw new ProtocolError(`The server sent a value that is no ${what}`)
}

/** A time in another style than ISO, or beyond the years that a `Date` has. */
export function unreadableTime(type: 'timestamp' | 'date'): never {
  unreadable(
    `${type} that a Date can hold, in a form that is known: set DateStyle to ISO, or select the ${type} as text`,
  )
}

/** @param wanted Behind "takes". */
export function unwritable(type: string, wanted: string): never {
  throw new ParameterError(`A parameter of the type ${type} takes ${wanted}.`)
}

/** Some of these members and no others: what else an object has would be lost. @throws {ParameterError} */
export function checkMembers(type: string, value: object, names: readonly string[]): void {
  const given = Object.entries(value).flatMap(([name, each]) => (each === undefined ? [] : [name]))
  // A date and a map have no members: nothing of them would be written.
  const prototype: unknown = Object.getPrototypeOf(value)
  const fits = given.length > 0 || prototype === null || prototype === Object.prototype
  if (!fits || !given.every((name) => names.includes(name)))
    unwritable(type, `an object with some of the members ${names.join(', ')}, and no others`)
}

/** Reads pieces one after the other; nothing at all is NULL. */
export class Pieces {
  readonly #text: string
  at: number

  constructor(text: string, at: number) {
    this.#text = text
    this.at = at
  }

  /** Up to what ends it, which is not taken. */
  next(ends: string): string | null {
    const text = this.#text
    let piece = ''
    const begin = this.at
    for (let quoted = false; this.at < text.length; this.at++) {
      const char = text[this.at] as string
      if (char === '\\') piece += text[++this.at] ?? ''
      else if (char !== '"') {
        if (!quoted && ends.includes(char)) break
        piece += char
      } else if (quoted && text[this.at + 1] === '"') piece += text[++this.at] as string
      else quoted = !quoted
    }
    return this.at === begin ? null : piece
  }

  /** What stands here, which is taken; `''` at the end. */
  take(): string {
    return this.#text[this.at++] ?? ''
  }
}

/** A piece, quoted where it has to be. */
export function pieceText(value: string | null): string {
  if (value === null) return ''
  return /^[\w.+:-]+$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, '\\$&')}"`
}
