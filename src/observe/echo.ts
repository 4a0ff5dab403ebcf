// `echo: true`: prints the statements of one engine, a line each. Started by whoever creates an engine with that option;
// an ordinary subscriber, so it sees text and durations and never a parameter.
import { statementChannel, type StatementEvent } from './channels.ts'
import { notice } from './notice.ts'

const longestText = 2_000

/**
 * Prints every statement of the engine of this name once it has ended: duration, rows or error, SQL text in one line.
 *
 * @param to Where to: true or nothing for standard error, or a function that gets each line without its line break. What
 *   it throws is told as the notice `hook-failed` and stops nothing.
 * @returns Stops it; calling it again does nothing.
 * @see GINO's option `echo`.
 */
export function echo(engine: string, to: true | ((line: string) => void) = true): () => void {
  const write = to === true ? (line: string): unknown => process.stderr.write(`${line}\n`) : to
  const print = (event: StatementEvent): void => {
    if (event.engine !== engine) return
    try {
      write(formatStatement(event))
    } catch {
      notice('hook-failed', 'The function given as the option echo failed; the line is lost.', { engine })
    }
  }
  statementChannel.subscribe(print)
  return () => void statementChannel.unsubscribe(print)
}

function formatStatement({ engine, durationMs, rowCount, error, sql }: StatementEvent): string {
  const result = error === undefined ? `${rowCount} ${rowCount === 1 ? 'row' : 'rows'}` : `failed (${error})`
  return `[${engine}] ${durationMs.toFixed(1)} ms, ${result}: ${oneLine(sql)}`
}

/** Control characters go with the white space: a text must not be able to move the cursor of a terminal. */
function oneLine(sql: string): string {
  const text = sql
    .slice(0, longestText)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return sql.length > longestText ? `${text} …` : text
}
