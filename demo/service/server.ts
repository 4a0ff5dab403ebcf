// The shop over HTTP, on this machine only: node:http and nothing else. Each request runs in a context of its own, so the
// scopes and transactions of requests that run at the same time never meet.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CheckViolationError, isGeneverError, NotFoundError } from 'genever'
import { db } from '../db.ts'
import { PaymentDeclined, placeOrder } from '../shop/orders.ts'
import { quoteByPool, quoteHolding, quoteLending } from '../shop/quotes.ts'

export interface Service extends AsyncDisposable {
  readonly url: string
}

/** Answers to `METHOD /path`, before the number of a product. */
const routes: Readonly<Record<string, (productId: number, query: URLSearchParams) => unknown>> = {
  'GET /held': quoteHolding,
  'GET /query': quoteByPool,
  'GET /lent': quoteLending,
  'GET /stats': () => db.stats(),
  'POST /orders': async (productId, query) => {
    const pay = async (): Promise<void> => {
      if (query.has('decline')) throw new PaymentDeclined('the bank said no')
    }
    return { order: await placeOrder(productId, Number(query.get('bottles') ?? 1), pay) }
  },
  'GET /orders': () => db.sql`select id, product_id, bottles, xact from orders order by id`,
}

/** Starts the service; port 0 takes any that is free. */
export async function startService(port = 0): Promise<Service> {
  const server = createServer((request, response) => void answer(request, response))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => stop(server),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const [, name = '', id = '1'] = pathname.split('/')
  const route = routes[`${request.method} /${name}`]
  try {
    if (route === undefined) reply(response, 404, { error: 'no such page' })
    else reply(response, 200, await route(Number(id), searchParams))
  } catch (error) {
    reply(response, statusOf(error), { error: error instanceof Error ? error.message : String(error) })
  }
}

function statusOf(error: unknown): number {
  if (isGeneverError(error, NotFoundError)) return 404
  if (isGeneverError(error, CheckViolationError)) return 409
  return error instanceof PaymentDeclined ? 402 : 500
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}

/** Running requests are answered first; connections of clients that only wait are closed. */
async function stop(server: Server): Promise<void> {
  server.close()
  server.closeIdleConnections()
  await once(server, 'close')
}
