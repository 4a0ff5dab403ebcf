// One request, written three times: look a product up, ask another service for a rate, keep the quote. Only how long a
// connection is kept differs.
import { NotFoundError } from 'genever'
import { db } from '../db.ts'
import { exchangeRate } from './exchange-rates.ts'
import { plainPool } from './plain-pool.ts'
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

/** `pool.query` of node-postgres: a connection for each statement, so no transaction, no settings, and SQL by hand. */
export async function quoteByPool(productId: number): Promise<Offer> {
  const pool = plainPool()
  const found = await pool.query<{ name: string; cents: number }>('select name, cents from products where id = $1', [
    productId,
  ])
  const product = found.rows[0]
  if (product === undefined) throw new NotFoundError('Product is not found')
  const dollarCents = Math.round(product.cents * (await exchangeRate()))
  const kept = await pool.query<{ id: number }>('insert into quotes (product_id, cents) values ($1, $2) returning id', [
    productId,
    dollarCents,
  ])
  return { id: kept.rows[0]?.id ?? 0, product: product.name, dollarCents }
}

/** Lent: the first statement borrows a connection, and while the request waits it serves whoever needs one. */
export function quoteLending(productId: number): Promise<Offer> {
  return db.scope(async () => {
    const product = await Product.getOr404(productId)
    const rate = await exchangeRate()
    return saveQuote(product, rate)
  })
}

async function saveQuote(product: Product, rate: number): Promise<Offer> {
  const dollarCents = product.inDollarCents(rate)
  const { id } = await Quote.create({ productId: product.id, cents: dollarCents })
  return { id, product: product.name, dollarCents }
}
