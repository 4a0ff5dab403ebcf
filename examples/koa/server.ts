// The shop in Koa 3, without a router: it has none of its own.
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { createDb } from 'genever'
import { genever, gracefulShutdown, health } from 'genever/koa'
import Koa from 'koa'
import { listen, type Service } from '../shop/service.ts'
import { shopOf } from '../shop/shop.ts'

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const db = createDb()
  const shop = shopOf(db)
  const web = genever(db, { url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 } })
  await web.open()
  await shop.create()

  const ready = health(db)
  const inTransaction = web.transaction()
  const app = new Koa()
  app.silent = true
  app.use((ctx, next) => (ctx.path === '/ready' ? ready(ctx, next) : next()))
  app.use(web)
  app.use(async (ctx) => {
    const [, name, id] = ctx.path.split('/')
    if (ctx.method === 'GET' && name === 'bottles') ctx.body = await shop.bottle(Number(id))
    else if (ctx.method === 'GET' && name === 'quotes') ctx.body = await shop.quote(Number(id))
    else if (ctx.method === 'POST' && name === 'orders')
      await inTransaction(ctx, async () => {
        const { bottle, count } = (await json(ctx.req)) as { bottle: number; count: number }
        ctx.body = await shop.order(bottle, count)
        ctx.status = 201
      })
  })

  const handle = app.callback()
  const server = createServer((request, response) => void handle(request, response))
  return { url: await listen(server, port), close: () => gracefulShutdown(server, db) }
}
