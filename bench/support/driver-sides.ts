// Those that `bench/drivers.ts` compares: each runs the same texts on a pool of the same size and reads the same rows.
import { createDb } from 'genever'
import pg from 'pg'
import { pathToFileURL } from 'node:url'
import { poolSize, texts } from './workloads.ts'

const all = {
  ...texts,
  page: 'select id, author_id, title, body, published, score, created_at from posts where id > $1 order by id limit $2',
  logs: 'insert into log (post_id) select unnest($1::int[]) returning id',
}

export type Query = (text: keyof typeof all, values: unknown[]) => Promise<unknown>

export interface DriverSide {
  readonly name: string
  readonly query: Query
  transaction(work: (query: Query) => Promise<void>): Promise<void>
  close(): Promise<unknown>
}

interface PrototypeConnection {
  query(text: string, values: readonly unknown[]): Promise<{ readonly rows: unknown }>
}

interface Prototype extends PrototypeConnection {
  open(): Promise<Prototype>
  reserve(): Promise<PrototypeConnection>
  release(connection: PrototypeConnection): void
  end(): void
}

/** By name; the second argument is the path of the prototype. */
export const driverSides: Readonly<Record<string, (url: string, path: string) => Promise<DriverSide>>> = {
  socket: (url) => genever(url, 'socket'),
  prototype,
  pg: (url) => genever(url, 'pg'),
  named: (url) => nodePostgres(url, true),
  bare: (url) => nodePostgres(url, false),
}

async function genever(url: string, driver: 'pg' | 'socket'): Promise<DriverSide> {
  const db = await createDb(url, { driver, pool: { max: poolSize } }).open()
  const query: Query = (text, values) => db.all(all[text], values)
  return {
    name: `genever, ${driver}`,
    query,
    transaction: (work) => db.transaction(() => work(query)),
    close: () => db.close(),
  }
}

async function prototype(url: string, path: string): Promise<DriverSide> {
  const { Pool } = (await import(pathToFileURL(path).href)) as { Pool: new (options: object) => Prototype }
  const { hostname: host, port, username: user, pathname } = new URL(url)
  const pool = await new Pool({ host, port: Number(port), user, database: pathname.slice(1), max: poolSize }).open()
  const on =
    (connection: PrototypeConnection): Query =>
    async (text, values) =>
      (await connection.query(all[text], values)).rows
  return {
    name: 'prototype',
    query: on(pool),
    async transaction(work) {
      const connection = await pool.reserve()
      connection.query('begin', []).catch(() => {})
      await work(on(connection))
      await connection.query('commit', [])
      pool.release(connection)
    },
    close: () => Promise.resolve(pool.end()),
  }
}

function nodePostgres(url: string, named: boolean): Promise<DriverSide> {
  const pool = new pg.Pool({ connectionString: url, max: poolSize })
  const on =
    (client: pg.Pool | pg.PoolClient): Query =>
    async (text, values) =>
      (await client.query(named ? { name: text, text: all[text], values } : { text: all[text], values })).rows
  return Promise.resolve({
    name: named ? 'node-postgres, named' : 'node-postgres',
    query: on(pool),
    async transaction(work) {
      const client = await pool.connect()
      await client.query('BEGIN')
      await work(on(client))
      await client.query('COMMIT')
      client.release()
    },
    close: () => pool.end(),
  })
}
