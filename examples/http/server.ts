// The shop over node:http.
import { createServer, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { createDb, type Db } from 'genever'
import { genever, gracefulShutdown, health, type HttpHandler } from 'genever/http'
import { listen, type Service } from '../shop/service.ts'
import { type Shop, shopOf } from '../shop/shop.ts'

/** `make`: the shop of another database. */
export async function serve(databaseUrl: string, port = 3000, make: (db: Db) => Shop = shopOf): Promise<Service> {
  const db = createDb()
  const shop = make(db)
  const web = genever(db, { url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 } })
  await web.open()
  await shop.create()

  const reply = (response: ServerResponse, status: number, body: unknown): unknown =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const route: HttpHandler = async (request, response) => {
    const [, name, id] = (request.url ?? '').split('/')
    if (request.method === 'GET' && name === 'bottles') reply(response, 200, await shop.bottle(Number(id)))
    else if (request.method === 'GET' && name === 'quotes') reply(response, 200, await shop.quote(Number(id)))
    else if (request.method === 'POST' && name === 'orders') {
      const { bottle, count } = (await json(request)) as { bottle: number; count: number }
      reply(response, 201, await shop.order(bottle, count))
    } else reply(response, 404, { error: 'There is no such page' })
  }
  const handle = web.handler(route)
  const ready = health(db)
  const server = createServer((request, response) => {
    if (request.url === '/ready') void ready(request, response)
    else handle(request, response)
  })

  return { url: await listen(server, port), close: () => gracefulShutdown(server, db) }
}
