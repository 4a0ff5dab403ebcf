// The statements of a migration: where each begins and ends, which must run alone, and how they are changed for a tenant.
import { MigrationError } from '../errors/index.ts'
import { classify } from '../postgres/classify.ts'
import { Scanner, Token } from '../postgres/lexer.ts'

/** It refuses to run in a transaction, or beside other statements. */
export function isAlone(statement: string): boolean {
  return classify(statement).cls === 'alone'
}

/** It would end the transaction in which migrations and their record belong together. */
export function isControl(statement: string): boolean {
  return classify(statement).hasControl
}

/** What `alter type … add value` adds, as words of the statement; null for any other statement. */
export function addedValue(statement: string): { readonly type: string; readonly value: string } | null {
  const words = tokensOf(statement)
  if (words[0]?.text !== 'alter' || words[1]?.text !== 'type') return null
  const at = words.findIndex(({ text }, index) => text === 'add' && words[index + 1]?.text === 'value')
  if (at === -1) return null
  const literal = words.slice(at + 2).find(({ kind }) => kind === Token.string)
  if (literal === undefined) return null
  const type = statement.slice(words[2]?.start ?? 0, words[at]?.start ?? 0).trim()
  return { type, value: literal.raw.slice(1, -1).replaceAll("''", "'") }
}

export interface Word {
  readonly kind: Token
  /** Folded to lower case where it is a word; the name itself where it is quoted. */
  readonly text: string
  readonly raw: string
  readonly start: number
  readonly end: number
}

/** The tokens of a statement, less comments and blanks. */
export function tokensOf(statement: string): readonly Word[] {
  const scanner = new Scanner(statement)
  const words: Word[] = []
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    const { start, end } = scanner
    const raw = statement.slice(start, end)
    const text = kind === Token.word ? scanner.word() : kind === Token.quoted ? scanner.name() : raw
    words.push({ kind, text, raw, start, end })
  }
  return words
}

/** Names of the objects that statements create, without their schema. */
export function createdNames(statements: Iterable<string>): Set<string> {
  const names = new Set<string>()
  for (const statement of statements) {
    const words = tokensOf(statement)
    if (words[0]?.text !== 'create') continue
    const kind = words.findIndex(({ text }) =>
      /^(?:table|type|domain|sequence|view|function|procedure|aggregate)$/.test(text),
    )
    if (kind === -1) continue
    let at = kind + 1
    while (/^(?:if|not|exists|only)$/.test(words[at]?.text ?? '') && words[at]?.kind === Token.word) at++
    const name = words[at + 1]?.raw === '.' ? words[at + 2] : words[at]
    if (name !== undefined) names.add(name.text)
  }
  return names
}

/**
 * drizzle-kit writes `"public".` in front of enums and the tables of foreign keys. In a tenant's run it is the tenant's schema
 * where the folder itself makes that object; elsewhere it stays if `public` is shared.
 *
 * @throws {MigrationError} where it is neither.
 */
export function inSchema(
  statement: string,
  schema: string,
  created: ReadonlySet<string>,
  shared: readonly string[],
  file: string,
): string {
  const words = tokensOf(statement)
  let text = ''
  let from = 0
  for (const [index, { kind, text: name, start, end }] of words.entries()) {
    const named = words[index + 2]
    if ((kind !== Token.quoted && kind !== Token.word) || name !== 'public') continue
    if (words[index + 1]?.raw !== '.' || named === undefined || words[index - 1]?.raw === '.') continue
    if (created.has(named.text)) {
      text += statement.slice(from, start) + quoteSchema(schema)
      from = end
    } else if (!shared.includes('public'))
      throw new MigrationError(
        `${file} names "public"."${named.text}", which its folder does not make, so a tenant would share it. Name public in ` +
          'shared, or leave the schema out.',
      )
  }
  return text + statement.slice(from)
}

export function quoteSchema(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
