// A migration with statements that refuse to run in a transaction: one after the other, each recorded. Before such a statement
// its intent is written down, so that a run which was cut off knows at which one, and asks the catalogue whether it was done.
import type { Connection } from '../engine/connection.ts'
import type { Executor } from '../engine/query/executor.ts'
import type { Transaction } from '../engine/transaction/transaction.ts'
import { MigrationError, QueryError } from '../errors/index.ts'
import { explain } from '../postgres/sqlstate.ts'
import { doneSql, recordSql } from '../postgres/tool-sql.ts'
import { unconverted } from '../sql/conversions.ts'
import { short, unseen } from './failures.ts'
import { type Patience, waitUntil } from './lock.ts'
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
  /** Of the server, as `server_version_num`. */
  readonly version: number
  /** With sessions that a run left behind. */
  readonly patience: Patience
  /** A transaction that has waited for those that a run left behind. */
  readonly transaction: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>
  /** Runs a statement that refuses a transaction. */
  readonly runAlone: (statement: string) => Promise<unknown>
}

/** Runs what is not done yet; leaves the record of steps, which goes with the record of the file. */
export async function runSteps(connection: Connection, steps: Steps): Promise<void> {
  const { path, hash, statements, begins } = steps
  const marks = async (executor: Executor): Promise<Map<number, boolean>> => {
    const rows = await executor.all<{ step: number; done: boolean }>(recordSql.steps(path), [hash], unconverted)
    return new Map(rows.map(({ step, done }) => [step, done]))
  }
  const mark = (executor: Executor, step: number, done: boolean): Promise<unknown> =>
    executor.status(recordSql.mark(path), [hash, step, done])
  const known = await marks(connection)
  for (const [step, statement] of statements.entries()) {
    if (known.get(step) === true) continue
    await begins(step)
    if (!isAlone(statement) && (steps.version >= enumInTransaction || addedValue(statement) === null)) {
      await steps.transaction(async (tx) => {
        if ((await marks(tx)).get(step) === true) return
        await tx.status(statement)
        await mark(tx, step, true)
      })
      continue
    }
    const begun = known.has(step)
    if (!begun) await mark(connection, step, false)
    await runAlone(connection, statement, begun, steps)
    await mark(connection, step, true)
  }
}

const mostAttempts = 3

/**
 * A statement in no transaction. The session of a run that was killed may still be at it, or begin with it now: then this one
 * fails because the object is there, or no longer there, and the catalogue is asked again.
 */
async function runAlone(connection: Connection, statement: string, begun: boolean, steps: Steps): Promise<void> {
  let asks = begun
  for (let attempt = 1; ; attempt++) {
    if (asks) {
      await untilNobodyRuns(connection, statement, steps.patience)
      if ((await judge(connection, statement, steps.runAlone)) === 'done') return
    }
    try {
      await steps.runAlone(statement)
    } catch (error) {
      if (attempt === mostAttempts || !collided(error) || !isSeen(statement)) throw error
      asks = true
      continue
    }
    // IF NOT EXISTS is content with an index that is INVALID, and does nothing.
    if (!isIndexIfMissing(statement) || attempt === mostAttempts) return
    asks = true
  }
}

/** Waits while another session runs this very statement. */
function untilNobodyRuns(executor: Executor, statement: string, patience: Patience): Promise<void> {
  return waitUntil(patience, async () => {
    const running = await executor.scalar<boolean>(doneSql.running, [statement], unconverted)
    return running !== true
  })
}

/** The object is there already, or not there any more. */
function collided(error: unknown): boolean {
  if (!(error instanceof QueryError)) return false
  const { kind } = explain(error.fields)
  return kind === 'object-exists' || kind === 'unknown-object' || kind === 'deadlock'
}

/** Whether the catalogue shows that it was done. */
function isSeen(statement: string): boolean {
  const said = tokensOf(statement).map(({ text }) => text)
  const [verb, second, third] = said
  const kinds = ['index', 'database', 'tablespace']
  return (
    addedValue(statement) !== null ||
    ((verb === 'create' || verb === 'drop') && (kinds.includes(second ?? '') || third === 'index'))
  )
}

