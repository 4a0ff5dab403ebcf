/** The prose of the project as data: sentences of pages, of messages and of comments, and what makes them hard to read. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { parseSync } from 'vite'

/** The most words of a sentence that is read once. */
export const longest = 30

export interface Sentence {
  /** `docs/models.md:12`. */
  readonly place: string
  readonly text: string
  readonly words: number
}

/** Phrases that make a reader stop, each with its reason. */
export const phrases: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /\btold\b(?! apart)/i, instead: 'say who does it: "reports", "a notice says"' },
  { pattern: /\bof (?:its|his|her|their|your|our|one's) own\b/i, instead: '"its own X", "a separate X"' },
  { pattern: /\bno company\b/i, instead: '"alone"' },
  { pattern: /(?:^|[;:] )what(?:ever)?\b(?!.*\?)/i, instead: 'a noun as the subject' },
  { pattern: /(?:^|[;:] )who(?:ever)?\b(?!.*\?)/i, instead: 'a noun as the subject' },
  { pattern: /^Of (?:a|an|the|its|these|those|several)\b/, instead: 'the subject first' },
  { pattern: /\bbec(?:ame|omes?) of\b/i, instead: '"whether it was committed", "what happens to"' },
  { pattern: /\b(?:its|their|the) (?:like|kin)\b/i, instead: '"and similar functions", or the list' },
  { pattern: /\bthat there (?:is|are) not\b/i, instead: '"unknown"' },
  { pattern: /\b(?:all|every \w+) (?:that )?there (?:may|can) be\b/i, instead: '"all of them"' },
  { pattern: /\bthat (?:is|are) none\b/i, instead: '"is not a …"' },
  { pattern: /\b(?:for|at most) so (?:many|long)\b/i, instead: 'name the option or the unit' },
  { pattern: /\bbehind which\b/i, instead: 'a second sentence' },
  { pattern: /\bwhich is not to\b/i, instead: '"off"' },
  { pattern: /\banew\b/i, instead: '"again"' },
  { pattern: /\bsays? nothing of\b/i, instead: '"does not mention"' },
  { pattern: /\bat hand\b/i, instead: '"available"' },
  { pattern: /\bnobody but\b/i, instead: '"only"' },
]

/** README, CONTRIBUTING, SECURITY and `docs/`, as far as they are there. */
export function pages(root: string): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((path) => `docs/${path.split(sep).join('/')}`)
    .toSorted()
  const top = readdirSync(root).filter((name) => ['CONTRIBUTING.md', 'README.md', 'SECURITY.md'].includes(name))
  return [...top, ...docs.filter((path) => path.endsWith('.md'))]
}

/** The sentences of a page: of paragraphs, items of lists and cells of tables. Code and headings are left out. */
export function sentencesOfPage(root: string, path: string): Sentence[] {
  const lines = readFileSync(join(root, path), 'utf8').split('\n')
  const found: Sentence[] = []
  let text = ''
  let start = 0
  let fenced = false
  const flush = (): void => {
    found.push(...sentences(text, `${path}:${start}`))
    text = ''
  }
  for (const [index, quoted] of lines.entries()) {
    const line = quoted.replace(/^\s*> ?/, '')
    const fence = /^\s*```/.test(line)
    if (fence) fenced = !fenced
    if (fence || fenced || /^[\s>]*$|^#/.test(line)) flush()
    else if (/^\s*\|/.test(line)) {
      flush()
      start = index + 1
      for (const cell of line.split(/(?<!\\)\|/)) found.push(...sentences(cell, `${path}:${start}`))
    } else {
      if (/^\s*(?:[-*]|\d+\.) /.test(line)) flush()
      if (text === '') start = index + 1
      text += `${line.replace(/^\s*(?:[-*]|\d+\.) /, '')}\n`
    }
  }
  flush()
  return found
}

/** Messages: the texts of four words or more in `src`, without SQL. */
export function sentencesOfMessages(root: string): Sentence[] {
  return sources(root).flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8')
    const { program } = parseSync(path, text, { lang: 'ts', sourceType: 'module' })
    return literals(program).flatMap(({ value, start }) =>
      /^\s*(?:select|with|insert|update|delete|create|alter|set|drop|begin|\)|,)\b/.test(value)
        ? []
        : sentences(value, `${path}:${lineOf(text, start)}`).filter(({ words }) => words >= 4),
    )
  })
}

/** The sentences of comments in `src`. */
export function sentencesOfComments(root: string): Sentence[] {
  return sources(root).flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8')
    const { comments } = parseSync(path, text, { lang: 'ts', sourceType: 'module' })
    return comments.flatMap(({ value, start }) =>
      sentences(value.replaceAll(/^\s*\*+/gm, ''), `${path}:${lineOf(text, start)}`),
    )
  })
}

/** Each mark in a sentence, as `place: phrase: sentence`. */
export function marks(found: readonly Sentence[]): string[] {
  return found.flatMap(({ place, text }) =>
    phrases.flatMap(({ pattern, instead }) => {
      const match = pattern.exec(text)
      return match === null ? [] : [`${place}: "${match[0].trim()}" (${instead}): ${text}`]
    }),
  )
}

export function tooLong(found: readonly Sentence[]): Sentence[] {
  return found.filter(({ words }) => words > longest)
}

function sentences(text: string, place: string): Sentence[] {
  if (/^\s*\[[^\]]*\]\(#[^)]*\),?\s*$/.test(text)) return [] // a line of a table of contents
  const plain = text
    .replaceAll(/(`+)[^`]*?\1/g, 'CODE')
    .replaceAll(/“[^”]*”/g, 'TITLE')
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '‹$1›')
    .replaceAll(/\*\*|__|<[^>]+>/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return plain
    .split(/(?<=[.!?]["”)]?) (?=["“(]?[A-Z0-9])/)
    .map((sentence) => ({
      place,
      text: sentence,
      words: sentence.split(/\s+/).filter((word) => /\w/.test(word)).length,
    }))
    .filter(({ words }) => words > 0)
}

function sources(root: string): string[] {
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted()
}

/** Texts and templates, those joined by `+` as one; what a template puts in is one word. */
function literals(node: unknown): { value: string; start: number }[] {
  if (Array.isArray(node)) return node.flatMap((item) => literals(item))
  if (typeof node !== 'object' || node === null) return []
  const { type, start } = node as { type?: string; start?: number }
  const joined = textOf(node)
  if (joined !== undefined && start !== undefined) {
    const inner = type === 'TemplateLiteral' ? literals((node as { expressions: unknown }).expressions) : []
    return [{ value: joined, start }, ...inner]
  }
  if (type === 'ImportDeclaration' || type === 'TSLiteralType') return []
  return Object.values(node).flatMap((value) => literals(value))
}

function textOf(node: unknown): string | undefined {
  const { type, value, quasis, operator, left, right } = node as Record<string, unknown>
  if (type === 'Literal' && typeof value === 'string') return value
  if (type === 'TemplateLiteral')
    return (quasis as { value: { cooked?: string | null } }[]).map((quasi) => quasi.value.cooked ?? '').join('X')
  if (type !== 'BinaryExpression' || operator !== '+') return undefined
  const [a, b] = [textOf(left), textOf(right)]
  return a === undefined || b === undefined ? undefined : a + b
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
