/** node-postgres as it is lent: its own queue, cursors, COPY and listeners; and what a script that uses it waits for. */

import { createDb, type Connection } from 'genever'
import type { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, query } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'
import { runScript } from '../support/script.ts'
import { until } from '../support/until.ts'

interface Client extends EventEmitter {
  query(text: unknown, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

interface Wire {
  parse(query: object): void
  bind(config: object): void
  execute(config: object): void
  close(config: object): void
  describe(config: object): void
  flush(): void
  sync(): void
}

/** As the cursor of `pg-cursor`: a portal that stays open from read to read, without a Sync. */
class Cursor {
  readonly #text: string
  #wire: Wire | null = null
  rows: unknown[] = []
  suspended = 0
  error: unknown = null
  ready = false

  constructor(text: string) {
    this.#text = text
  }

  submit(wire: Wire): null {
    this.#wire = wire
    wire.parse({ text: this.#text })
    wire.bind({ values: [] })
    wire.describe({ type: 'P', name: '' })
    wire.execute({ portal: '', rows: 2 })
    wire.flush()
    return null
  }

  close(): void {
    this.#wire?.close({ type: 'P', name: '' })
    this.#wire?.sync()
  }

  handleRowDescription(): void {}
  handleDataRow(message: { fields: unknown[] }): void {
    this.rows.push(message.fields)
  }
  handlePortalSuspended(): void {
    this.suspended++
  }
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleReadyForQuery(): void {
    this.ready = true
  }
  handleError(error: unknown): void {
    this.error = error
  }
}

const single = async (): Promise<ReturnType<typeof createDb>> =>
  createDb(await databaseUrl(), { driver: 'pg', pool: { max: 1 }, resetTimeoutMs: 300 })

const lent = async (connection: Connection): Promise<Client> => (await connection.rawConnection()) as Client

test('a statement of the connection waits until a cursor of the client is closed', async () => {
  await using db = await single()
  const connection = await db.acquire()
  const client = await lent(connection)
  const cursor = new Cursor('select generate_series(1, 5)')
  void client.query(cursor)
  const beside = connection.scalar('select 7')
  await until(() => cursor.suspended === 1, { what: 'the cursor has its first rows' })
  expect(cursor).toMatchObject({ rows: [['1'], ['2']], ready: false })
  cursor.close()

  expect(await beside).toBe(7)
  expect(cursor).toMatchObject({ ready: true, error: null })
  await connection.release()
  expect(await db.scalar('select 8')).toBe(8)
})

test('a cursor that is open at the release, or fails, hurts nobody', async () => {
  await using db = await single()
  for (const text of ['select generate_series(1, 5)', 'select 1/0']) {
    const connection = await db.acquire()
    void (await lent(connection)).query(new Cursor(text))
    await connection.release()
    expect(await db.all('select 9 as n')).toEqual([{ n: 9 }])
  }
})

test('COPY in both directions ends as node-postgres ends it, and the connection goes on', async () => {
  await using db = await single()
  const connection = await db.acquire()
  const client = await lent(connection)
  await client.query('create temp table copied (n int)')
  expect((await caught(client.query('copy copied from stdin'))).message).toMatch(/COPY|No source stream/)
  await client.query('copy (select generate_series(1, 1000)) to stdout')
  expect(await connection.scalar('select 1')).toBe(1)
  expect((await client.query('select 2 as n; select 3 as n')).rows ?? 'several').toBe('several')
  await connection.release()
  expect(await db.scalar('select 4')).toBe(4)
})

test('statements with names of the user, and listeners, are gone with the release', async () => {
  await using db = await single()
  const heard: unknown[] = []
  const first = await db.acquire()
  const client = await lent(first)
  await client.query({ name: 'mine', text: 'select 1 as n' })
  client.on('notification', (message) => heard.push(message))
  await client.query('listen raw_client')
  await query(await databaseUrl(), `notify raw_client, 'first'`)
  await until(() => heard.length === 1, { what: 'the notification has come' })
  await first.release()

  const second = await db.acquire()
  const others = await lent(second)
  expect((await others.query({ name: 'mine', text: 'select 2 as n' })).rows).toEqual([{ n: 2 }])
  await others.query('listen raw_client')
  await query(await databaseUrl(), `notify raw_client, 'second'`)
  await others.query('select 1')
  expect(heard).toHaveLength(1)
  await second.release()
})

test('its own transaction keeps prepared statements of the engine right after DISCARD ALL', async () => {
  await using db = await single()
  const connection = await db.acquire()
  const ask = (): Promise<unknown> => connection.scalar('select $1::int + 1', [1])
  expect(await ask()).toBe(2)
  const client = await lent(connection)
  await client.query('discard all')
  await client.query('begin')
  expect(await ask()).toBe(2)
  await client.query('commit')
  await connection.release()
})

const uses = [
  ['pg', 'await raw.query("select pg_sleep(0.2)")'],
  ['pglite', 'await raw.query("select pg_sleep(0.2)"); await new Promise((done) => setTimeout(done, 20).unref())'],
] as const

test.each(uses.filter(([name]) => name === 'pg' || wantedDrivers().includes(name)))(
  'a script that awaits it runs to its end, and ends by itself after the release: %s',
  async (name, use) => {
    const url = name === 'pg' ? await databaseUrl() : 'pglite://memory'
    const script = `import { createDb } from 'genever'
    const db = createDb(${JSON.stringify(url)}, { driver: '${name}', pool: { connectTimeoutMs: 100_000 } })
    const handle = await db.acquire()
    const raw = await handle.rawConnection()
    ${use}
    await handle.release()
    console.log('done')`

    expect(await runScript(script, { timeoutMs: 100_000 })).toMatchObject({ code: 0, stdout: 'done' })
  },
  120_000,
)
