// Reads a PostgreSQL text token by token, in one pass, following the server's own lexer (scan.l) where it matters: what
// is quoted or commented out, and where a word, a statement and a placeholder begin and end. Called by classification,
// named parameters and fragments. It knows no grammar, never fails, and takes time linear in the text whatever it holds.
// It assumes `standard_conforming_strings = on`, which every server since 9.1 has.
import type { Cut } from '../sql/dialect.ts'
import { cutAt, Token } from '../sql/scan.ts'

export { Token }

/** What an open bracket means for a colon inside it. */
const Bracket = { round: 0, constructed: 1, subscript: 2 } as const
type Bracket = (typeof Bracket)[keyof typeof Bracket]

/** Letters, `_` and everything beyond ASCII: the server's `ident_start`. */
const isStart = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c >= 128
const isDigit = (c: number): boolean => c >= 48 && c <= 57
const isBlank = (c: number): boolean => c === 32 || (c >= 9 && c <= 13)
const isNewline = (c: number): boolean => c === 10 || c === 13

const isWordPart = (c: number): boolean => isStart(c) || isDigit(c) || c === 36

export class Scanner {
  readonly text: string
  kind: Token = Token.end
  /** The current token is `text.slice(start, end)`. */
  start = 0
  end = 0
  /** Characters looked at so far, look-ahead included: tests hold it to a multiple of the length. */
  work = 0
  /** A quote or comment ran to the end of the text: the server will refuse it. */
  unterminated = false
  /** The text ends in a `--` comment: what is appended to it would be lost. */
  commented = false
  /** The first character of the current token. */
  code = 0
  readonly #brackets: Bracket[] = []
  /** Whether a `[` here opens an ARRAY constructor rather than a subscript. */
  #constructs = false
  #ascii = true

  constructor(text: string) {
    this.text = text
  }

  /** How many brackets are open behind the current token. */
  get depth(): number {
    return this.#brackets.length
  }

  /** Moves to the next token and returns its kind; `Token.end` for ever once the text is read. */
  next(): Token {
    const { text } = this
    const from = this.end
    const start = this.#skip(from)
    this.start = start
    if (start >= text.length) {
      this.end = start
      this.kind = Token.end
      this.code = 0
      return Token.end
    }
    const code = text.charCodeAt(start)
    this.code = code
    this.kind = this.#read(code, start)
    this.work += this.end - from
    this.#constructs =
      (this.kind === Token.word && this.end - start === 5 && this.word() === 'array') ||
      ((code === 91 || code === 44) && this.kind === Token.other && this.#brackets.at(-1) === Bracket.constructed)
    return this.kind
  }

  /** The current word as the server folds it: ASCII letters in lower case. A word beyond ASCII is no keyword. */
  word(): string {
    const word = this.text.slice(this.start, this.end)
    return this.#ascii ? word.toLowerCase() : word
  }

  /** The name inside the current quoted identifier. Default escapes of `U&"…"` are resolved. */
  name(): string {
    const escaped = this.code !== 34
    const inner = this.text.slice(this.start + (escaped ? 3 : 1), this.end - 1).replaceAll('""', '"')
    if (!escaped) return inner
    return inner.replace(/\\(?:\\|\+([0-9a-f]{6})|([0-9a-f]{4}))/gi, (whole, long?: string, short?: string) => {
      const point = Number.parseInt(long ?? short ?? '', 16)
      return point <= 0x10_ffff ? String.fromCodePoint(point) : whole.slice(1)
    })
  }

  /** Sets `end` and tells the kind of the token that begins at `start`. */
  #read(code: number, start: number): Token {
    const { text } = this
    if (isStart(code)) return this.#word(code, start)
    if (isDigit(code)) {
      this.end = this.#digits(start)
      return Token.number
    }
    switch (code) {
      case 39:
        this.end = this.#closing("'", start + 1)
        return Token.string
      case 34:
        this.end = this.#closing('"', start + 1)
        return Token.quoted
      case 36:
        return this.#dollar(start)
      case 58:
        return this.#colon(start)
      case 40:
        this.#brackets.push(Bracket.round)
        break
      case 91:
        this.#brackets.push(this.#constructs ? Bracket.constructed : Bracket.subscript)
        break
      case 41:
      case 93:
        this.#brackets.pop()
        break
      case 46:
        if (isDigit(text.charCodeAt(start + 1))) {
          this.end = this.#digits(start + 1)
          return Token.number
        }
        break
      default:
    }
    this.end = start + 1
    return Token.other
  }

