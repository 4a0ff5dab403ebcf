// Texts cut at their placeholders, which is what fragments are made of: from templates, from finished statements, and by
// joining others. Called by the tag only. Whatever is made here closes the quotes and comments it opens, so that joining
// parts never changes the meaning of either.
import { UsageError } from '../errors/index.ts'
import type { Statement } from './statement.ts'
import { assemble, Scanner, Token } from './text/scan.ts'

export interface Parts {
  readonly texts: readonly string[]
  /** For each placeholder, between two texts, which of the values it stands for. */
  readonly uses: readonly number[]
  readonly params: readonly unknown[]
}

/** What was found out about a template when it was first used. */
export interface Template {
  readonly texts: readonly string[]
  readonly uses: readonly number[]
  /** The whole text when every value is a parameter. */
  readonly text: string
  /** Positions inside quotes or comments, where only plain SQL may stand. */
  readonly quoted: ReadonlySet<number>
}

export const misused =
  'sql is a template tag: write sql`select ${value}`, and for text that is SQL itself sql.raw(text).'

/** By the strings array, which exists once per place in the source. */
const templates = new WeakMap<TemplateStringsArray, Template>()

/** The template of a strings array. @throws {UsageError} when it is not the work of a tagged template, or is malformed. */
export function templateOf(strings: TemplateStringsArray): Template {
  const known = templates.get(strings)
  if (known !== undefined) return known
  const template = learn(strings)
  templates.set(strings, template)
  return template
}

/** A frozen array with frozen raw strings is what the language makes, and what no JSON can be. */
function learn(strings: TemplateStringsArray): Template {
  const isTemplate =
    Array.isArray(strings) && Object.isFrozen(strings) && Array.isArray(strings.raw) && Object.isFrozen(strings.raw)
  if (!isTemplate || strings.length !== strings.raw.length) throw new UsageError(misused)
  if (strings.some((text: unknown) => typeof text !== 'string'))
    throw new UsageError('The template has an invalid escape sequence: write a backslash as \\\\.')
  const uses = Array.from({ length: strings.length - 1 }, (_, index) => index)
  const offsets: number[] = []
  const text = assemble(strings, uses, offsets)
  const { placeholders, commented } = scan(text, 'The template')
  const places = new Map(offsets.map((offset, index) => [offset, index]))
  const quoted = new Set(uses)
  for (const { start } of placeholders) {
    const index = places.get(start)
    if (index === undefined)
      throw new UsageError('The template has a placeholder of its own: interpolate the value instead of $1.')
    quoted.delete(index)
  }
  const texts = closed(strings, commented)
  return { texts, uses, text: assemble(texts, uses), quoted }
}

/** Cuts a finished statement at its placeholders, so that they can be counted anew. */
export function cut({ sql: text, params }: Pick<Statement, 'sql' | 'params'>): Parts {
  const { placeholders, commented } = scan(text, 'An interpolated query')
  const uses = placeholders.map(({ start, end }) => Number(text.slice(start + 1, end)) - 1)
  if (uses.some((use) => use < 0 || use >= params.length))
    throw new UsageError('An interpolated query has more placeholders than values.')
  const starts = [0, ...placeholders.map(({ end }) => end)]
  const texts = starts.map((start, index) => text.slice(start, placeholders[index]?.start))
  return { texts: closed(texts, commented), uses, params }
}

/** A text without placeholders. @throws {UsageError} when it has some, or leaves a quote or comment open. */
export function plain(text: string): Parts {
  const { placeholders, commented } = scan(text, 'The raw text')
  if (placeholders.length > 0) throw new UsageError('sql.raw takes no placeholders: use the tag for text with values.')
  return { texts: closed([text], commented), uses: [], params: [] }
}

/** What a fragment is made of. */
export type Piece = Parts | Composition

/** How many placeholders it has. */
export function placeholdersOf(piece: Piece): number {
  return piece instanceof Composition ? piece.values : piece.uses.length
}

export function partsOf(piece: Piece): Parts {
  return piece instanceof Composition ? piece.parts : piece
}

class Value {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

/** Pieces that are put together when they are needed, once: what is built step by step from what was built before is not copied at each. */
export class Composition {
  #pieces: (string | Value | Piece)[] = []
  #parts: Parts | null = null
  /** How many placeholders it has. */
  values = 0

  text(text: string): void {
    this.#pieces.push(text)
  }

  value(value: unknown): void {
    this.#pieces.push(new Value(value))
    this.values++
  }

  piece(piece: Piece): void {
    this.#pieces.push(piece)
    this.values += placeholdersOf(piece)
  }

  get parts(): Parts {
    if (this.#parts !== null) return this.#parts
    this.#parts = this.#put()
    this.#pieces = []
    return this.#parts
  }

  /** However deep they are nested. */
  #put(): Parts {
    const made = new Assembly()
    const open = [{ pieces: this.#pieces, at: 0 }]
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const piece = top.pieces[top.at++]
      if (piece === undefined) open.pop()
      else if (typeof piece === 'string') made.text(piece)
      else if (piece instanceof Value) made.value(piece.value)
      else if (piece instanceof Composition && piece.#parts === null) open.push({ pieces: piece.#pieces, at: 0 })
      else made.add(partsOf(piece))
    }
    return made
  }
}

/** Parts that grow. */
class Assembly implements Parts {
  readonly texts: string[] = ['']
  readonly uses: number[] = []
  readonly params: unknown[] = []

  text(text: string): void {
    this.texts[this.texts.length - 1] += text
  }

  value(value: unknown): void {
    this.uses.push(this.params.length)
    this.params.push(value)
    this.texts.push('')
  }

  add({ texts, uses, params }: Parts): void {
    const before = this.params.length
    for (const param of params) this.params.push(param)
    this.text(texts[0] ?? '')
    for (let index = 0; index < uses.length; index++) {
      this.uses.push(before + (uses[index] ?? 0))
      this.texts.push(texts[index + 1] ?? '')
    }
  }
}

interface Scanned {
  readonly placeholders: readonly { readonly start: number; readonly end: number }[]
  readonly commented: boolean
}

/** Where the placeholders of a text are. @throws {UsageError} when it leaves a quote or comment open. */
function scan(text: string, subject: string): Scanned {
  const scanner = new Scanner(text)
  const placeholders: { start: number; end: number }[] = []
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next())
    if (kind === Token.parameter) placeholders.push({ start: scanner.start, end: scanner.end })
  if (scanner.unterminated) throw new UsageError(`${subject} leaves a quote or comment open.`)
  return { placeholders, commented: scanner.commented }
}

/** Ends a `--` comment that would otherwise swallow what comes behind. */
const closed = (texts: readonly string[], commented: boolean): readonly string[] =>
  commented ? [...texts.slice(0, -1), `${texts.at(-1)}\n`] : texts