function isIndexIfMissing(statement: string): boolean {
  const said = tokensOf(statement).map(({ text }) => text)
  const index = said.indexOf('index')
  const on = said.indexOf('on')
  return said[0] === 'create' && index !== -1 && index < 3 && said.slice(index, on).includes('if')
}

/**
 * Whether a statement that was begun has had its effect, by the catalogue. Takes away what an unfinished one left behind.
 *
 * @throws {MigrationError} where it cannot be told.
 */
async function judge(executor: Executor, statement: string, run: Steps['runAlone']): Promise<'done' | 'not done'> {
  const words = tokensOf(statement)
  const said = words.map(({ text }) => text)
  const [verb, second, third] = said
  const value = addedValue(statement)
  if (value !== null) return has(executor, doneSql.enumValue, [value.type, value.value])
  if (verb === 'create' && (second === 'index' || third === 'index')) return judgeIndex(executor, statement, words, run)
  if (verb === 'drop' && second === 'index') return judgeDrop(executor, statement, words)
  if (verb === 'create' && (second === 'database' || second === 'tablespace'))
    return has(executor, doneSql[second], [third])
  if (verb === 'drop' && (second === 'database' || second === 'tablespace')) {
    const name = third === 'if' ? said[4] : third
    return (await has(executor, doneSql[second], [name])) === 'done' ? 'not done' : 'done'
  }
  if (verb === 'alter' && said.includes('detach')) return judgeDetach(executor, statement, words, run)
  // They may run again without harm.
  if (
    /^(?:vacuum|analyze|analyse|reindex|cluster|checkpoint)$/.test(verb ?? '') ||
    (verb === 'alter' && second === 'system')
  )
    return 'not done'
  throw unseen(statement)
}

async function has(executor: Executor, sql: string, params: readonly unknown[]): Promise<'done' | 'not done'> {
  return (await executor.scalar<boolean>(sql, params, unconverted)) === true ? 'done' : 'not done'
}

/** An index that a failed CREATE INDEX CONCURRENTLY left behind is INVALID, and IF NOT EXISTS would be content with it. */
async function judgeIndex(
  executor: Executor,
  statement: string,
  words: readonly Word[],
  run: Steps['runAlone'],
): Promise<'done' | 'not done'> {
  const on = words.findIndex(({ text }) => text === 'on')
  const first = words.findIndex(({ text }) => text === 'concurrently') + 1
  const named = words
    .slice(first, on)
    .filter(({ text, kind }, index) => kind > 1 || index === on - first - 1 || !/^(?:if|not|exists)$/.test(text))
  const name = named.at(-1)
  const table = qualified(statement, words, words[on + 1]?.text === 'only' ? on + 2 : on + 1)
  if (name === undefined)
    throw new MigrationError(`Name the index, so that Genever can see whether it was made: ${short(statement)}.`)
  const found = await executor.first<{ valid: boolean; schema: string }>(doneSql.index, [name.text, table], unconverted)
  if (found === undefined) return 'not done'
  if (found.valid) return 'done'
  await run(`drop index concurrently ${quote(found.schema)}.${quote(name.text)}`)
  return 'not done'
}

async function judgeDrop(executor: Executor, statement: string, words: readonly Word[]): Promise<'done' | 'not done'> {
  let at = words.findIndex(({ text }) => text === 'concurrently') + 1
  if (words[at]?.text === 'if') at += 2
  return (await has(executor, doneSql.relation, [qualified(statement, words, at)])) === 'done' ? 'not done' : 'done'
}

async function judgeDetach(
  executor: Executor,
  statement: string,
  words: readonly Word[],
  run: Steps['runAlone'],
): Promise<'done' | 'not done'> {
  const detach = words.findIndex(({ text }) => text === 'detach')
  const partition = qualified(statement, words, detach + 2)
  const pending = await executor.scalar<boolean>(doneSql.detaching, [partition], unconverted)
  if (pending === undefined) return 'done'
  if (!pending) return 'not done'
  await run(`${statement.slice(0, words[detach]?.start)} detach partition ${partition} finalize`)
  return 'done'
}

/** A name with its schema, as it is written. */
function qualified(statement: string, words: readonly Word[], at: number): string {
  const last = words[at + 1]?.raw === '.' ? at + 2 : at
  return statement.slice(words[at]?.start, words[last]?.end)
}
