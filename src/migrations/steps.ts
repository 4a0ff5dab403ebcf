// A migration with statements that refuse to run in a transaction: one after the other, each recorded. Before such a statement
// its intent is written down, so that a run which was cut off knows at which one, and asks the catalogue whether it was done.
import type { Connection } from '../engine/connection.ts'
import type { Executor } from '../engine/query/executor.ts'
import { MigrationError } from '../errors/index.ts'
import { addedValue, isAlone, quoteSchema as quote, tokensOf, type Word } from './statements.ts'

/** PostgreSQL 12 and newer run `alter type … add value` in a transaction, but the value cannot be used in the same one. */
const enumInTransaction = 120_000

/** Whether the statements cannot be one transaction. */
export function needsSteps(statements: readonly string[], serverVersion: number): boolean {
  return statements.some((statement, index) => {
    if (isAlone(statement)) return true
    const added = addedValue(statement)
    if (added === null) return false
    return (
      serverVersion < enumInTransaction || statements.slice(index + 1).some((each) => each.includes(`'${added.value}'`))
    )
  })
}

export interface Steps {
  /** The table of steps. */
  readonly path: string
  readonly hash: string
  readonly statements: readonly string[]
  /** Told before a statement runs, with its place from 0. */
  readonly begins: (step: number) => Promise<void> | void
}

/** Runs what is not done yet; leaves the record of steps, which goes with the record of the file. */
export async function runSteps(connection: Connection, { path, hash, statements, begins }: Steps): Promise<void> {
  const rows = await connection.all<{ step: number; done: boolean }>(`select step, done from ${path} where hash = $1`, [
    hash,
  ])
  const known = new Map(rows.map(({ step, done }) => [step, done]))
  const mark = (executor: Executor, step: number, done: boolean): Promise<unknown> =>
    executor.status(
      `insert into ${path} (hash, step, done) values ($1, $2, $3) on conflict (hash, step) do update set done = excluded.done`,
      [hash, step, done],
    )
  for (const [step, statement] of statements.entries()) {
    if (known.get(step) === true) continue
    await begins(step)
    if (!isAlone(statement) && addedValue(statement) === null) {
      await connection.transaction(async (tx) => {
        await tx.status(statement)
        await mark(tx, step, true)
      })
      continue
    }
    const found = known.has(step) ? await judge(connection, statement) : 'not done'
    if (found === 'not done') {
      await mark(connection, step, false)
      await connection.status(statement)
    }
    await mark(connection, step, true)
  }
}

/**
 * Whether a statement that was begun has had its effect, by the catalogue. Takes away what an unfinished one left behind.
 *
 * @throws {MigrationError} where it cannot be told.
 */
async function judge(executor: Executor, statement: string): Promise<'done' | 'not done'> {
  const words = tokensOf(statement)
  const said = words.map(({ text }) => text)
  const [verb, second, third] = said
  const value = addedValue(statement)
  if (value !== null)
    return has(executor, 'select exists (select from pg_enum where enumtypid = to_regtype($1) and enumlabel = $2)', [
      value.type,
      value.value,
    ])
  if (verb === 'create' && (second === 'index' || third === 'index')) return judgeIndex(executor, statement, words)
  if (verb === 'drop' && second === 'index') return judgeDrop(executor, statement, words)
  if (verb === 'create' && (second === 'database' || second === 'tablespace'))
    return has(executor, existence[second], [third])
  if (verb === 'drop' && (second === 'database' || second === 'tablespace')) {
    const name = third === 'if' ? said[4] : third
    return (await has(executor, existence[second], [name])) === 'done' ? 'not done' : 'done'
  }
  if (verb === 'alter' && said.includes('detach')) return judgeDetach(executor, statement, words)
  // They may run again without harm.
  if (
    /^(?:vacuum|analyze|analyse|reindex|cluster|checkpoint)$/.test(verb ?? '') ||
    (verb === 'alter' && second === 'system')
  )
    return 'not done'
  throw new MigrationError(
    `A run of migrations was cut off while this statement ran, and whether it was done cannot be seen: ${short(statement)}. Look, then ` +
      'set its row in the table of steps to done, or delete it.',
  )
}

const existence = {
  database: 'select exists (select from pg_database where datname = $1)',
  tablespace: 'select exists (select from pg_tablespace where spcname = $1)',
} as const

async function has(executor: Executor, sql: string, params: readonly unknown[]): Promise<'done' | 'not done'> {
  return (await executor.scalar<boolean>(sql, params)) === true ? 'done' : 'not done'
}

/** An index that a failed CREATE INDEX CONCURRENTLY left behind is INVALID, and IF NOT EXISTS would be content with it. */
async function judgeIndex(executor: Executor, statement: string, words: readonly Word[]): Promise<'done' | 'not done'> {
  const on = words.findIndex(({ text }) => text === 'on')
  const first = words.findIndex(({ text }) => text === 'concurrently') + 1
  const named = words
    .slice(first, on)
    .filter(({ text, kind }, index) => kind > 1 || index === on - first - 1 || !/^(?:if|not|exists)$/.test(text))
  const name = named.at(-1)
  const table = qualified(statement, words, words[on + 1]?.text === 'only' ? on + 2 : on + 1)
  if (name === undefined)
    throw new MigrationError(`Name the index, so that it can be seen whether it was made: ${short(statement)}.`)
  const found = await executor.first<{ valid: boolean; schema: string }>(
    `select i.indisvalid as valid, n.nspname as schema from pg_index i join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace where c.relname = $1 and i.indrelid = to_regclass($2)`,
    [name.text, table],
  )
  if (found === undefined) return 'not done'
  if (found.valid) return 'done'
  await executor.status(`drop index concurrently ${quote(found.schema)}.${quote(name.text)}`)
  return 'not done'
}

async function judgeDrop(executor: Executor, statement: string, words: readonly Word[]): Promise<'done' | 'not done'> {
  let at = words.findIndex(({ text }) => text === 'concurrently') + 1
  if (words[at]?.text === 'if') at += 2
  return (await has(executor, 'select to_regclass($1) is not null', [qualified(statement, words, at)])) === 'done'
    ? 'not done'
    : 'done'
}

async function judgeDetach(
  executor: Executor,
  statement: string,
  words: readonly Word[],
): Promise<'done' | 'not done'> {
  const detach = words.findIndex(({ text }) => text === 'detach')
  const partition = qualified(statement, words, detach + 2)
  const pending = await executor.scalar<boolean>(
    'select inhdetachpending from pg_inherits where inhrelid = to_regclass($1)',
    [partition],
  )
  if (pending === undefined) return 'done'
  if (!pending) return 'not done'
  await executor.status(`${statement.slice(0, words[detach]?.start)} detach partition ${partition} finalize`)
  return 'done'
}

/** A name with its schema, as it is written. */
function qualified(statement: string, words: readonly Word[], at: number): string {
  const last = words[at + 1]?.raw === '.' ? at + 2 : at
  return statement.slice(words[at]?.start, words[last]?.end)
}

function short(statement: string): string {
  const line = statement.replaceAll(/\s+/g, ' ')
  return line.length > 120 ? `${line.slice(0, 117)}…` : line
}
