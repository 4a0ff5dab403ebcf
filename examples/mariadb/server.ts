// The shop on MariaDB or MySQL, over node:http. Its tables are made by migrations, each statement of which is done once.
import { resolve } from 'node:path'
import type { Db } from 'genever'
import { migrate } from 'genever/migrations'
import { serve as serveShop } from '../http/server.ts'
import type { Service } from '../shop/service.ts'
import { shopOf, type Tables } from '../shop/shop.ts'

/** From the folder of the package, where npm runs it. */
const folder = resolve('examples/mariadb/migrations')

export function serve(databaseUrl: string, port = 3000): Promise<Service> {
  return serveShop(databaseUrl, port, (db) => shopOf(db, mariadbTables(db)))
}

function mariadbTables(db: Db): Tables {
  return {
    async create() {
      await migrate(db, { folder })
    },

    async addOrder(bottle, count) {
      const { insertId } = await db.sql`insert into orders (bottle, count) values (${bottle}, ${count})`.status()
      return { id: Number(insertId), bottle, count }
    },
  }
}
