// One request, written twice: look a product up, ask another service for a rate, keep the quote. The functions that talk
// to the database are the same and get no connection passed; only how long a connection is kept differs.
import { db } from '../db.ts'
import { exchangeRate } from './exchange-rates.ts'

interface Product {
  readonly id: number
  readonly name: string
  readonly cents: number
}

export interface Quote {
  readonly id: number
  readonly product: string
  readonly dollarCents: number
}

/** Held: a connection from the beginning of the request to its end, as with a pool's `connect()` and `release()`. */
export async function quoteHolding(productId: number): Promise<Quote> {
  const connection = await db.acquire()
  try {
    return await connection.run(async () => {
      const product = await findProduct(productId)
      const rate = await exchangeRate()
      return saveQuote(product, rate)
    })
  } finally {
    await connection.release()
  }
}

/** Lent: borrowed by the first statement, given back while the request waits, borrowed again by the next statement. */
export function quoteLending(productId: number): Promise<Quote> {
  return db.scope(async () => {
    const product = await findProduct(productId)
    const rate = await db.idle(() => exchangeRate())
    return saveQuote(product, rate)
  })
}

function findProduct(id: number): Promise<Product> {
  return db.sql<Product>`select id, name, cents from products where id = ${id}`.one()
}

async function saveQuote(product: Product, rate: number): Promise<Quote> {
  const dollarCents = Math.round(product.cents * rate)
  const id =
    await db.sql`insert into quotes (product_id, cents) values (${product.id}, ${dollarCents}) returning id`.scalar<number>()
  return { id: id ?? 0, product: product.name, dollarCents }
}
