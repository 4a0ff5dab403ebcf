// The output of a command: results on standard output, progress and errors on standard error. With colours where a terminal shows them.
import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

interface Out {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

export class Terminal {
  readonly #out: Out
  readonly #err: Out
  readonly json: boolean
  #line = ''

  constructor(json: boolean, out: Out = process.stdout, err: Out = process.stderr) {
    this.json = json
    this.#out = out
    this.#err = err
  }

  get colours(): boolean {
    return coloured(this.#out)
  }

  style(style: Style, text: string): string {
    return coloured(this.#out) ? painted(style, text) : text
  }

  print(text: string = ''): void {
    this.endProgress()
    this.#out.write(`${text}\n`)
  }

  /** The result of a command for programs: one JSON text. */
  printJson(value: unknown): void {
    this.endProgress()
    this.#out.write(`${JSON.stringify(value, plainErrors, 2)}\n`)
  }

  fail(text: string): void {
    this.endProgress()
    this.#err.write(`${coloured(this.#err) ? painted('red', text) : text}\n`)
  }

  /** What goes on now: one line that is written over in a terminal, a line each elsewhere. */
  progress(text: string): void {
    if (this.#err.isTTY !== true) {
      if (text !== this.#line) this.#err.write(`${text}\n`)
      this.#line = text
      return
    }
    const width = (this.#err.columns ?? 80) - 1
    this.#line = text.length > width ? `${text.slice(0, width - 1)}…` : text
    this.#err.write(`\r\u001B[K${this.#line}`)
  }

  endProgress(): void {
    if (this.#line !== '' && this.#err.isTTY === true) this.#err.write('\r\u001B[K')
    this.#line = ''
  }
}

/** https://no-color.org, and FORCE_COLOR as Node has it. */
function coloured({ isTTY }: Out): boolean {
  const { NO_COLOR: none = '', FORCE_COLOR: forced } = process.env
  if (none !== '') return false
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return isTTY === true && process.env['TERM'] !== 'dumb'
}

/** `coloured` has decided; by default newer Nodes decide again, by what they know of standard output. */
function painted(style: Style, text: string): string {
  return styleText(style, text, { validateStream: false })
}

function plainErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  const { code } = value as { readonly code?: unknown }
  return { ...(typeof code === 'string' ? { code } : {}), message: value.message }
}

/** Rows as a table, cut to the width of the terminal. */
export function tableOf(rows: readonly (readonly string[])[], head?: readonly string[]): string {
  const all = head === undefined ? rows : [head, ...rows]
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = all.map(line)
  if (head !== undefined) lines.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('  '))
  return lines.join('\n')
}
