// The shop in Express 5.
import { createServer } from 'node:http'
import express, { type ErrorRequestHandler } from 'express'
import { createDb } from 'genever'
import { genever, gracefulShutdown, health, notFound } from 'genever/express'
import { listen, type Service } from '../shop/service.ts'
import { shopOf, SoldOut } from '../shop/shop.ts'

const soldOut: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (error instanceof SoldOut) response.status(error.status).json({ error: error.message })
  else next(error)
}

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const db = createDb()
  const shop = shopOf(db)
  const web = genever(db, { url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 } })
  await web.open()
  await shop.create()

  const app = express()
  app.get('/ready', health(db))
  app.use(web, express.json())
  app.get('/bottles/:id', async (request, response) => {
    response.json(await shop.bottle(Number(request.params.id)))
  })
  app.get('/quotes/:id', async (request, response) => {
    response.json(await shop.quote(Number(request.params.id)))
  })
  const order = web.transactional(async (request, response) => {
    const { bottle, count } = request.body as { bottle: number; count: number }
    response.status(201).json(await shop.order(bottle, count))
  })
  app.post('/orders', order)
  app.use(notFound, soldOut)

  const server = createServer(app)
  return { url: await listen(server, port), close: () => gracefulShutdown(server, db) }
}
