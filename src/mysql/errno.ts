// What an error of MySQL or MariaDB means, by its number: the one table. The SQLSTATE is too coarse (23000 stands for five kinds, HY000 for
// all the rest). Also the names that its message holds, and the message without values.
import { type ErrorFields, type Meaning, meaningOf } from '../sql/dialect.ts'

interface Row extends Meaning {
  /** Finds names of constraints and columns, which the server has in its message alone. */
  readonly names: RegExp | null
  /** What its message quotes of values, and what stands there instead. Null: it says what the statement is made of, and quotes none. */
  readonly hides: ((message: string) => string) | null
}

const quotes = (text: string): string =>
  text.replace(/'.*'(?= (?:for column|for function|in|at) )|'.*'/s, "'…'").replaceAll(/"[^"]*"/g, '"…"')
const duplicate = (text: string): string =>
  text.replace(/^Duplicate entry '.*' for key '/s, "Duplicate entry '…' for key '")
/** A piece of the statement, which may hold values. */
const piece = (text: string): string =>
  text.replace(/ near '.*' at line (\d+)$/s, (_, line: string) => ` at line ${line}`)

const usual: Row = { ...meaningOf({}), names: null, hides: quotes }

/** A packet that is too large, broken or late: the server has not read the statement, and reads no further. */
const unread = [1153, 1156, 1157, 1159]

type Part = readonly [part: Partial<Row>, ...numbers: readonly number[]]

/** A number may stand in several parts. */
const parts: readonly Part[] = [
  [{ opening: 'full' }, 1040, 1203, 1226],
  [{ opening: 'config' }, 1044],
  [{ kind: 'unknown-object', opening: 'config' }, 1049],
  [{ kind: 'authentication', opening: 'config' }, 1045, 1698, 1820, 1862, 3118, 4151],
  [{ health: 'shutdown', opening: 'endpoint', transaction: 'ended' }, 1053, 1077, 1079],
  [{ health: 'session', opening: 'endpoint', transaction: 'ended' }, 1927],
  [{ health: 'session', transaction: 'ended' }, ...unread],
  [{ kind: 'idle-transaction', health: 'session', transaction: 'ended' }, 4031],
  [{ kind: 'unique' }, 1022, 1062, 1169, 1586, 1859],
  [{ kind: 'foreign-key' }, 1216, 1452, 1557, 1761, 1762],
  [{ kind: 'still-referenced' }, 1217, 1451],
  [{ kind: 'not-null' }, 1048, 1364, 1263],
  [{ kind: 'check' }, 3819, 4025],
  // All of the transaction is gone: what came next would run in none.
  [{ kind: 'deadlock', retryable: true, transaction: 'ended' }, 1213],
  [{ kind: 'deadlock', retryable: true }, 1614],
  [{ kind: 'serialization', retryable: true, transaction: 'ended' }, 1020],
  [{ kind: 'lock-timeout', retryable: true }, 1205, 3572],
  // Nothing of it has run.
  [{ kind: 'syntax', about: 'text' }, 1064, 1065, 1149],
  [{ kind: 'naming', about: 'text' }, 1052, 1054, 1056, 1060, 1109, 1111, 1146, 1305, 1630],
  // A thread, a trigger, an event.
  [{ kind: 'unknown-object', about: 'text' }, 1094, 1360, 1539],
  [{ kind: 'object-exists', about: 'text' }, 1007, 1050, 1304, 1359, 1537],
  [{ kind: 'cancelled' }, 1317, 1969, 3024, 1028],
  [{ kind: 'read-only', health: 'standby' }, 1836],
  [{ kind: 'read-only' }, 1792],
  [
    { kind: 'data', about: 'value' },
    ...[1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 1441, 1525, 1690, 3140, 3156, 4038, 4079],
  ],
  [{ prepared: 'full' }, 1461],
  // Nothing of it has run.
  [{ prepared: 'missing' }, 1243, 1615],
  // The value may hold what looks like the end: the last one counts. MySQL 8 writes the table in front.
  [{ names: /.* for key '(?:(?:[^'.]|'')*\.)*(?<constraint>(?:[^'.]|'')*)'$/s, hides: duplicate }, 1062, 1586],
  [{ names: /\(`(?<schema>[^`]*)`\.`(?<table>[^`]*)`, CONSTRAINT `(?<constraint>[^`]*)`/ }, 1451, 1452],
  [{ names: /'(?<column>[^']*)'/ }, 1048, 1364, 1263],
  [{ names: /'(?<constraint>[^']*)'/ }, 3819],
  [{ names: /CONSTRAINT `(?<constraint>[^`]*)` failed(?: for `(?<schema>[^`]*)`\.`(?<table>[^`]*)`)?/ }, 4025],
  [{ names: /for column '(?<column>[^']*)'/ }, 1264, 1265, 1406],
  [{ names: /for column (?:`[^`]*`\.`[^`]*`\.)?[`'](?<column>\w+)[`'] at row/ }, 1292, 1366],
  [{ hides: piece }, 1064, 1149],
  [
    { hides: null },
    ...[
      1020, 1040, 1044, 1045, 1048, 1049, 1050, 1051, 1052, 1053, 1054, 1060, 1091, 1099, 1100, 1109, 1142, 1143, 1146,
    ],
    ...[
      1192, 1205, 1213, 1217, 1223, 1227, 1290, 1295, 1305, 1317, 1364, 1370, 1390, 1406, 1451, 1452, 1461, 1568, 1792,
    ],
    ...[1836, 1906, 1969, 3572, 3819, 4025, 4166],
  ],
]

let rows: ReadonlyMap<string, Row> | null = null

/** Made of the parts with the first error: a program that uses another database does without. */
function rowsOf(): ReadonlyMap<string, Row> {
  const made = new Map<string, Row>()
  for (const [part, ...numbers] of parts)
    for (const number of numbers.map(String))
      made.set(number, Object.freeze({ ...(made.get(number) ?? usual), ...part }))
  return made
}

const standby: Row = Object.freeze({ ...usual, kind: 'read-only', health: 'standby', hides: null })

function rowOf({ code = '', message = '' }: ErrorFields): Row {
  // It names the option that the server is running with: `--read-only` or `--super-read-only`, but `--secure-file-priv` too.
  if (code === '1290' && message.includes('read-only')) return standby
  rows ??= rowsOf()
  return rows.get(code) ?? usual
}

/** Whether the server had ended the session before, because nothing was sent for too long. */
export function wasIdle({ code }: ErrorFields): boolean {
  return code === '4031'
}

/** Whether the server has not read the statement that it refuses. */
export function wasUnread({ code }: ErrorFields): boolean {
  return unread.includes(Number(code))
}

export const explain: (error: ErrorFields) => Meaning = rowOf

/** As the server sent it. */
export interface Refused {
  readonly errno: number
  readonly sqlState: string
  readonly message: string
}

// For sandboxes, where they have to speak for the server.
export const readsOnly: Refused = {
  errno: 1792,
  sqlState: '25006',
  message: 'Cannot execute statement in a READ ONLY transaction.',
}

export function explainRefused({ errno, message }: Refused): Meaning {
  return explain({ code: String(errno), message })
}

/** The error by field. */
export function fieldsOf({ errno, sqlState, message }: Refused): Readonly<Record<string, string>> {
  const code = String(errno)
  const found = rowOf({ code, message }).names?.exec(message)?.groups ?? {}
  const names = Object.entries(found).filter(([, name]) => name !== undefined)
  return { severity: 'ERROR', code, sqlState, message, ...Object.fromEntries(names) }
}

const longest = 2000

/** The message without what it quotes of values. */
export function safeMessage(error: ErrorFields): string {
  const { message = '' } = error
  const text = rowOf(error).hides?.(message) ?? message
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}
