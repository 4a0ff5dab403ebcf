/** A small shop: tables that refer to each other in a circle, an enum in a schema, a sequence, a view. */

import { sql } from 'drizzle-orm'
import { type AnyPgColumn, integer, pgEnum, pgSchema, pgSequence, pgTable, pgView, text } from 'drizzle-orm/pg-core'

export const shop = pgSchema('shop')
export const mood = pgEnum('mood', ['glad', 'sad'])
export const state = shop.enum('state', ['open', 'paid'])
export const numbers = pgSequence('numbers', { startWith: 100 })

export const users = pgTable('users', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  name: text().notNull(),
  mood: mood().default('glad'),
  lastOrder: integer('last_order').references((): AnyPgColumn => orders.number),
})

export const orders = shop.table('orders', {
  number: integer()
    .primaryKey()
    .default(sql`nextval('numbers')`),
  userId: integer('user_id')
    .notNull()
    .references(() => users.id),
  state: state().notNull().default('open'),
})

export const paid = shop.view('paid', { number: integer() }).as(sql`select number from ${orders} where state = 'paid'`)
export const names = pgView('names', { name: text() }).as(sql`select name from users`)

export const whole: string[] = [
  'enum public.mood',
  'enum shop.state',
  'schema shop',
  'sequence public.numbers',
  'sequence public.users_id_seq',
  'table public.users',
  'table shop.orders',
  'view public.names',
  'view shop.paid',
]
