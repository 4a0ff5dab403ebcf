import { withDb } from 'genever/next'
import { db, shop } from '../../../db.ts'

interface Context {
  readonly params: Promise<{ id: string }>
}

export const GET = withDb(db, async (_request: Request, { params }: Context) => {
  const { id } = await params
  return Response.json(await shop.bottle(Number(id)))
})
