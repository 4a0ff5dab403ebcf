// One request, written twice: look a product up, ask another service for a rate, keep the quote. The functions that talk
// to the database are the same and get no connection passed; only how long a connection is kept differs.
import { db } from '../db.ts'
import { exchangeRate } from './exchange-rates.ts'
import { Product, Quote } from './schema.ts'

export interface Offer {
  /** Of the quote that is kept. */
  readonly id: number
  readonly product: string
  readonly dollarCents: number
}

/** Held: a connection from the beginning of the request to its end, as with a pool's `connect()` and `release()`. */
export async function quoteHolding(productId: number): Promise<Offer> {
  const connection = await db.acquire()
  try {
    return await connection.run(async () => {
      const product = await Product.getOr404(productId)
      const rate = await exchangeRate()
      return saveQuote(product, rate)
    })
  } finally {
    await connection.release()
  }
}

/** Lent: borrowed by the first statement, given back while the request waits, borrowed again by the next statement. */
export function quoteLending(productId: number): Promise<Offer> {
  return db.scope(async () => {
    const product = await Product.getOr404(productId)
    const rate = await db.idle(() => exchangeRate())
    return saveQuote(product, rate)
  })
}

async function saveQuote(product: Product, rate: number): Promise<Offer> {
  const dollarCents = product.inDollarCents(rate)
  const { id } = await Quote.create({ productId: product.id, cents: dollarCents })
  return { id, product: product.name, dollarCents }
}
