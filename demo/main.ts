// `npm run demo`: starts a database and a small HTTP service on this machine, shows what Genever does in three chapters,
// and takes everything away again. `npm run demo -- --serve` keeps the service running instead.
import { heldOrLent } from './chapters/held-or-lent.ts'
import { picture } from './chapters/picture.ts'
import { transactionOfThree } from './chapters/transaction.ts'
import { db, poolSize } from './db.ts'
import { serve } from './serve.ts'
import { startService } from './service/server.ts'
import { openPlainPool } from './shop/plain-pool.ts'
import { createShop } from './shop/schema.ts'
import { temporaryDatabase } from './support/database.ts'
import { duration, say } from './support/table.ts'

const start = performance.now()
await main()
say('', `Done after ${duration(performance.now() - start)}; service and database are gone.`)

async function main(): Promise<void> {
  await using database = await temporaryDatabase()
  await using engine = await db.bind(database.url, { pool: { max: poolSize } })
  await using _ = openPlainPool(database.url)
  await createShop()
  say(`A database of our own is up after ${duration(performance.now() - start)}: ${String(engine)}`)
  if (process.argv.includes('--serve')) await serve()
  else await chapters()
}

async function chapters(): Promise<void> {
  await using service = await startService()
  await heldOrLent(service.url)
  await transactionOfThree()
  await picture()
}
