/** The stack of an error that the database caused has the caller's line. */

import { type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  const wrong = 'select nothing'
  /** Named, so that its frame is found in stacks. */
  const awaited = async (work: () => PromiseLike<unknown>): Promise<void> => {
    await work()
  }
  const calls: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
    'await db.all()': async (db) => void (await db.all(wrong)),
    'await db.first()': async (db) => void (await db.first(wrong)),
    'await db.one()': async (db) => void (await db.one(wrong)),
    'await db.oneOrNone()': async (db) => void (await db.oneOrNone(wrong)),
    'await db.scalar()': async (db) => void (await db.scalar(wrong)),
    'await db.status()': async (db) => void (await db.status(wrong)),
    'await db.sql': async (db) => void (await db.sql`select nothing`),
    'await db.sql.one()': async (db) => void (await db.sql`select nothing`.one()),
    'await cursor.read()': async (db) => void (await db.iterate(wrong).read()),
    'for await': async (db) => {
      for await (const _ of db.iterate(wrong));
    },
    'for await of batches()': async (db) => {
      for await (const _ of db.iterate(wrong).batches());
    },
    'await db.executeMany()': async (db) => void (await db.executeMany('select nothing + :n', [{ n: 1 }, { n: 2 }])),
    'return db.all()': (db) => awaited(() => db.all(wrong)),
    'Promise.all': async (db) => void (await Promise.all([db.scalar('select 1'), db.all(wrong)])),
    'then(), awaited': async (db) => void (await db.all(wrong).then(() => 1)),
    'after another await': async (db) => {
      await db.scalar('select 1')
      await db.all(wrong)
    },
  }

  test.each(Object.entries(calls))('the stack has the line of the caller: %s', async (_, call) => {
    const db = await driver.db()
    const stacks = [
      await caught(call(db)),
      await caught(db.scope(() => call(db))),
      await caught(db.transaction(() => call(db))),
      await caught(db.transaction(() => db.transaction(() => call(db)))),
    ].map(({ stack = '' }) => stack.split('\n'))

    for (const [first = '', ...frames] of stacks) {
      expect(first).toMatch(/^SqlSyntaxError: .*\bnothing\b/)
      expect(frames.find((frame) => frame.includes('errors-stack.test.ts'))).toBeDefined()
    }
  })

  test('the first line of the stack that is not ours is exactly that of the call', async () => {
    const db = await driver.db()
    const lineOf = (stack = ''): number => Number(/errors-stack\.test\.ts:(\d+)/.exec(stack)?.[1])
    const here = lineOf(new Error('here').stack)
    const error = await caught(
      (async () => {
        await db.all(wrong)
      })(),
    )

    expect(lineOf(error.stack)).toBe(here + 3)
  })
})
