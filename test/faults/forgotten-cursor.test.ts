/** A cursor outside of every scope that is neither read to its end nor closed: it holds a connection, and that is told. */

import type { Db } from 'genever'
import { afterEach, expect, test, vi } from 'vitest'
import { hear } from '../support/events.ts'
import { until } from '../support/until.ts'
import { site, sound } from './support.ts'

const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
afterEach(() => {
  warnings.mockClear()
})

async function forget(db: Db): Promise<void> {
  await db.iterate('select generate_series(1, 100)', [], { batchSize: 10 }).read()
}

test('the leak report names the place of its iterate(), and close() does not wait for it beyond its deadline', async () => {
  await using place = await site({ name: 'forgotten', pool: { max: 1 }, leak: { afterMs: 50 } })
  using heard = hear('forgotten')

  await forget(place.db)
  await until(() => heard.notices.length > 0)

  expect(heard.notices[0]?.code).toBe('connection-leak')
  expect(heard.notices[0]?.places.join()).toMatch(/cursor opened at .*forgotten-cursor\.test\.ts:\d+:\d+ \(forget\)/)
  expect(place.db.stats()).toMatchObject({ reserved: 1 })
  const { broken } = await place.db.close({ timeoutMs: 100 })
  expect(broken.join()).toContain('forgotten-cursor.test.ts')
})

test('in a scope its end closes it', async () => {
  await using place = await site({ pool: { max: 1 } })

  await place.db.scope(() => forget(place.db))

  await sound(place)
  expect(place.proxy.links).toHaveLength(1)
})
