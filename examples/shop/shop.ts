// The shop that every example serves: three functions that know neither of HTTP nor of connections. They say `db`; the
// request they run in decides which connection and which transaction that is.
import { setTimeout as sleep } from 'node:timers/promises'
import { CheckViolationError, type Db, NotFoundError, sql } from 'genever'

export interface Bottle {
  readonly id: number
  readonly name: string
  readonly cents: number
  readonly left: number
}

export interface Order {
  readonly id: number
  readonly bottle: number
  readonly count: number
}

export interface Quote {
  readonly name: string
  readonly dollars: number
}

export interface Shop {
  create(): Promise<void>
  bottle(id: number): Promise<Bottle>
  order(bottle: number, count: number): Promise<Order>
  quote(id: number): Promise<Quote>
}

/** Web frameworks answer it by its status. */
export class SoldOut extends Error {
  readonly status = 409
  readonly statusCode = 409
  readonly expose = true
}

/** What every database writes in its own way. */
export interface Tables {
  readonly create: () => Promise<void>
  readonly addOrder: (bottle: number, count: number) => Promise<Order>
}

export function shopOf(db: Db, { create, addOrder }: Tables = postgresTables(db)): Shop {
  async function bottle(id: number): Promise<Bottle> {
    const found = await db.sql<Bottle>`
      select id, name, cents, stock as ${sql.identifier('left')} from bottles where id = ${id}`.oneOrNone()
    if (found === undefined) throw new NotFoundError('Bottle is not found')
    return found
  }

  return {
    create,
    bottle,

    /** Two writes that belong together; what one of them violates undoes both. */
    async order(id, count) {
      await bottle(id)
      try {
        return await db.transaction(async () => {
          const order = await addOrder(id, count)
          await db.sql`update bottles set stock = stock - ${count} where id = ${id}`
          return order
        })
      } catch (error) {
        throw error instanceof CheckViolationError ? new SoldOut('There are not so many bottles left') : error
      }
    },

    /** Hands the connection back while it waits for somebody else. */
    async quote(id) {
      const { name, cents } = await bottle(id)
      const rate = await db.idle(() => exchangeRate())
      return { name, dollars: Math.round(cents * rate) / 100 }
    },
  }
}

function postgresTables(db: Db): Tables {
  return {
    async create() {
      await db.status(`
        create table bottles (id int primary key, name text, cents int, stock int check (stock >= 0));
        create table orders (id int generated always as identity primary key, bottle int references bottles, count int);
        insert into bottles values (1, 'Old genever', 2500, 10), (2, 'Young genever', 1500, 0);
      `)
    },

    addOrder: (bottle, count) =>
      db.sql<Order>`insert into orders (bottle, count) values (${bottle}, ${count}) returning id, bottle, count`.one(),
  }
}

/** Stands for a service that takes its time. */
async function exchangeRate(): Promise<number> {
  await sleep(100)
  return 1.08
}
