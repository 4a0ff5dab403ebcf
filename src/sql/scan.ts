// What the lexers of all dialects give, and the two walks through a text that are the same for them: it is cut at its
// placeholders, and judged statement by statement. What a token is, and what a statement may do, is the dialect's.
import type { Control, StatementClass } from './compiled.ts'
import type { Classified, Cut } from './dialect.ts'

/** Kinds of tokens; a dialect may have more. */
export const Token = {
  end: 0,
  /** An unquoted word: keyword or identifier. */
  word: 1,
  /** A quoted identifier. */
  quoted: 2,
  string: 3,
  number: 4,
  /** A positional placeholder. */
  parameter: 5,
  /** `:name`. */
  named: 6,
  /** Operators and punctuation. */
  other: 7,
} as const
export type Token = (typeof Token)[keyof typeof Token]

export interface Scanned<Kind extends number = number> {
  readonly text: string
  /** The current token is `text.slice(start, end)`. */
  readonly start: number
  readonly end: number
  /** The first character of the current token. */
  readonly code: number
  /** A quote or comment ran to the end of the text. */
  readonly unterminated: boolean
  /** The text ends in a comment that only a line break would end. */
  readonly commented: boolean
  /** Moves to the next token and gives its kind; `Token.end` for ever once the text is read. */
  next(): Kind
}

/** Whether a word is one of these. They are told apart when the first is asked for: there are many, and the start of a process asks for few. */
export function oneOf(words: string): (word: string) => boolean {
  let all: ReadonlySet<string> | undefined
  return (word) => (all ??= new Set(words.trim().split(/\s+/))).has(word)
}

/** The text cut at its positional placeholders, or at its `:name`s. `use`: which value the `count`th one stands for. */
export function cutAt(
  scanner: Scanned,
  at: 'positional' | 'named',
  use: (written: string, count: number) => number,
): Cut {
  const { text } = scanner
  const wanted = at === 'named' ? Token.named : Token.parameter
  const texts: string[] = []
  const offsets: number[] = []
  const uses: number[] = []
  const known = new Map<string, number>()
  let from = 0
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    if (kind !== wanted) continue
    const written = text.slice(scanner.start + 1, scanner.end)
    if (at === 'named' && !known.has(written)) known.set(written, known.size)
    texts.push(text.slice(from, scanner.start))
    offsets.push(scanner.start)
    uses.push(known.get(written) ?? use(written, uses.length))
    from = scanner.end
  }
  texts.push(text.slice(from))
  const { unterminated, commented } = scanner
  return { texts, offsets, uses, names: [...known.keys()], unterminated, commented }
}

export type Verdict = readonly [cls: StatementClass, dirties: number, pins: number]

/** One statement while it is read. */
export interface Reading<Kind extends number> {
  readonly empty: boolean
  /** Whether a semicolon would end it here. */
  readonly whole: boolean
  /** Its first keyword in upper case. */
  readonly verb: string
  /** Once it was judged to be one. */
  readonly control: Control | null
  take(kind: Kind): void
  judge(): Verdict
}

/** What is found in a text whatever its dialect. */
export type Found = {
  -readonly [Key in 'cls' | 'verb' | 'dirties' | 'pins' | 'hasControl' | 'control' | 'named']: Classified[Key]
} & {
  statements: number
}

/** Reads a text statement by statement. `parameter` hears of every positional placeholder, `over` of every statement that was judged. */
export function readStatements<Kind extends number, S extends Reading<Kind>>(
  scanner: Scanned<Kind>,
  begin: () => S,
  parameter: (statement: S) => void,
  over: (statement: S) => void,
): Found {
  const found: Found = {
    cls: 'write',
    verb: '',
    dirties: 0,
    pins: 0,
    hasControl: false,
    control: null,
    named: false,
    statements: 0,
  }
  let statement = begin()
  for (;;) {
    const kind = scanner.next()
    if (kind === Token.parameter) parameter(statement)
    else if (kind === Token.named) found.named = true
    if (kind !== Token.end && !(scanner.code === 59 && kind === Token.other && statement.whole)) {
      statement.take(kind)
      continue
    }
    if (!statement.empty) {
      const [cls, dirties, pins] = statement.judge()
      if (found.statements++ === 0) {
        found.verb = statement.verb
        if (cls === 'control') found.control = statement.control
      }
      found.cls = found.statements === 1 ? cls : 'multi'
      found.dirties |= dirties
      found.pins |= pins
      found.hasControl ||= cls === 'control'
      over(statement)
    }
    if (kind === Token.end) return found
    statement = begin()
  }
}
