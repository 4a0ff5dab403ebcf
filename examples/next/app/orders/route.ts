import { withDb } from 'genever/next'
import { SoldOut } from '../../../shop/shop.ts'
import { db, shop } from '../../db.ts'

async function order(request: Request): Promise<Response> {
  const { bottle, count } = (await request.json()) as { bottle: number; count: number }
  try {
    return Response.json(await shop.order(bottle, count), { status: 201 })
  } catch (error) {
    if (error instanceof SoldOut) return Response.json({ error: error.message }, { status: error.status })
    throw error
  }
}

export const POST = withDb(db, order, { transaction: true })