  /** The first position that is neither blank nor comment. Comments nest and may stand inside operators. */
  #skip(from: number): number {
    const { text } = this
    let at = from
    for (;;) {
      const c = text.charCodeAt(at)
      if (isBlank(c)) at++
      else if (c === 45 && text.charCodeAt(at + 1) === 45) at = this.#line(at + 2)
      else if (c === 47 && text.charCodeAt(at + 1) === 42) at = this.#block(at + 2)
      else return at
    }
  }

  /** The end of a `--` comment: the newline itself, or the end of the text. */
  #line(from: number): number {
    const { text } = this
    let at = from
    while (at < text.length && !isNewline(text.charCodeAt(at))) at++
    this.commented ||= at === text.length
    return at
  }

  #block(from: number): number {
    const { text } = this
    let open = 1
    let at = from
    while (at < text.length) {
      const c = text.charCodeAt(at)
      const next = text.charCodeAt(at + 1)
      if (c === 42 && next === 47) {
        at += 2
        if (--open === 0) return at
      } else if (c === 47 && next === 42) {
        at += 2
        open++
      } else at++
    }
    this.unterminated = true
    return text.length
  }

  /** Behind the closing quote; a doubled quote stands for itself. */
  #closing(quote: string, from: number): number {
    const { text } = this
    const code = quote.charCodeAt(0)
    let at = text.indexOf(quote, from)
    while (at !== -1 && text.charCodeAt(at + 1) === code) at = text.indexOf(quote, at + 2)
    return at === -1 ? this.#runOut() : at + 1
  }

  /** Behind an `E'…'` string. A newline between two quotes continues it, backslashes and all. */
  #escaped(from: number): number {
    const { text } = this
    for (let at = from; at < text.length; at++) {
      const c = text.charCodeAt(at)
      if (c === 92) at++
      else if (c === 39) {
        if (text.charCodeAt(at + 1) === 39) at++
        else {
          const more = this.#continued(at + 1)
          if (more === -1) return at + 1
          at = more
        }
      }
    }
    return this.#runOut()
  }

  /** The position of the quote that continues a string ended at `from`, or -1. */
  #continued(from: number): number {
    const { text } = this
    let newline = false
    let at = from
    for (;;) {
      const c = text.charCodeAt(at)
      if (isBlank(c)) {
        newline ||= isNewline(c)
        at++
      } else if (c === 45 && text.charCodeAt(at + 1) === 45) at = this.#line(at + 2)
      else {
        this.work += at - from
        return c === 39 && newline ? at : -1
      }
    }
  }

  #runOut(): number {
    this.unterminated = true
    return this.text.length
  }

  #digits(from: number): number {
    let at = from
    while (isDigit(this.text.charCodeAt(at))) at++
    return at
  }

  /** A word, or the string or identifier that a one-letter word introduces: `E''`, `U&''`, `U&""`, `B''`, `X''`, `N''`. */
  #word(code: number, start: number): Token {
    const { text } = this
    const next = text.charCodeAt(start + 1)
    const letter = code | 32
    if (next === 39 && (letter === 101 || letter === 98 || letter === 120 || letter === 110)) {
      this.end = letter === 101 ? this.#escaped(start + 2) : this.#closing("'", start + 2)
      return Token.string
    }
    if (next === 38 && letter === 117) {
      const quote = text.charCodeAt(start + 2)
      if (quote === 39 || quote === 34) {
        this.end = this.#closing(quote === 39 ? "'" : '"', start + 3)
        return quote === 39 ? Token.string : Token.quoted
      }
    }
    let at = start
    let bits = 0
    for (let c = code; isWordPart(c); c = text.charCodeAt(++at)) bits |= c
    this.#ascii = bits < 128
    this.end = at
    return Token.word
  }

  /** `$1`, a dollar-quoted string, or a lone `$`. */
  #dollar(start: number): Token {
    const { text } = this
    let at = start + 1
    if (isDigit(text.charCodeAt(at))) {
      this.end = this.#digits(at)
      return Token.parameter
    }
    if (isStart(text.charCodeAt(at))) while (isStart(text.charCodeAt(at)) || isDigit(text.charCodeAt(at))) at++
    this.work += at - start
    if (text.charCodeAt(at) !== 36) {
      this.end = start + 1
      return Token.other
    }
    const tag = text.slice(start, at + 1)
    const close = text.indexOf(tag, at + 1)
    this.end = close === -1 ? this.#runOut() : close + tag.length
    return Token.string
  }

  /** `::`, `:=`, `:name` or a lone colon. In a subscript a colon always belongs to a slice. */
  #colon(start: number): Token {
    const { text } = this
    const next = text.charCodeAt(start + 1)
    if (isStart(next) && this.#brackets.at(-1) !== Bracket.subscript) {
      // Read as the server would: in `json_object('k':e'\'')` a string follows, in `('k':a$$)` a word with dollars.
      const isWord = this.#word(next, start + 1) === Token.word
      if (isWord && !text.slice(start, this.end).includes('$')) return Token.named
      this.work += this.end - start
      this.end = start + 1
      return Token.other
    }
    this.end = start + (next === 58 || next === 61 ? 2 : 1)
    return Token.other
  }
}

/** The text cut at its `$n`, or at its `:name`s. */
export function cut(text: string, at: 'positional' | 'named'): Cut {
  return cutAt(new Scanner(text), at, (written) => Number(written) - 1)
}

/** The statements of a text, without their semicolons; comments alone are none. */
export function statementsOf(text: string): string[] {
  const found: string[] = []
  let from = 0
  let body = 0
  let head: string[] = []
  let before = ''
  const scanner = new Scanner(text)
  const take = (end: number): void => {
    if (head.length > 0) found.push(text.slice(from, end).trim())
    from = end + 1
    head = []
    body = 0
  }
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const word = kind === Token.word ? scanner.word() : ''
    const ends = kind === Token.other && scanner.code === 59
    if (ends && scanner.depth === 0 && body === 0) {
      take(scanner.start)
      before = ''
      continue
    }
    // The body of a SQL-standard function has semicolons that end nothing.
    if (body > 0) body += word === 'case' ? 1 : word === 'end' ? -1 : 0
    else if (word === 'atomic' && before === 'begin' && head[0] === 'create') body = 1
    head.push(word)
    before = word
  }
  take(text.length)
  return found
}
