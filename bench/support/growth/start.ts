// How long a new process takes until it has its first row, as a program that does nothing else measures it: this file is both.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cell, table } from '../../../demo/support/table.ts'
import { median } from '../quantile.ts'
import type { Place } from './turns.ts'

const run = promisify(execFile)

interface Started {
  /** Milliseconds since the process began. */
  readonly total: number
  readonly loaded: number
  readonly cpu: number
  readonly memory: number
}

const programs: Readonly<Record<string, (url: string) => Promise<() => Promise<unknown>>>> = {
  async genever(url) {
    const { createDb } = await import('genever')
    return () => createDb(url, { driver: 'socket' }).scalar('select 1')
  },
  async 'genever over pg'(url) {
    const { createDb } = await import('genever')
    return () => createDb(url, { driver: 'pg' }).scalar('select 1')
  },
  async pg(url) {
    const { default: pg } = await import('pg')
    return () => new pg.Pool({ connectionString: url }).query('select 1')
  },
}

export async function start({ server, rounds }: Place): Promise<string> {
  const all = new Map<string, Started[]>(Object.keys(programs).map((name) => [name, []]))
  for (let round = 0; round <= rounds * 2; round++)
    for (const [name, samples] of all) {
      const { stdout } = await run(process.execPath, [fileURLToPath(import.meta.url), name, server.url])
      if (round > 0) samples.push(JSON.parse(stdout) as Started)
    }
  const lines = [...all].map(([name, samples]): Cell[] => {
    const of = (what: keyof Started): string => median(samples.map((sample) => sample[what])).toFixed(1)
    return [name, of('loaded'), of('total'), of('cpu'), of('memory')]
  })
  const figures = ['loaded ms', 'first row ms', 'CPU ms', 'RSS MB']
  return table(['', ...figures], lines, figures)
}

const [, self, name, url] = process.argv
if (self === fileURLToPath(import.meta.url) && name !== undefined && url !== undefined) {
  const ask = await programs[name]?.(url)
  const loaded = performance.now()
  await ask?.()
  const total = performance.now()
  const { user, system } = process.cpuUsage()
  const started: Started = { total, loaded, cpu: (user + system) / 1000, memory: process.memoryUsage.rss() / 2 ** 20 }
  process.stdout.write(JSON.stringify(started), () => process.exit(0))
}
