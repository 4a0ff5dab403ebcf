// The tables of the demo's shop and what is in them at the beginning. What the shop looks up and keeps are models; orders,
// stock and audit are SQL, and note which transaction wrote them, so that the demo can show it.
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import { createAll } from 'genever/schema'
import { db } from '../db.ts'

const products = pgTable('products', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  name: text().notNull(),
  cents: integer().notNull(),
})
const quotes = pgTable('quotes', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  productId: integer('product_id')
    .notNull()
    .references(() => products.id),
  cents: integer().notNull(),
})

export class Product extends Model(db, products) {
  inDollarCents(rate: number): number {
    return Math.round(this.cents * rate)
  }
}

export class Quote extends Model(db, quotes) {}

const tables = [
  `create table orders (
     id int primary key generated always as identity,
     product_id int not null references products,
     bottles int not null check (bottles > 0),
     xact text not null default pg_current_xact_id()::text)`,
  `create table stock (
     product_id int primary key references products,
     bottles int not null check (bottles >= 0),
     xact text not null default pg_current_xact_id()::text)`,
  `create table audit (
     id int primary key generated always as identity,
     line text not null,
     xact text not null default pg_current_xact_id()::text)`,
]

const gins = ['Jonge genever', 'Oude genever', 'Korenwijn', 'Bessenjenever', 'Graanjenever']

export async function createShop(): Promise<void> {
  await createAll(db, [Product, Quote])
  for (const table of tables) await db.status(table)
  await Product.createMany(gins.map((name, index) => ({ name, cents: 1200 + 350 * index })))
  await db.status('insert into stock (product_id, bottles) select id, 6 from products')
}
