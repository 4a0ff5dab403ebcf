/** A pool of a `FakeDriver` that takes several statements at once, and knows a quick read and a slow one. */

import type { Db, EngineOptions } from 'genever'
import { postgresWords as words } from './dialect-words.ts'
import type { FakeDriverOptions } from './fake/driver.ts'
import { fake, sound, type Fake } from './fake.ts'
import type { VirtualTime } from './virtual-time.ts'

export const quick = words.integer
export const slow = `${words.integer} as slow`

export interface Place extends Fake {
  readonly time: VirtualTime
}

/** A db whose pool knows one quick read and one that takes 30 ms, and has one connection open. */
export async function place(
  time: VirtualTime,
  pool: EngineOptions['pool'] = {},
  more: FakeDriverOptions & { readonly reset?: 'always' } = {},
): Promise<Place> {
  const { reset, ...server } = more
  const opening = fake(
    { maxInFlight: 8, tables: { t: [] }, latencyMs: (text) => (text.endsWith('slow') ? 30 : 0), ...server },
    { pool: { max: 2, idleTimeoutMs: Infinity, ...pool }, reset },
  )
  await time.pass(1)
  const made = await opening
  for (let run = 0; run < 3; run++)
    for (const text of [quick, slow]) await during(time, made.db.scalar(text, [run]), 31)
  made.sent()
  return Object.assign(made, { time })
}

/** Lets time pass until something is done. */
export async function during<T>(time: VirtualTime, work: Promise<T>, ms = 5): Promise<T> {
  await time.pass(ms)
  return work
}

export const reads = (db: Db, count: number): Promise<unknown[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => db.scalar(quick, [n])))

export async function end(server: Place): Promise<void> {
  await server.time.pass(5)
  await sound(server)
  const closing = server.db.close()
  await server.time.pass(200)
  await closing
}
