// The shop in Hono 4.
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createDb } from 'genever'
import { genever, gracefulShutdown, health } from 'genever/hono'
import { Hono } from 'hono'
import { listen, type Service } from '../shop/service.ts'
import { shopOf, SoldOut } from '../shop/shop.ts'

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const db = createDb()
  const shop = shopOf(db)
  const web = genever(db, { url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 } })
  await web.open()
  await shop.create()

  const app = new Hono()
    .get('/ready', health(db))
    .use(web)
    .get('/bottles/:id', async (c) => c.json(await shop.bottle(Number(c.req.param('id')))))
    .get('/quotes/:id', async (c) => c.json(await shop.quote(Number(c.req.param('id')))))
    .post('/orders', web.transaction(), async (c) => {
      const { bottle, count } = await c.req.json<{ bottle: number; count: number }>()
      return c.json(await shop.order(bottle, count), 201)
    })
    .onError((error, c) => {
      if (error instanceof SoldOut) return c.json({ error: error.message }, error.status)
      // What is not found has one too: a 404 with its message.
      if ('getResponse' in error) return error.getResponse()
      console.error(error)
      return c.text('Internal Server Error', 500)
    })

  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  return { url: await listen(server, port), close: () => gracefulShutdown(server, db) }
}
