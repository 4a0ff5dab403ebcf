/** Writers who note what became of each of their writes, to be compared with what the database has in the end. */

import { type Db, GeneverError } from 'genever'

export interface Ledger {
  readonly acknowledged: number[]
  /** The error says that they may have been done. */
  readonly unknown: number[]
  /** The error says that they were not done. */
  readonly undone: number[]
  /** When each of the acknowledged was, as `performance.now()`. */
  readonly at: number[]
  /** Settles when every writer has ended the write it is at. */
  stop(): Promise<void>
}

/** What the ledger says and the table does not. */
export interface Difference {
  /** Acknowledged, but not there. */
  readonly lost: number[]
  /** There, although the error says that it was not done. */
  readonly denied: number[]
}

export const ledgerTable = 'create table ledger (n int primary key)'

export function keepLedger(db: Db, writers: number): Ledger {
  const [acknowledged, unknown, undone, at]: [number[], number[], number[], number[]] = [[], [], [], []]
  let last = 0
  const ends = new AbortController()
  const insert = 'insert into ledger values ($1)'
  const writer = async (which: number): Promise<void> => {
    while (!ends.signal.aborted) {
      const n = ++last
      try {
        if (which % 3 === 0) await db.status(insert, [n])
        else if (which % 3 === 1) await db.transaction((tx) => tx.status(insert, [n]))
        else await db.scope(() => db.scalar('select 1').then(() => db.status(insert, [n])))
        acknowledged.push(n)
        at.push(performance.now())
      } catch (error) {
        if (!(error instanceof GeneverError)) throw error
        if (error.outcome === 'unknown') unknown.push(n)
        else undone.push(n)
      }
    }
  }
  const all = Promise.all(Array.from({ length: writers }, (_, which) => writer(which)))
  return {
    acknowledged,
    unknown,
    undone,
    at,
    async stop() {
      ends.abort()
      await all
    },
  }
}

export function compare({ acknowledged, undone }: Ledger, rows: readonly Record<string, unknown>[]): Difference {
  const there = new Set(rows.map(({ n }) => n))
  return { lost: acknowledged.filter((n) => !there.has(n)), denied: undone.filter((n) => there.has(n)) }
}
