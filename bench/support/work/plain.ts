// Without Genever: node-postgres as its manual shows it, with named statements, and with what makes it fastest; the prototype.
import pg from 'pg'
import { pathToFileURL } from 'node:url'
import { listed, type TextName, texts, valuesText } from './texts.ts'
import type { Within, Work, WorkSides } from './workloads.ts'

type Send = (text: TextName | 'values', values: unknown[], sql?: string) => Promise<Record<string, unknown>[]>

function within(send: Send): Within {
  return {
    get: async (id) => (await send('get', [id]))[0],
    update: (id, score) => send('update', [score, id]),
    create: async (values) => (await send('create', listed(values)))[0]?.['id'],
  }
}

/** What needs no more than rows for a text. */
function reads(send: Send): Pick<Work, 'rows' | 'author'> {
  return {
    rows: (after, limit) => send('rows', [after, limit]),
    async author(id) {
      const [author] = await send('author', [id])
      return { ...author, posts: await send('posts', [id]) }
    },
  }
}

export async function nodePostgres(url: string, max: number, named: boolean): Promise<WorkSides> {
  const pool = new pg.Pool({ connectionString: url, max })
  const on =
    (client: pg.Pool | pg.PoolClient): Send =>
    async (name, values, sql) => {
      const text = sql ?? texts[name as TextName]
      const query = named
        ? { name: name === 'values' ? `values${values.length}` : name, text, values }
        : { text, values }
      return (await client.query<Record<string, unknown>>(query)).rows
    }
  const send = on(pool)
  const lent = async (work: (client: pg.PoolClient) => Promise<void>): Promise<void> => {
    const client = await pool.connect()
    try {
      await work(client)
    } finally {
      client.release()
    }
  }
  const work: Partial<Work> = {
    ...within(send),
    ...reads(send),
    async createMany(rows) {
      const made = await send('values', rows.flatMap(listed), valuesText(rows.length))
      return made.map(({ id }) => id)
    },
    transaction: (inside) =>
      lent(async (client) => {
        await client.query('BEGIN')
        try {
          await inside(within(on(client)))
          await client.query('COMMIT')
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        }
      }),
    checkout: (inside) => lent((client) => inside(within(on(client)))),
    // As its package for streams does it by messages: a page at a time.
    async stream() {
      let count = 0
      await lent(async (client) => {
        await client.query('BEGIN')
        await client.query(`declare pages cursor for ${texts.all}`)
        for (let rows = -1; rows !== 0; count += rows) rows = (await client.query('fetch 1000 from pages')).rows.length
        await client.query('COMMIT')
      })
      return count
    },
  }
  return { sides: [{ name: named ? 'pg, named' : 'pg', work }], close: () => pool.end() }
}

/** node-postgres with named statements and pipelines, on clients that take turns: it has no pool for that. */
export async function pipelined(url: string, max: number): Promise<WorkSides> {
  const clients: { readonly client: pg.Client; load: number }[] = []
  for (let n = 0; n < max; n++) {
    const client = new pg.Client({ connectionString: url, pipeline: true })
    await client.connect()
    clients.push({ client, load: 0 })
  }
  const send: Send = async (name, values) => {
    let least = clients[0] as (typeof clients)[number]
    for (const each of clients) if (each.load < least.load) least = each
    least.load++
    try {
      return (await least.client.query<Record<string, unknown>>({ name, text: texts[name as TextName], values })).rows
    } finally {
      least.load--
    }
  }
  return {
    sides: [{ name: 'pg, named, pipeline', work: { ...within(send), ...reads(send) } }],
    close: () => Promise.all(clients.map(({ client }) => client.end())),
  }
}

interface PrototypeConnection {
  query(text: string, values: readonly unknown[]): Promise<{ readonly rows: Record<string, unknown>[] }>
  send?(text: string, values: readonly unknown[], query: object): void
}

interface Prototype extends PrototypeConnection {
  open(): Promise<Prototype>
  reserve(): Promise<PrototypeConnection>
  release(connection: PrototypeConnection): void
  pick(): PrototypeConnection
  end(): void
}

/** A prototype of what is reachable, without safety: see `bench/drivers.ts`. */
export async function prototype(url: string, max: number, path: string): Promise<WorkSides> {
  const { Pool } = (await import(pathToFileURL(path).href)) as { Pool: new (options: object) => Prototype }
  const { hostname: host, port, username: user, pathname } = new URL(url)
  const pool = await new Pool({ host, port: Number(port), user, database: pathname.slice(1), max }).open()
  const on =
    (connection: PrototypeConnection): Send =>
    async (name, values) =>
      (await connection.query(texts[name as TextName], values)).rows
  const send = on(pool)
  const lent = async (inside: (connection: PrototypeConnection) => Promise<void>): Promise<void> => {
    const connection = await pool.reserve()
    await inside(connection)
    pool.release(connection)
  }
  const work: Partial<Work> = {
    ...within(send),
    rows: (after, limit) => send('rows', [after, limit]),
    async author(id) {
      const connection = on(pool.pick())
      const [[author], posts] = await Promise.all([connection('author', [id]), connection('posts', [id])])
      return { ...author, posts }
    },
    async createMany(rows) {
      const lists = listed(rows[0] as (typeof rows)[number]).map((_, at) => rows.map((row) => listed(row)[at]))
      return (await send('createMany', lists)).map(({ id }) => id)
    },
    transaction: (inside) =>
      lent(async (connection) => {
        connection.query('begin', []).catch(() => {})
        await inside(within(on(connection)))
        await connection.query('commit', [])
      }),
    checkout: (inside) => lent((connection) => inside(within(on(connection)))),
    stream: () =>
      new Promise((resolve, reject) => {
        let rows = 0
        const query = { resolve: () => resolve(rows), reject, onRow: () => void rows++ }
        pool.pick().send?.(texts.all, [], query)
      }),
  }
  return { sides: [{ name: 'prototype', work }], close: () => Promise.resolve(pool.end()) }
}
