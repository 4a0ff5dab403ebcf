// Prints headings, paragraphs and tables to a terminal. Takes what it is given and knows nothing of databases.

export type Cell = string | number

/** A table under a line of headings; columns of numbers, and those named in `right`, stand to the right. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  right: readonly string[] = [],
): string {
  const columns = headings.map((name, index) => {
    const cells = rows.map((row) => row[index] ?? '')
    const width = Math.max(name.length, ...cells.map((cell) => String(cell).length))
    const toTheRight = right.includes(name) || cells.every((cell) => typeof cell === 'number')
    return { width, toTheRight }
  })
  const line = (cells: readonly Cell[]): string =>
    columns
      .map(({ width, toTheRight }, index) => {
        const text = String(cells[index] ?? '')
        return toTheRight ? text.padStart(width) : text.padEnd(width)
      })
      .join('   ')
  const lines = [line(headings), line(columns.map(({ width }) => '─'.repeat(width))), ...rows.map(line)]
  return lines.map((text) => `  ${text}`.trimEnd()).join('\n')
}

export function heading(text: string): void {
  console.log(`\n${text}\n${'═'.repeat(text.length)}\n`)
}

/** Paragraphs, each wrapped where the caller broke it. */
export function say(...lines: readonly string[]): void {
  console.log(lines.join('\n'))
}

/** Milliseconds as people read them. */
export function duration(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`
}
