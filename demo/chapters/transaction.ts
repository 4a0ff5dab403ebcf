// One transaction shared by three functions that pass nothing to each other: one order that is kept and one that is undone
// after all three have written. The rows are read from outside, and once from inside.
import { db } from '../db.ts'
import { PaymentDeclined, placeOrder } from '../shop/orders.ts'
import { heading, say, table } from '../support/table.ts'

export async function transactionOfThree(): Promise<void> {
  heading('2. A transaction shared by three functions')
  say(
    'placeOrder() calls createOrder(), reserveStock() and writeAudit() inside db.transaction().',
    'None gets a handle.',
  )
  await show('Before')

  const kept = await placeOrder(1, 2, async () => {})
  await show(`After order ${kept}: committed, all three wrote in one transaction`)

  try {
    await placeOrder(1, 3, async (orderId) => {
      await show(`Inside the transaction of order ${orderId}, before it is paid`)
      throw new PaymentDeclined('the bank said no')
    })
  } catch (error) {
    if (!(error instanceof PaymentDeclined)) throw error
    await show(`After ${error.name}: ${error.message}; rolled back, nothing of it is left`)
  }
}

async function show(when: string): Promise<void> {
  say('', `${when}:`, '')
  const rows = await db.all<Record<'table' | 'row' | 'xact', string>>(`
    select 'orders' as table, format('order %s, bottles: %s', id, bottles) as row, xact from orders
    union all select 'stock', format('bottles left: %s', bottles), xact from stock where product_id = 1
    union all select 'audit', line, xact from audit`)
  say(
    table(
      ['table', 'row', 'transaction'],
      rows.map(({ table: name, row, xact }) => [name, row, xact]),
    ),
  )
}
