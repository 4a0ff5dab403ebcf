// The shop in h3 2.
import { createServer } from 'node:http'
import { createDb } from 'genever'
import { genever, gracefulShutdown, health } from 'genever/h3'
import { H3, readBody, toNodeHandler } from 'h3'
import { listen, type Service } from '../shop/service.ts'
import { shopOf, SoldOut } from '../shop/shop.ts'

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const db = createDb()
  const shop = shopOf(db)
  const web = genever(db, { url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 } })
  await web.open()
  await shop.create()

  const app = new H3({
    silent: true,
    onError({ cause }) {
      return cause instanceof SoldOut ? Response.json({ error: cause.message }, { status: cause.status }) : undefined
    },
  })
  app.use(web)
  app.get('/ready', health(db))
  app.get('/bottles/:id', (event) => shop.bottle(Number(event.context.params?.['id'])))
  app.get('/quotes/:id', (event) => shop.quote(Number(event.context.params?.['id'])))
  app.post(
    '/orders',
    async (event) => {
      const { bottle, count } = (await readBody<{ bottle: number; count: number }>(event)) ?? { bottle: 0, count: 0 }
      const order = await shop.order(bottle, count)
      event.res.status = 201
      return order
    },
    { middleware: [web.transaction()] },
  )

  const handle = toNodeHandler(app)
  const server = createServer((request, response) => void handle(request, response))
  return { url: await listen(server, port), close: () => gracefulShutdown(server, db) }
}
