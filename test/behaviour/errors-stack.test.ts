/** The stack of an error that the database caused has the caller's line. */

import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { type Db, GeneverError } from 'genever'
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

  /** Their errors reach code that the stream calls, far from the line that made it; where there is no COPY, that is the error. */
  const streams: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
    'copyFrom().from()': (db) => awaited(() => db.copyFrom('no_such_table').from(['1\n'])),
    'copyFrom().writable()': (db) => pipeline(['1\n'], db.copyFrom('no_such_table').writable()),
    'copyFrom().writable(), by write()': async (db) => {
      const stream = db.copyFrom('no_such_table').writable()
      const failed = once(stream, 'error')
      stream.write('1\n')
      throw (await failed)[0]
    },
    'copyFrom().stream()': (db) => new Blob(['1\n']).stream().pipeTo(db.copyFrom('no_such_table').stream()),
    'copyFrom().stream(), given what no row is': async (db) => {
      const writer = db.copyFrom('no_such_table').stream().getWriter()
      writer.closed.catch(() => {})
      await writer.write(7 as never)
    },
    'for await of copyTo()': async (db) => {
      for await (const _ of db.copyTo('no_such_table'));
    },
    'copyTo().readable()': (db) => db.copyTo('no_such_table').readable().toArray(),
    'copyTo().stream()': (db) => new Response(db.copyTo('no_such_table').stream()).arrayBuffer(),
  }

  test.each(Object.entries(streams))('the stack has the line that made the stream: %s', async (_, call) => {
    const db = await driver.db()
    for (const error of [await caught(call(db)), await caught(db.scope(() => call(db)))]) {
      expect(error).toBeInstanceOf(GeneverError)
      expect(error.stack).toMatch(/errors-stack\.test\.ts/)
      expect(error.stack?.startsWith(`${error.name}: ${error.message}`)).toBe(true)
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
