// One database for the process, however often this module is loaded; opened by the first statement.
import { globalDb } from 'genever/next'
import { shopOf, type Shop } from '../shop/shop.ts'

export const db = globalDb('shop', () => process.env['DATABASE_URL'], { pool: { max: 5 } })
export const shop: Shop = shopOf(db)
