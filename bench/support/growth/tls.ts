// The price of TLS 1.3 on the loopback: the same work by the same driver with it and without, direct and by request.
import { chown, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDb, type Db } from 'genever'
import { type Cell, table } from '../../../demo/support/table.ts'
import { certificate, privateKey } from '../../../test/support/certificate.ts'
import { costOf } from '../cost.ts'
import { type Place, turns } from './turns.ts'

const page = `select n, 'Post ' || n as title, repeat('The quick brown fox. ', 12) as body, now() as at from generate_series(1, $1::int) n`

const sides = ['plain', 'TLS', 'TLS, direct'] as const
type Side = (typeof sides)[number]

export async function tls({ server, rounds, blockMs }: Place): Promise<string> {
  const [found] = await server.query("select current_setting('data_directory') as data")
  const data = String(found?.['data'])
  const { uid, gid } = await stat(data)
  for (const [name, text] of [
    ['server.crt', certificate],
    ['server.key', privateKey],
  ] as const) {
    await writeFile(join(data, name), text, { mode: 0o600 })
    await chown(join(data, name), uid, gid)
  }
  await server.configure({ ssl: 'on' })
  await server.stop('fast')
  await server.start()
  const open = (query: string): Promise<Db> =>
    createDb(`${server.url}?${query}`, { driver: 'socket', pool: { max: 10 } }).open()
  const dbs: Record<Side, Db> = {
    plain: await open('sslmode=disable'),
    TLS: await open('sslmode=no-verify'),
    'TLS, direct': await open('sslmode=no-verify&sslnegotiation=direct'),
  }
  const lines: Cell[][] = []
  for (const [title, loops, once] of [
    ['one row', 1, (db: Db) => db.all(page, [1])],
    ['100 rows', 1, (db: Db) => db.all(page, [100])],
    ['one row, 64 at a time', 64, (db: Db) => db.all(page, [1])],
  ] as const) {
    // What is measured is not the making of code: the sides without TLS come first, and would pay for it alone.
    for (let turn = 0; turn < 8; turn++)
      for (const side of sides) await costOf(() => once(dbs[side]), blockMs * 2, loops)
    const costs = await turns(rounds, sides, (side) => costOf(() => once(dbs[side]), blockMs, loops))
    for (const side of sides.slice(1))
      lines.push([
        title,
        side,
        costs[side].cpu.toFixed(1),
        (costs[side].cpu / costs.plain.cpu).toFixed(2),
        (costs.plain.time / costs[side].time).toFixed(2),
      ])
  }
  for (const db of Object.values(dbs)) await db.close()
  const figures = ['CPU µs', 'of plain', 'throughput of plain']
  return table(['', 'by', ...figures], lines, figures)
}
