// The shop on MariaDB or MySQL, over node:http. Its tables are made by migrations, each statement of which is done once.
import { resolve } from 'node:path'
import { CheckViolationError, type Db, NotFoundError } from 'genever'
import { migrate } from 'genever/migrations'
import { serve as serveShop } from '../http/server.ts'
import type { Service } from '../shop/service.ts'
import { type Bottle, exchangeRate, type Shop, SoldOut } from '../shop/shop.ts'

/** From the folder of the package, where npm runs it. */
const folder = resolve('examples/mariadb/migrations')

export function serve(databaseUrl: string, port = 3000): Promise<Service> {
  return serveShop(databaseUrl, port, mariadbShop)
}

function mariadbShop(db: Db): Shop {
  const bottle = async (id: number): Promise<Bottle> => {
    const found = await db.sql<Bottle>`
      select id, name, cents, stock as \`left\` from bottles where id = ${id}`.oneOrNone()
    if (found === undefined) throw new NotFoundError('Bottle is not found')
    return found
  }

  return {
    bottle,

    async create() {
      await migrate(db, { folder })
    },

    /** Two writes that belong together; what one of them violates undoes both. */
    async order(id, count) {
      await bottle(id)
      try {
        return await db.transaction(async () => {
          const { insertId } = await db.sql`insert into orders (bottle, count) values (${id}, ${count})`.status()
          await db.sql`update bottles set stock = stock - ${count} where id = ${id}`
          return { id: Number(insertId), bottle: id, count }
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
