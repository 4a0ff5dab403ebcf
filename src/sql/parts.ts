// Texts cut at their placeholders. Fragments are made of them: from templates, from finished statements, and by joining others. Only the
// tag calls this. Every part closes the quotes and comments it opens, so joining parts never changes the meaning of either.
import { UsageError } from '../errors/index.ts'
import type { Dialect, TextWithParams } from './dialect.ts'
import { assemble } from './parameters.ts'

export interface Parts {
  readonly texts: readonly string[]
  /** For each place between two texts the index of its value. */
  readonly uses: readonly number[]
  /** Values, and `Ref`s, which become text. */
  readonly params: readonly unknown[]
}

/** A name that is quoted when it is known for which database. */
export class Ref {
  readonly path: readonly string[]

  constructor(path: readonly string[]) {
    this.path = path
  }

  quoted(dialect: Dialect): string {
    return this.path.map((name) => dialect.quote(name)).join('.')
  }
}

/** Parts as a statement of a dialect. */
export function place(dialect: Dialect, { texts, uses, params }: Parts): TextWithParams {
  const { placeholder } = dialect
  const refs = params.some((value) => value instanceof Ref)
  if (!refs && placeholder.numbered) return { sql: assemble(placeholder, texts, uses), params }
  const [pieces, left, values]: [string[], number[], unknown[]] = [[texts[0] ?? ''], [], []]
  const numbers = new Map<number, number>()
  uses.forEach((use, index) => {
    const value = params[use]
    const next = texts[index + 1] ?? ''
    if (value instanceof Ref) {
      pieces[pieces.length - 1] += value.quoted(dialect) + next
      return
    }
    let number = placeholder.numbered ? numbers.get(use) : undefined
    if (number === undefined) numbers.set(use, (number = values.push(value) - 1))
    left.push(number)
    pieces.push(next)
  })
  return { sql: assemble(placeholder, pieces, left), params: values }
}

/** Whether another dialect reads a text as the one did by which it was put together: as many placeholders, no quote left open. */
export function readsAlike(dialect: Dialect, text: string, places: number): boolean {
  const { uses, unterminated } = dialect.cut(text, 'positional')
  return uses.length === places && !unterminated
}

/** The facts about a template, found when it was first used. */
export interface Template {
  readonly dialect: Dialect
  /** As another dialect reads the same one. */
  readonly next: Template | undefined
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
export function templateOf(dialect: Dialect, strings: TemplateStringsArray): Template {
  const first = templates.get(strings)
  for (let known = first; known !== undefined; known = known.next) if (known.dialect === dialect) return known
  const template = learn(dialect, strings, first)
  templates.set(strings, template)
  return template
}

/** A frozen array with frozen raw strings is what the language makes, and what no JSON can be. */
function learn(dialect: Dialect, strings: TemplateStringsArray, next: Template | undefined): Template {
  const isTemplate =
    Array.isArray(strings) && Object.isFrozen(strings) && Array.isArray(strings.raw) && Object.isFrozen(strings.raw)
  if (!isTemplate || strings.length !== strings.raw.length) throw new UsageError(misused)
  if (strings.some((text: unknown) => typeof text !== 'string'))
    throw new UsageError('The template has an invalid escape sequence: write a backslash as \\\\.')
  const uses = Array.from({ length: strings.length - 1 }, (_, index) => index)
  const offsets: number[] = []
  const text = assemble(dialect.placeholder, strings, uses, offsets)
  const read = scan(dialect, text, 'The template')
  const places = new Map(offsets.map((offset, index) => [offset, index]))
  const quoted = new Set(uses)
  for (const offset of read.offsets) {
    const index = places.get(offset)
    if (index === undefined)
      throw new UsageError(
        `The template contains a placeholder: interpolate the value instead of ${dialect.placeholder.text(0)}.`,
      )
    quoted.delete(index)
  }
  const texts = closed(strings, read.commented)
  return { dialect, next, texts, uses, text: assemble(dialect.placeholder, texts, uses), quoted }
}

/** Cuts a finished statement at its placeholders, so that they can be counted again. */
export function cut(dialect: Dialect, { sql: text, params }: TextWithParams): Parts {
  const { texts, uses, commented } = scan(dialect, text, 'An interpolated query')
  if (uses.some((use) => use < 0 || use >= params.length))
    throw new UsageError('An interpolated query has more placeholders than values.')
  return { texts: closed(texts, commented), uses, params }
}

/** A text without placeholders. @throws {UsageError} when it has some, or leaves a quote or comment open. */
export function plain(dialect: Dialect, text: string): Parts {
  const { uses, commented } = scan(dialect, text, 'The raw text')
  if (uses.length > 0) throw new UsageError('sql.raw takes no placeholders: use the tag for text with values.')
  return { texts: closed([text], commented), uses: [], params: [] }
}

/** The content of a fragment. */
export type Piece = Parts | Composition

/** How many places it has, for values or names. */
function placesOf(piece: Piece): number {
  return piece instanceof Composition ? piece.values : piece.uses.length
}

/** How many of them are for values. */
export function placeholdersOf(piece: Piece): number {
  const { uses, params } = partsOf(piece)
  return uses.filter((use) => !(params[use] instanceof Ref)).length
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

/** Pieces that are joined once, when they are needed. A fragment that is built step by step is not copied at each step. */
export class Composition {
  #pieces: (string | Value | Piece)[] = []
  #parts: Parts | null = null
  /** How many places it has. */
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
    this.values += placesOf(piece)
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

/** The text cut at its placeholders. @throws {UsageError} when it leaves a quote or comment open. */
function scan(dialect: Dialect, text: string, subject: string): ReturnType<Dialect['cut']> {
  const read = dialect.cut(text, 'positional')
  if (read.unterminated) throw new UsageError(`${subject} leaves a quote or comment open.`)
  return read
}

/** Ends a `--` comment that would otherwise swallow what comes behind. */
const closed = (texts: readonly string[], commented: boolean): readonly string[] =>
  commented ? [...texts.slice(0, -1), `${texts.at(-1)}\n`] : texts
