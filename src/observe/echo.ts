// `echo: true`: prints the statements of one engine, and where its transactions begin and end, a line each. Started by
// whoever creates an engine with that option; an ordinary subscriber, so it sees text and durations and never a parameter.
import { contain } from '../util/thrown.ts'
import {
  type ServerInfo,
  statementChannel,
  type StatementEvent,
  transactionChannel,
  type TransactionEvent,
} from './channels.ts'
import { hookFailed } from './notice.ts'

const longestText = 2_000

/**
 * Prints every statement of one engine once it has ended: duration, rows or error, SQL text in one line; and
 * `begin`, `commit` and `rollback` of its transactions.
 *
 * @param to Where to: true or nothing for standard error, or a function that gets each line without its line break. What
 *   it throws, or rejects with, is told as the notice `hook-failed` and stops nothing.
 * @param server The `server` of the events of that engine, which no other engine has. Without it every engine of the name.
 * @returns Stops it; calling it again does nothing.
 * @see GINO's option `echo`.
 */
export function echo(
  engine: string,
  to: true | ((line: string) => unknown) = true,
  server: ServerInfo | null = null,
): () => void {
  const write = to === true ? (line: string): unknown => process.stderr.write(`${line}\n`) : to
  const failed = (thrown: unknown): void =>
    hookFailed('The function given as the option echo failed; the line is lost.', thrown, { engine })
  const print = (line: string): void => contain(() => write(line), failed)
  const isOurs = (event: StatementEvent | TransactionEvent): boolean =>
    server === null ? event.engine === engine : event.server === server
  const onStatement = (event: StatementEvent): void => {
    if (isOurs(event)) print(formatStatement(event))
  }
  const onTransaction = (event: TransactionEvent): void => {
    if (isOurs(event)) print(formatTransaction(event))
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
