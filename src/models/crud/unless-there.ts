// Inserts that leave out the rows that are there, where an INSERT cannot name the unique key that decides: each row is inserted in a
// transaction of its own within that of all, and a violation of a unique key ends that one alone. What else is wrong with a row fails, as
// it does everywhere.
import type { Executor } from '../../engine/query/executor.ts'
import { UniqueViolationError } from '../../errors/index.ts'
import type { CallOptions } from '../types/model.ts'

type Insert = (executor: Executor) => Promise<object>

/** Undefined: a row with its key is there. */
export async function insertUnlessThere(
  executor: Executor,
  insert: Insert,
  { timeoutMs, signal }: CallOptions = {},
): Promise<object | undefined> {
  try {
    return await executor.transaction(insert, { timeoutMs, signal })
  } catch (error) {
    if (error instanceof UniqueViolationError) return undefined
    throw error
  }
}

/** All rows or none, but for those that are there. */
export function insertAllUnlessThere(
  executor: Executor,
  inserts: readonly Insert[],
  { timeoutMs, signal }: CallOptions = {},
): Promise<object[]> {
  if (inserts.length === 0) return Promise.resolve([])
  return executor.transaction(
    async (tx) => {
      const made: object[] = []
      for (const insert of inserts) {
        const row = await insertUnlessThere(tx, insert)
        if (row !== undefined) made.push(row)
      }
      return made
    },
    { timeoutMs, signal },
  )
}
