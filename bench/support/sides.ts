// The two sides of the comparison: Genever over node-postgres, and node-postgres alone as its manual shows it, with the names
// that make it prepare a statement once per connection. Same pool size, same server.
import { type Baked, createDb, type Executor, type Row } from 'genever'
import pg from 'pg'
import { pgTransaction } from './pg-transaction.ts'
import { poolSize, texts, type Send, type Side } from './workloads.ts'

export type SideName = 'genever' | 'pg'

export const sides: Readonly<Record<SideName, (url: string) => Promise<Side>>> = { genever, pg: nodePostgres }

async function genever(url: string): Promise<Side> {
  const db = createDb(url, { driver: 'pg', pool: { max: poolSize } })
  await db.open()
  const sendOn =
    (executor: Executor): Send =>
    (text, values) =>
      executor.all(texts[text], values)
  const ambient = sendOn(db)
  const baked = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, db.bake<Row, unknown[]>(text)]))
  return {
    anywhere: ambient,
    scope: (work) => db.scope(() => work(ambient)),
    baked: (text, values) => (baked[text] as Baked<Row, unknown[]>).all(values),
    transaction: (work) => db.transaction(() => work(ambient)),
    async acquire() {
      const connection = await db.acquire()
      await connection.release()
    },
    async acquireLazily() {
      const connection = await db.acquire({ lazy: true })
      await connection.release()
    },
    close: async () => void (await db.close()),
  }
}

async function nodePostgres(url: string): Promise<Side> {
  const pool = new pg.Pool({ connectionString: url, max: poolSize })
  const sendOn =
    (client: pg.Pool | pg.PoolClient): Send =>
    (text, values) =>
      client.query({ name: text, text: texts[text], values })
  const scope: Side['scope'] = async (work) => {
    const client = await pool.connect()
    try {
      await work(sendOn(client))
    } finally {
      client.release()
    }
  }
  return {
    anywhere: sendOn(pool),
    scope,
    baked: null,
    transaction: (work) => pgTransaction(pool, (client) => work(sendOn(client))),
    async acquire() {
      const client = await pool.connect()
      client.release()
    },
    acquireLazily: null,
    close: () => pool.end(),
  }
}
