/** Every folder of examples/ is a service with the same endpoints; this drives them all but that of Next.js (next-app.test.ts). */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Service } from '../../examples/shop/service.ts'
import { freshDatabase } from '../support/database.ts'
import { root } from '../support/source.ts'

const folder = join(root, 'examples')
const frameworks = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !['shop', 'next'].includes(entry.name))
  .map(({ name }) => name)

test.each(frameworks)('the example of %s answers, refuses, rolls back, and closes', async (framework) => {
  await using database = await freshDatabase()
  const { serve } = (await import(join(folder, framework, 'server.ts'))) as {
    serve: (url: string, port: number) => Promise<Service>
  }
  const service = await serve(database.url, 0)
  const ask = async (route: string, body?: object): Promise<{ status: number; text: string }> => {
    const [method = '', path = ''] = route.split(' ')
    const more = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    const response = await fetch(`${service.url}${path}`, { method, ...more })
    return { status: response.status, text: await response.text() }
  }

  expect(await ask('GET /ready')).toMatchObject({ status: 200 })
  expect(await ask('GET /bottles/1')).toEqual({
    status: 200,
    text: '{"id":1,"name":"Old genever","cents":2500,"left":10}',
  })
  expect(await ask('GET /bottles/7')).toMatchObject({
    status: 404,
    text: expect.stringContaining('Bottle is not found'),
  })
  expect(await ask('GET /quotes/1')).toEqual({ status: 200, text: '{"name":"Old genever","dollars":27}' })
  expect(await ask('POST /orders', { bottle: 1, count: 2 })).toEqual({
    status: 201,
    text: '{"id":1,"bottle":1,"count":2}',
  })
  expect(await ask('POST /orders', { bottle: 2, count: 1 })).toMatchObject({
    status: 409,
    text: expect.stringContaining('not so many bottles'),
  })
  await service.close()

  expect(await database.query('select count(*)::int from orders')).toEqual([{ count: 1 }])
  expect(await database.query('select stock from bottles order by id')).toEqual([{ stock: 8 }, { stock: 0 }])
  const sessions = "select count(*)::int from pg_stat_activity where datname = $1 and application_name = ''"
  expect(await database.query(sessions, [database.name])).toEqual([{ count: 0 }])
})
