/** A dialect may load its rest with the first engine: nobody sees half of it. */

import { createDb } from 'genever'
import { expect, test, vi } from 'vitest'
import { UsageError } from '../../src/errors/index.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import type { Dialect } from '../../src/sql/dialect.ts'
import { deferred } from '../../src/util/clock.ts'
import { FakeDriver } from '../support/fake/driver.ts'

/** PostgreSQL's, which refuses to judge a text until it is ready, and is that when `load` is called. */
function late(): { readonly dialect: Dialect; readonly asked: Promise<void>; readonly load: () => void } {
  const asked = deferred()
  const loaded = deferred()
  let isReady = false
  const dialect: Dialect = {
    ...postgres,
    async ready() {
      asked.resolve()
      await loaded.promise
      isReady = true
    },
    classify(text) {
      if (!isReady) throw new UsageError('It is not ready.')
      return postgres.classify(text)
    },
  }
  return { dialect, asked: asked.promise, load: () => loaded.resolve() }
}

const driverWith = (dialect: Dialect): FakeDriver =>
  Object.assign(new FakeDriver({ tables: { t: [{ n: 1 }] } }), { dialect })

// The first engine of the process: it loads the code of engines before.
test('an engine waits for its dialect before it connects, and close() serves those who wait for that', async () => {
  const { dialect, asked, load } = late()
  const driver = driverWith(dialect)
  const db = createDb({ driver })
  const row = db.all('select * from t')

  const closing = db.close()
  await asked
  expect(driver.sessions).toEqual([])
  load()

  expect(await row).toEqual([{ n: 1 }])
  expect(await closing).toMatchObject({ broken: [] })
})

test("MySQL's has no classes of texts and no meanings of errors before it is ready, and says so", async () => {
  // Another test of this process may have made it ready.
  vi.resetModules()
  const { mysql } = await import('../../src/mysql/dialect.ts')
  expect(() => mysql.classify('select 1')).toThrow('await its ready() first')
  expect(() => mysql.explain({ code: '1213' })).toThrow('ready()')

  await mysql.ready?.()

  expect(mysql.classify('select 1')).toMatchObject({ cls: 'read', plain: true })
  expect(mysql.explain({ code: '1213' })).toMatchObject({ retryable: true })
  expect(mysql.message({ message: 'a table is missing', code: '1146' }, undefined)).toContain('a table is missing')
})
