/** A db on a fake server, for what a real one does not do when asked: faults, and the exact messages that were sent. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect } from 'vitest'
import { postgresWords, type Words } from './dialect-words.ts'
import { FakeDriver, type FakeDriverOptions } from './fake/driver.ts'

export interface Fake extends AsyncDisposable {
  readonly db: Db
  readonly driver: FakeDriver
  /** How its server says what tests need. */
  readonly words: Words
  /**
   * What the server received since the last call, one line per Sync, without the number of the session and without the questions
   * whether it still answers: those depend on how long the machine has taken since the last statement.
   */
  sent(): string[]
}

/** Open; leaving its `await using` block closes it. */
export async function fake(server: FakeDriverOptions = {}, options: Omit<EngineOptions, 'driver'> = {}): Promise<Fake> {
  const driver = new FakeDriver(server)
  const db = await createDb({ driver, closeTimeoutMs: 100, ...options }).open()
  let seen = driver.log.length
  return {
    db,
    driver,
    words: postgresWords,
    sent() {
      const lines = driver.log.slice(seen).map((line) => line.replace(/^\d+: /, ''))
      seen = driver.log.length
      return lines.filter((line) => line !== '<ping>')
    },
    async [Symbol.asyncDispose]() {
      await db.close()
    },
  }
}

/** Nothing is lent, no rule of the contract was broken, and the next statement is served. */
export async function sound({ db, driver }: Fake): Promise<void> {
  expect(driver.violations).toEqual([])
  expect(db.stats()).toMatchObject({ reserved: 0, serving: 0, waiting: 0 })
  expect(await db.scalar('select 7')).toBe(7)
}
