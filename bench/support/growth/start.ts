// What a new process costs until it has its first row, beside one that does nothing and one of node-postgres, in turns.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cell, table } from '../../../demo/support/table.ts'
import { median, shown, spread } from '../quantile.ts'
import type { Started } from './first-row.ts'

const run = promisify(execFile)
const program = fileURLToPath(new URL('first-row.js', import.meta.url))
const base = 'pg'
const names = ['node', 'genever', 'genever over pg', base]

/** `count` processes of each. */
export async function start(url: string, count: number): Promise<string> {
  const all = new Map<string, Started[]>(names.map((name) => [name, []]))
  // Certificates, options and a cache from the environment are no part of a library's start: Node 20 takes 40 ms to read certificates.
  const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: __, NODE_COMPILE_CACHE: ___, ...env } = process.env
  // The first of each only warms up.
  for (let round = 0; round <= count; round++)
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const { stdout } = await run(process.execPath, [program, name, url], { env })
      if (round > 0) all.get(name)?.push(JSON.parse(stdout) as Started)
    }
  const others = all.get(base) ?? []
  const lines = [...all].map(([name, samples]): Cell[] => {
    const of = (what: keyof Started): string => median(samples.map((sample) => sample[what])).toFixed(1)
    const ratios = samples.map(({ total }, at) => total / (others[at]?.total ?? NaN))
    return [name, of('loaded'), of('total'), name === base ? '' : shown(spread(ratios)), of('memory')]
  })
  const figures = ['loaded, CPU ms', 'first row, CPU ms', 'of pg', 'RSS MB']
  return table(['', ...figures], lines, figures)
}
