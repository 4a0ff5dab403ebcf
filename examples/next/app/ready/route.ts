import { health } from 'genever/next'
import { db } from '../../db.ts'

export const dynamic = 'force-dynamic'
export const GET = health(db)
