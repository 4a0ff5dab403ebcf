/** What every example answers: its shop has the same endpoints, whatever framework and database are below. */

import { expect } from 'vitest'
import type { Service } from '../../examples/shop/service.ts'

/** Buys two of the ten bottles, asks for what is not there, and closes the service. */
export async function visitShop(service: Service): Promise<void> {
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
}
