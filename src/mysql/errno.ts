// What an error of MySQL or MariaDB means, by its number: the SQLSTATE is too coarse (23000 stands for five kinds, HY000 for all the rest).
// Also the names that its message holds, and the message without values.
import { type ErrorFields, type Meaning, meaningOf } from '../sql/dialect.ts'

const usual = meaningOf({})
const standby = meaningOf({ kind: 'read-only', health: 'standby' })

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ...each({ opening: 'full' }, 1040, 1203, 1226),
  ...each({ opening: 'config' }, 1044),
  ...each({ kind: 'unknown-object', opening: 'config' }, 1049),
  ...each({ kind: 'authentication', opening: 'config' }, 1045, 1698, 1820, 1862, 3118, 4151),
  ...each({ health: 'shutdown', opening: 'endpoint', transaction: 'ended' }, 1053, 1077, 1079),
  ...each({ health: 'session', opening: 'endpoint', transaction: 'ended' }, 1927),
  ...each({ kind: 'idle-transaction', health: 'session', transaction: 'ended' }, 4031),
  ...each({ kind: 'unique' }, 1022, 1062, 1169, 1586, 1859),
  ...each({ kind: 'foreign-key' }, 1216, 1452, 1557, 1761, 1762),
  ...each({ kind: 'still-referenced' }, 1217, 1451),
  ...each({ kind: 'not-null' }, 1048, 1364, 1263),
  ...each({ kind: 'check' }, 3819, 4025),
  // All of the transaction is gone: what came next would run in none.
  ...each({ kind: 'deadlock', retryable: true, transaction: 'ended' }, 1213),
  ...each({ kind: 'deadlock', retryable: true }, 1614),
  ...each({ kind: 'serialization', retryable: true, transaction: 'ended' }, 1020),
  ...each({ kind: 'lock-timeout', retryable: true }, 1205, 3572),
  // Nothing of it has run.
  ...each({ kind: 'syntax', about: 'text' }, 1064, 1065, 1149),
  ...each({ kind: 'naming', about: 'text' }, 1052, 1054, 1056, 1060, 1109, 1111, 1146, 1305, 1630),
  // A thread, a trigger, an event.
  ...each({ kind: 'unknown-object', about: 'text' }, 1094, 1360, 1539),
  ...each({ kind: 'object-exists', about: 'text' }, 1007, 1050, 1304, 1359, 1537),
  ...each({ kind: 'cancelled' }, 1317, 1969, 3024, 1028),
  ['1836', standby],
  ...each({ kind: 'read-only' }, 1792),
  ...each(
    { kind: 'data', about: 'value' },
    ...[1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 1441, 1525, 1690, 3140, 3156, 4038, 4079],
  ),
  ...each({ prepared: 'full' }, 1461),
])

function each(part: Partial<Meaning>, ...numbers: readonly number[]): [string, Meaning][] {
  return numbers.map((number) => [String(number), meaningOf(part)])
}

export function explain({ code = '', message = '' }: ErrorFields): Meaning {
  // It names the option that the server is running with: `--read-only` or `--super-read-only`, but `--secure-file-priv` too.
  if (code === '1290' && message.includes('read-only')) return standby
  return meanings.get(code) ?? usual
}

/** As the server sent it. */
export interface Refused {
  readonly errno: number
  readonly sqlState: string
  readonly message: string
}

// For drivers and sandboxes, where they have to speak for the server.
export const interrupted: Refused = { errno: 1317, sqlState: '70100', message: 'Query execution was interrupted' }
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
  const fields: Record<string, string> = { severity: 'ERROR', code: String(errno), sqlState, message }
  return Object.assign(fields, namesIn(errno, message))
}

/** Names of constraints and columns, which the server has in its message alone. */
function namesIn(errno: number, message: string): Record<string, string> {
  const found: Record<string, string> = {}
  const note = (
    name: 'constraint' | 'column' | 'table' | 'schema',
    match: RegExpMatchArray | null,
    group = 1,
  ): void => {
    const text = match?.[group]
    if (text !== undefined) found[name] = text
  }
  switch (errno) {
    case 1062:
    case 1586: {
      // The value may hold what looks like the end: the last one counts. MySQL 8 writes the table in front.
      const key = /.* for key '((?:[^']|'')*)'$/s.exec(message)?.[1]
      if (key !== undefined) found['constraint'] = key.includes('.') ? key.slice(key.lastIndexOf('.') + 1) : key
      break
    }
    case 1451:
    case 1452: {
      const place = /\(`([^`]*)`\.`([^`]*)`, CONSTRAINT `([^`]*)`/.exec(message)
      note('schema', place)
      note('table', place, 2)
      note('constraint', place, 3)
      break
    }
    case 1048:
    case 1364:
    case 1263:
      note('column', /'([^']*)'/.exec(message))
      break
    case 3819:
      note('constraint', /'([^']*)'/.exec(message))
      break
    case 4025: {
      note('constraint', /CONSTRAINT `([^`]*)` failed/.exec(message))
      const place = /failed for `([^`]*)`\.`([^`]*)`/.exec(message)
      note('schema', place)
      note('table', place, 2)
      break
    }
    case 1264:
    case 1265:
    case 1406:
      note('column', /for column '([^']*)'/.exec(message))
      break
    case 1292:
    case 1366:
      note('column', /for column (?:`[^`]*`\.`[^`]*`\.)?[`'](\w+)[`'] at row/.exec(message))
      break
  }
  return found
}

/** Messages of these say what the statement is made of, and quote no values. */
const harmless: ReadonlySet<number> = new Set([
  1020, 1040, 1044, 1045, 1048, 1049, 1050, 1051, 1052, 1053, 1054, 1060, 1091, 1099, 1100, 1109, 1142, 1143, 1146,
  1192, 1205, 1213, 1217, 1223, 1227, 1290, 1295, 1305, 1317, 1364, 1370, 1390, 1406, 1451, 1452, 1461, 1568, 1792,
  1836, 1906, 1969, 3572, 3819, 4025, 4166,
])

/** The message without what it quotes of values. */
export function safeMessage({ code = '', message: said = '' }: ErrorFields): string {
  return clean(Number(code), said)
}

function clean(errno: number, text: string): string {
  if (harmless.has(errno)) return shortened(text)
  if (errno === 1062 || errno === 1586)
    return shortened(text.replace(/^Duplicate entry '.*' for key '/s, "Duplicate entry '…' for key '"))
  // A piece of the statement, which may hold values.
  if (errno === 1064 || errno === 1149)
    return shortened(text.replace(/ near '.*' at line (\d+)$/s, (_, line: string) => ` at line ${line}`))
  return shortened(
    text.replace(/'.*'(?= (?:for column|for function|in|at) )|'.*'/s, "'…'").replaceAll(/"[^"]*"/g, '"…"'),
  )
}

const longest = 2000

const shortened = (text: string): string => (text.length > longest ? `${text.slice(0, longest)}…` : text)
