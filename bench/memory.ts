// `npm run bench -- memory`: the memory and the processor time of a process that reads streams of 100,000 rows (W11 of `workloads`), one
// and several at once, in a process for each: Genever by rows and by batches, node-postgres with a cursor, and who reads nothing. Medians.
//
// --rounds 3, --streams 1,10, --flags=--max-semi-space-size=4 (of Node, for the processes)
import type { Db } from 'genever'
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { getHeapSpaceStatistics } from 'node:v8'
import { type Cell, say, table } from '../demo/support/table.ts'

interface Used {
  /** MB when the database is open, and at most. */
  readonly opened: number
  readonly peak: number
  /** What V8 has for young objects and for old ones in the end, in MB. */
  readonly young: number
  readonly old: number
  /** Milliseconds of processor time for each stream. */
  readonly cpu: number
}

interface Side {
  /** Reads all rows, and gives how many there were. */
  stream(text: string): Promise<number>
}

const poolSize = 10
const rowsOfOne = 100_000

const sides: Readonly<Record<string, (url: string) => Promise<Side>>> = {
  'genever, nothing read': async (url) => {
    await opened(url)
    return { stream: () => Promise.resolve(rowsOfOne) }
  },
  'genever by rows': async (url) => {
    const db = await opened(url)
    return {
      async stream(text) {
        let rows = 0
        for await (const _ of db.iterate(text, [], { batchSize: 1_000 })) rows++
        return rows
      },
    }
  },
  'genever, batches of 100': (url) => batches(url, 100),
  'genever, batches of 1,000': (url) => batches(url, 1_000),
  'pg, cursor, pages of 1,000': async (url) => {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ connectionString: url, max: poolSize })
    await pool.query('select 1')
    return {
      async stream(text) {
        const client = await pool.connect()
        let count = 0
        await client.query('BEGIN')
        await client.query(`declare pages cursor for ${text}`)
        for (let rows = -1; rows !== 0; count += rows) rows = (await client.query('fetch 1000 from pages')).rows.length
        await client.query('COMMIT')
        client.release()
        return count
      },
    }
  },
}

async function opened(url: string): Promise<Db> {
  const { createDb } = await import('genever')
  const db = await createDb(url, { driver: 'socket', pool: { max: poolSize } }).open()
  await db.scalar('select 1')
  return db
}

async function batches(url: string, batchSize: number): Promise<Side> {
  const db = await opened(url)
  return {
    async stream(text) {
      let count = 0
      for await (const rows of db.iterate(text, [], { batchSize }).batches()) count += rows.length
      return count
    },
  }
}

const megabyte = 2 ** 20

/** In the process for it alone. */
async function measure(name: string, streams: number, url: string, text: string): Promise<Used> {
  const side = await (sides[name] as (typeof sides)[string])(url)
  const before = process.memoryUsage.rss() / megabyte
  const { user, system } = process.cpuUsage()
  await new AsyncLocalStorage<object>().run({}, async () => {
    for (const rows of await Promise.all(Array.from({ length: streams }, () => side.stream(text))))
      if (rows !== rowsOfOne) throw new Error(`${rows} rows instead of ${rowsOfOne}`)
  })
  const after = process.cpuUsage()
  const of = (space: string): number =>
    (getHeapSpaceStatistics().find(({ space_name: is }) => is === space)?.space_size ?? 0) / megabyte
  return {
    opened: before,
    peak: process.resourceUsage().maxRSS / 1024,
    young: of('new_space'),
    old: of('old_space'),
    cpu: (after.user + after.system - user - system) / 1000 / streams,
  }
}

async function report(): Promise<void> {
  const { median } = await import('./support/quantile.ts')
  const { benchDatabase } = await import('./support/database.ts')
  const { texts } = await import('./support/work/texts.ts')
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      streams: { type: 'string', default: '1,10' },
      flags: { type: 'string', default: '' },
    },
  })
  const flags = values.flags.split(' ').filter((flag) => flag !== '')
  await using database = await benchDatabase()
  const lines: Cell[][] = []
  for (const streams of values.streams.split(','))
    for (const name of Object.keys(sides)) {
      const all: Used[] = []
      for (let round = 0; round < Number(values.rounds); round++) {
        const program = [...flags, fileURLToPath(import.meta.url), name, streams, database.url, texts.all]
        const { stdout } = await promisify(execFile)(process.execPath, program)
        all.push(JSON.parse(stdout) as Used)
      }
      const of = (what: keyof Used): string => median(all.map((used) => used[what])).toFixed(1)
      lines.push([streams, name, of('opened'), of('peak'), of('young'), of('old'), of('cpu')])
    }
  const figures = ['opened MB', 'peak MB', 'young MB', 'old MB', 'CPU ms a stream']
  say(`Node ${process.version}, medians of ${values.rounds} processes each.`)
  say(table(['streams', '', ...figures], lines, figures))
}

const [, self, name, streams, url, text] = process.argv
if (self === fileURLToPath(import.meta.url) && name !== undefined && url !== undefined && text !== undefined) {
  const used = await measure(name, Number(streams), url, text)
  process.stdout.write(JSON.stringify(used), () => process.exit(0))
} else await report()
