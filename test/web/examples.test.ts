/** Every folder of examples/ is a service with the same endpoints; this drives them all but those of Next.js (next-app.test.ts) and of MariaDB. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Service } from '../../examples/shop/service.ts'
import { freshDatabase } from '../support/database.ts'
import { visitShop } from '../support/shop.ts'
import { root } from '../support/source.ts'
import { until } from '../support/until.ts'

const folder = join(root, 'examples')
const frameworks = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !['shop', 'next', 'mariadb'].includes(entry.name))
  .map(({ name }) => name)

test.each(frameworks)('the example of %s answers, refuses, rolls back, and closes', async (framework) => {
  await using database = await freshDatabase()
  const { serve } = (await import(join(folder, framework, 'server.ts'))) as {
    serve: (url: string, port: number) => Promise<Service>
  }
  const service = await serve(database.url, 0)
  await visitShop(service)

  expect(await database.query('select count(*)::int from orders')).toEqual([{ count: 1 }])
  expect(await database.query('select stock from bottles order by id')).toEqual([{ stock: 8 }, { stock: 0 }])
  const sessions = "select count(*)::int from pg_stat_activity where datname = $1 and application_name = ''"
  await until(async () => (await database.query(sessions, [database.name]))[0]?.['count'] === 0, {
    what: 'its sessions are gone',
  })
})
