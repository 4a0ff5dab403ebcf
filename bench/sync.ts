// `npm run bench -- sync`: what a blocking call of `genever/sync` costs beside the same statement awaited, in microseconds. A
// call that sends nothing to the server shows the way to the worker and back. A benchmark fails nothing.
import { writeFile, rm } from 'node:fs/promises'
import { createDb } from 'genever'
import { openSync } from 'genever/sync'
import { temporaryDatabase } from '../demo/support/database.ts'
import { say, table, type Cell } from '../demo/support/table.ts'

const calls = 2_000
const file = new URL(`./sync-echo-${process.pid}.mjs`, import.meta.url)
await writeFile(file, 'export const echo = (value) => value\n')

await using database = await temporaryDatabase()
await using db = createDb(database.url)
const opened = performance.now()
using sync = openSync(database.url)
sync.scalar('select 1')
const openMs = performance.now() - opened
const echo = sync.module<{ echo: (value: unknown) => unknown }>(file)
const thousand = 'select n, n::text as name from generate_series(1, 1000) as n'

const rows = [
  row('nothing: there and back', await measure(calls, () => echo.echo(1))),
  row('one row, blocking', await measure(calls, () => sync.scalar('select $1::int', [1]))),
  row('one row, awaited', await measure(calls, () => db.scalar('select $1::int', [1]))),
  row('1,000 rows, blocking', await measure(calls / 10, () => sync.all(thousand))),
  row('1,000 rows, awaited', await measure(calls / 10, () => db.all(thousand))),
]
const figures = ['p50 µs', 'p99 µs']
say(table(['', ...figures], rows, figures))
say('', `Opening and the first call: ${openMs.toFixed(0)} ms.`)
await rm(file)

async function measure(count: number, call: () => unknown): Promise<number[]> {
  for (let n = 0; n < count / 4; n++) await call()
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const start = performance.now()
    const answer = call()
    if (answer instanceof Promise) await answer
    times.push((performance.now() - start) * 1_000)
  }
  return times.toSorted((a, b) => a - b)
}

function row(title: string, times: readonly number[]): Cell[] {
  const at = (share: number): string => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(1)
  return [title, at(0.5), at(0.99)]
}
