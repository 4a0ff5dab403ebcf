// Reads a text for MySQL or MariaDB token by token, in one pass, as the server's own lexer does where it matters: what is quoted or
// commented out, and where a word, a statement and a placeholder begin and end. It knows no grammar, never fails, and takes
// time linear in the text. It assumes a session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES, which the driver sees to.
import type { Cut } from '../sql/dialect.ts'
import { cutAt, Token as Shared } from '../sql/scan.ts'

/** `variable` is `@name`, one of the user's; `setting` is `@@name`. `:=` is one token. */
export const Token: typeof Shared & { readonly variable: 8; readonly setting: 9 } = {
  ...Shared,
  variable: 8,
  setting: 9,
}
export type Token = (typeof Token)[keyof typeof Token]

const isStart = (c: number): boolean =>
  (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c === 36 || c >= 128
const isDigit = (c: number): boolean => c >= 48 && c <= 57
const isPart = (c: number): boolean => isStart(c) || isDigit(c)
const isBlank = (c: number): boolean => c === 32 || (c >= 9 && c <= 13)

export class Scanner {
  readonly text: string
  kind: Token = Token.end
  /** The current token is `text.slice(start, end)`. */
  start = 0
  end = 0
  /** The first character of the current token. */
  code = 0
  /** Characters looked at so far: tests hold it to a multiple of the length. */
  work = 0
  /** A quote or comment ran to the end of the text. */
  unterminated = false
  /** The text ends in a comment that only a line break would end. */
  commented = false
  /** How many brackets are open behind the current token. */
  depth = 0
  /** Inside of `/*! … *`+`/`, whose text is code. */
  #executable = false
  /** The current token stands in one that only some servers take for code, by their version or because they are MariaDB. */
  conditional = false

  constructor(text: string) {
    this.text = text
  }

  /** Moves to the next token; `Token.end` for ever once the text is read. */
  next(): Token {
    const { text } = this
    const from = this.end
    const start = this.#skip(from)
    this.start = start
    if (start >= text.length) {
      this.end = text.length
      this.code = 0
      this.work += text.length - from
      return (this.kind = Token.end)
    }
    this.code = text.charCodeAt(start)
    this.kind = this.#read(this.code, start)
    this.work += this.end - from
    return this.kind
  }

  /** The current word in lower case. */
  word(): string {
    return this.text.slice(this.start, this.end).toLowerCase()
  }

  /** The name in the current backticks, or of the current variable. */
  name(): string {
    const written = this.text.slice(this.start, this.end)
    if (this.kind === Token.quoted) return written.slice(1, -1).replaceAll('``', '`')
    const bare = written.replace(/^@+/, '')
    const [quote = ''] = bare
    if (!/[`'"]/.test(quote)) return bare.replaceAll(/[`'"]/g, '')
    const name = bare.slice(1, -1).replaceAll(quote + quote, quote)
    return quote === '`' ? name : name.replaceAll(/\\(.)/gs, (_, escaped: string) => escaped)
  }

  #read(code: number, start: number): Token {
    const { text } = this
    if (isDigit(code)) {
      let at = start + 1
      while (isPart(text.charCodeAt(at))) at++
      this.end = at
      // A name may begin with a digit: `1a`. What `1e5` is makes no difference here.
      return /^\d/.test(text[at - 1] ?? '') ? Token.number : Token.word
    }
    if (isStart(code)) {
      this.end = this.#wordEnd(start + 1)
      return Token.word
    }
    switch (code) {
      case 39:
      case 34:
        this.end = this.#string(code, start + 1)
        return Token.string
      case 96:
        this.end = this.#backticks(start + 1)
        return Token.quoted
      case 63:
        this.end = start + 1
        return Token.parameter
      case 64:
        return this.#variable(start)
      case 58:
        if (isPart(text.charCodeAt(start + 1)) && text.charCodeAt(start - 1) !== 58) {
          this.end = this.#wordEnd(start + 1)
          return Token.named
        }
        this.end = start + (text.charCodeAt(start + 1) === 61 ? 2 : 1)
        return Token.other
      case 40:
        this.depth++
        break
      case 41:
        if (this.depth > 0) this.depth--
        break
    }
    this.end = start + 1
    return Token.other
  }

  #variable(start: number): Token {
    const { text } = this
    const system = text.charCodeAt(start + 1) === 64
    const at = start + (system ? 2 : 1)
    const code = text.charCodeAt(at)
    if (code === 96) this.end = this.#backticks(at + 1)
    else if (code === 39 || code === 34) this.end = this.#string(code, at + 1)
    else {
      let to = at
      while (isPart(text.charCodeAt(to)) || text.charCodeAt(to) === 46) to++
      this.end = to
    }
    return system ? Token.setting : Token.variable
  }

  #wordEnd(from: number): number {
    let at = from
    while (isPart(this.text.charCodeAt(at))) at++
    return at
  }

  #string(quote: number, from: number): number {
    const { text } = this
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === 92) at++
      else if (code === quote) {
        if (text.charCodeAt(at + 1) !== quote) return at + 1
        at++
      }
    }
    this.unterminated = true
    return text.length
  }

  #backticks(from: number): number {
    const { text } = this
    for (let at = text.indexOf('`', from); at >= 0; at = text.indexOf('`', at + 2))
      if (text.charCodeAt(at + 1) !== 96) return at + 1
    this.unterminated = true
    return text.length
  }

  /** Behind blanks and comments. */
  #skip(from: number): number {
    const { text } = this
    let at = from
    this.commented = false
    for (; at < text.length;) {
      const code = text.charCodeAt(at)
      const next = text.charCodeAt(at + 1)
      if (isBlank(code)) at++
      else if (code === 35 || (code === 45 && next === 45 && isEndOfDashes(text.charCodeAt(at + 2)))) {
        const line = text.indexOf('\n', at)
        this.commented = line < 0
        at = line < 0 ? text.length : line + 1
      } else if (code === 47 && next === 42) at = this.#comment(at)
      else if (this.#executable && code === 42 && next === 47) {
        this.#executable = this.conditional = false
        at += 2
      } else break
    }
    if (at >= text.length && this.#executable) this.unterminated = true
    return at
  }

  #comment(at: number): number {
    const { text } = this
    const opening = /\/\*(M?)!(\d{0,6})/y
    opening.lastIndex = at
    const found = opening.exec(text)
    if (found !== null) {
      this.#executable = true
      this.conditional = found[1] !== '' || Number(found[2]) > mostCommonVersion
      return opening.lastIndex
    }
    const close = text.indexOf('*/', at + 2)
    if (close < 0) this.unterminated = true
    return close < 0 ? text.length : close + 2
  }
}

/** Every server is newer, and MariaDB passes over what is for a later one of MySQL. */
const mostCommonVersion = 50_699

/** `--` is a comment only in front of a blank, a control character or the end. */
const isEndOfDashes = (code: number): boolean => Number.isNaN(code) || code <= 32 || code === 127

/** The text cut at its `?`s, or at its `:name`s. */
export function cut(text: string, at: 'positional' | 'named'): Cut {
  return cutAt(new Scanner(text), at, (_, count) => count)
}
