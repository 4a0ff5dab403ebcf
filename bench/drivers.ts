// `npm run bench -- drivers`: the driver `socket` beside `pg`, node-postgres and, where its path is given, a prototype of what is
// reachable in plain JavaScript. One process, short blocks that take turns: what slows the machine down slows all. Processor
// time of the process and time, each an operation, as medians of the ratios of neighbouring blocks to the first of the sides; and
// the fastest tenth of the blocks, which are the least disturbed ones.
//
// --rounds 30, --ms 60 (a block), --only row,page (of the workloads below), --sides socket,pg, --prototype path/to/client.mjs
// (it exports `Pool`, whose `open()`, `query(text, values)`, `reserve()`, `release()` and `end()` are those of its pool)
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { type Cell, say, table } from '../demo/support/table.ts'
import { costOf } from './support/cost.ts'
import { benchDatabase } from './support/database.ts'
import { type DriverSide, driverSides } from './support/driver-sides.ts'
import { keys } from './support/keys.ts'
import { quantile, shown, spread } from './support/quantile.ts'
import { posts } from './support/workloads.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    ms: { type: 'string', default: '60' },
    only: { type: 'string' },
    sides: { type: 'string' },
    prototype: { type: 'string' },
  },
})
const [rounds, blockMs] = [Number(values.rounds), Number(values.ms)]
const wanted = (name: string, list: string | undefined): boolean => list === undefined || list.split(',').includes(name)

const key = keys(posts)

const numbers = Array.from({ length: 1000 }, (_, n) => n)
const workloads: Readonly<Record<string, readonly [title: string, run: (side: DriverSide) => Promise<unknown>]>> = {
  row: ['one row by key', (side) => side.query('post', [key()])],
  page: ['100 rows', (side) => side.query('page', [key(posts - 200), 100])],
  long: ['1,000 rows', (side) => side.query('page', [key(posts - 2000), 1000])],
  insert: ['an insert', (side) => side.query('log', [key()])],
  inserts: ['1,000 inserts', (side) => side.query('logs', [numbers])],
  transaction: [
    'a transaction of three',
    (side) =>
      side.transaction(async (query) => {
        await query('post', [key()])
        await query('score', [key(), key(1000)])
        await query('log', [key()])
      }),
  ],
  reads: [
    'a transaction of three reads',
    (side) =>
      side.transaction(async (query) => {
        for (let n = 0; n < 3; n++) await query('post', [key()])
      }),
  ],
  many: [
    '64 reads by key at a time',
    (side) => Promise.all(Array.from({ length: 64 }, () => side.query('post', [key()]))),
  ],
}

await using database = await benchDatabase()
const sides: DriverSide[] = []
for (const [name, open] of Object.entries(driverSides))
  if (wanted(name, values.sides) && (name !== 'prototype' || values.prototype !== undefined))
    sides.push(await open(database.url, values.prototype ?? ''))

await new AsyncLocalStorage<object>().run({}, async () => {
  say(
    `Node ${process.version}, ${rounds} rounds of ${blockMs} ms. Ratios to ${sides[0]?.name}: processor time, time.`,
    '',
  )
  const rows: Cell[][] = []
  for (const [name, [title, run]] of Object.entries(workloads)) {
    if (!wanted(name, values.only)) continue
    for (const side of sides) await costOf(() => run(side), 400)
    const cpu = sides.map((): number[] => [])
    const time = sides.map((): number[] => [])
    for (let round = 0; round < rounds; round++)
      for (let turn = 0; turn < sides.length; turn++) {
        const at = (turn + round) % sides.length
        const sample = await costOf(() => run(sides[at] as DriverSide), blockMs)
        cpu[at]?.push(sample.cpu)
        time[at]?.push(sample.time)
      }
    sides.forEach((side, at) => {
      rows.push([
        at === 0 ? title : '',
        side.name,
        quantile(cpu[at] ?? [], 0.5).toFixed(1),
        ratio(cpu, at),
        tenth(cpu, at).toFixed(1),
        at === 0 ? '' : (tenth(cpu, at) / tenth(cpu, 0)).toFixed(2),
        quantile(time[at] ?? [], 0.5).toFixed(1),
        ratio(time, at),
        at === 0 ? '' : (tenth(time, at) / tenth(time, 0)).toFixed(2),
      ])
    })
  }
  say(
    table(['', 'side', 'CPU µs', 'ratio', 'fastest', 'its ratio', 'time µs', 'ratio', 'of fastest'], rows, [
      'CPU µs',
      'fastest',
      'time µs',
    ]),
  )
})
for (const side of sides) await side.close()

/** What one in ten blocks is below: the least disturbed ones. */
function tenth(samples: readonly (readonly number[])[], at: number): number {
  return quantile(samples[at] ?? [], 0.1)
}

/** The median of a side's ratios to the first side, in brackets the quartiles. */
function ratio(samples: readonly (readonly number[])[], at: number): string {
  const ratios = (samples[at] ?? []).map((sample, round) => sample / (samples[0]?.[round] as number))
  return at === 0 ? '' : shown(spread(ratios))
}
