// The shop in Fastify 5.
import Fastify from 'fastify'
import { createDb } from 'genever'
import { genever } from 'genever/fastify'
import 'genever/fastify/types'
import type { Service } from '../shop/service.ts'
import { shopOf } from '../shop/shop.ts'

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const db = createDb()
  const shop = shopOf(db)
  const app = Fastify({ forceCloseConnections: 'idle' })
  await app.register(genever, { db, url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 }, health: '/ready' })
  await shop.create()

  app.get<{ Params: { id: string } }>('/bottles/:id', (request) => shop.bottle(Number(request.params.id)))
  app.get<{ Params: { id: string } }>('/quotes/:id', (request) => shop.quote(Number(request.params.id)))
  app.post<{ Body: { bottle: number; count: number } }>(
    '/orders',
    { config: { db: { transaction: true } } },
    async (request, reply) => {
      const { bottle, count } = request.body
      void reply.code(201)
      return shop.order(bottle, count)
    },
  )

  return { url: await app.listen({ port, host: '127.0.0.1' }), close: () => app.close() }
}
