/** Engines that prepare statements by name through a transaction pooler, and what the server behind it has prepared. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { freshDatabase, type FreshDatabase, onServer } from '../support/database.ts'
import { type PgBouncer, type Pooler, startPgBouncer } from '../support/pooler.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

export const sessions = 2

export interface Place<P extends Pooler> extends Behind {
  readonly pooler: P
}

export async function placeOf<P extends Pooler>(
  start: (target: string) => Promise<P>,
  options: EngineOptions,
): Promise<Place<P>> {
  const direct = await freshDatabase('create table t (n int, who text)')
  const pooler = await start(direct.url)
  return { ...behind(direct, pooler, { pooler: 'transaction', prepare: true, ...options }), pooler }
}

/** The texts that the sessions of the server have prepared: of each session, as the pooler hands them out. */
export async function preparedBehind(db: Db): Promise<string[]> {
  const seen = new Set<string>()
  await Promise.all(
    Array.from({ length: sessions }, () =>
      db.transaction(async (tx) => {
        for (const { name, text } of await tx.all<{ name: string; text: string }>(
          'select name, statement as text from pg_prepared_statements',
        ))
          seen.add(`${name.replace(/_.*/, '')}: ${text.trim()}`)
      }),
    ),
  )
  return [...seen]
}

/** A scope issues a read of a locked table, a loop and a read, which goes out before the first was answered, or does not. */
export async function issueTogether({ url, name }: FreshDatabase, pooler: Pooler, together: boolean): Promise<void> {
  await using proxy = await startProxy(pooler.url)
  await using db = createDb(proxy.url, { driver: 'socket', pooler: 'transaction', prepare: true, pool: { max: 1 } })
  await using holder = createDb(url)
  await using holding = await holder.acquire()
  const lock = await holding.begin()
  await lock.status('lock table t')
  const last = proxy.on({ to: 'server', text: 'as last', when: 'after' }, () => {})
  await db.scope(async (connection) => {
    const loop = async (): Promise<unknown[]> => {
      const rows: unknown[] = []
      // Only the server knows the type of the parameter.
      for await (const { n } of connection.iterate('select n from numbers where n < $1', [3])) rows.push(n)
      return rows
    }
    const answers = Promise.all([connection.all('select n from t'), connection.scalar('select 3 as last'), loop()])
    await until(async () => (await waitingFor(name)) === 1, { what: 'the first waits for the lock' })
    if (together) await until(() => last.link !== null, { what: 'the last went out' })
    else expect(last.link).toBeNull()
    await lock.rollback()

    expect(await answers).toEqual([[], 3, [1, 2]])
    expect(await connection.scalar('select 7')).toBe(7)
  })
}

async function waitingFor(database: string): Promise<number> {
  return (await onServer(`select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`, [database]))
    .length
}

/** A pooler of this machine with one database behind it, and an engine that prepares statements through it. */
export function placeBehind(
  driver: 'pg' | 'socket',
  options: EngineOptions = {},
  kept = 100,
): Promise<Place<PgBouncer>> {
  return placeOf((target) => startPgBouncer(target, sessions, kept), { driver, pool: { max: 10 }, ...options })
}
