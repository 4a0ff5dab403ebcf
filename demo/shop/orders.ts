// An order: three functions that know nothing of each other and pass nothing to each other, in one transaction because
// they are called inside one.
import { db } from '../db.ts'

export class PaymentDeclined extends Error {
  override readonly name = 'PaymentDeclined'
}

/** What the caller does with the money before the order counts; throws if there is none. */
export type Pay = (orderId: number) => Promise<void>

/**
 * Places an order and gives its number.
 * @throws {CheckViolationError} when there are not enough bottles.
 */
export function placeOrder(productId: number, bottles: number, pay: Pay): Promise<number> {
  return db.transaction(async () => {
    const orderId = await createOrder(productId, bottles)
    await reserveStock(productId, bottles)
    await writeAudit(`order ${orderId}: product ${productId}, bottles: ${bottles}`)
    await pay(orderId)
    return orderId
  })
}

async function createOrder(productId: number, bottles: number): Promise<number> {
  const { id } = await db.sql<{ id: number }>`
    insert into orders (product_id, bottles) values (${productId}, ${bottles}) returning id`.one()
  return id
}

async function reserveStock(productId: number, bottles: number): Promise<void> {
  await db.sql`
    update stock set bottles = bottles - ${bottles}, xact = pg_current_xact_id()::text where product_id = ${productId}`
}

async function writeAudit(line: string): Promise<void> {
  await db.sql`insert into audit (line) values (${line})`
}
