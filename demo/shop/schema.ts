// The tables of the demo's shop and what is in them at the beginning. Orders, stock and audit note which transaction wrote
// them and over which connection, so that the demo can show it.
import { db } from '../db.ts'

const tables = [
  `create table products (
     id int primary key generated always as identity,
     name text not null,
     cents int not null)`,
  `create table quotes (
     id int primary key generated always as identity,
     product_id int not null references products,
     cents int not null)`,
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
  for (const text of tables) await db.status(text)
  await db.executeMany(
    'insert into products (name, cents) values ($1, $2)',
    gins.map((name, index) => [name, 1200 + 350 * index]),
  )
  await db.status('insert into stock (product_id, bottles) select id, 6 from products')
}
