// `echo: true`: prints the statements of one engine, and where its transactions begin and end, a line each. Started by
// whoever creates an engine with that option; an ordinary subscriber, so it sees text and durations and never a parameter.
import { statementChannel, type StatementEvent, transactionChannel, type TransactionEvent } from './channels.ts'
import { notice } from './notice.ts'

const longestText = 2_000

/**
 * Prints every statement of the engine of this name once it has ended: duration, rows or error, SQL text in one line; and
 * `begin`, `commit` and `rollback` of its transactions.
 *
 * @param to Where to: true or nothing for standard error, or a function that gets each line without its line break. What
 *   it throws is told as the notice `hook-failed` and stops nothing.
 * @returns Stops it; calling it again does nothing.
 * @see GINO's option `echo`.
 */
export function echo(engine: string, to: true | ((line: string) => void) = true): () => void {
  const write = to === true ? (line: string): unknown => process.stderr.write(`${line}\n`) : to
  const print = (line: string): void => {
    try {
      write(line)
    } catch {
      notice('hook-failed', 'The function given as the option echo failed; the line is lost.', { engine })
    }
  }
  const onStatement = (event: StatementEvent): void => {
    if (event.engine === engine) print(formatStatement(event))
  }
  const onTransaction = (event: TransactionEvent): void => {
    if (event.engine === engine) print(formatTransaction(event))
  }
  statementChannel.subscribe(onStatement)
  transactionChannel.subscribe(onTransaction)
  return () => {
    statementChannel.unsubscribe(onStatement)
    transactionChannel.unsubscribe(onTransaction)
  }
}

function formatStatement({ engine, durationMs, rowCount, error, sql }: StatementEvent): string {
  const result = error === undefined ? `${rowCount} ${rowCount === 1 ? 'row' : 'rows'}` : `failed (${error})`
  return `[${engine}] ${durationMs.toFixed(1)} ms, ${result}: ${oneLine(sql)}`
}

/** `commit`, `rollback savepoint`: what became of it, which is seldom just that statement being sent. */
function formatTransaction({ engine, event, durationMs, parent }: TransactionEvent): string {
  return `[${engine}] ${durationMs.toFixed(1)} ms, ${event === 'unknown' ? 'commit with unknown outcome' : event}${parent === null ? '' : ' savepoint'}`
}

/** Control characters go with the white space: a text must not be able to move the cursor of a terminal. */
function oneLine(sql: string): string {
  const text = sql
    .slice(0, longestText)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return sql.length > longestText ? `${text} …` : text
}
