// `npm run bench -- workloads`: eleven workloads by Genever, node-postgres, other clients and other libraries, on the same rows
// with a pool of the same size, everybody with their defaults and inside of one async context. Short blocks take turns, and the
// order changes each round: what slows the machine down slows all. Of throughput and processor time it gives medians, and
// medians of the ratios to node-postgres in the same round with their quartiles.
//
// --rounds 15, --ms 80 (a block), --warm 8000 (operations of each side before), --only W1,W9, --sides kysely,=genever (parts of names, =whole ones), --install (bench/peers and bench/orms),
// --prototype path/to/client.mjs (as `bench/drivers.ts` has it), --base pg, --json file, --plot file.svg,
// --page docs/performance.md (its tables are replaced), --block workloads (which tables of the page)
import { AsyncLocalStorage } from 'node:async_hooks'
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Cell, heading, say, table } from '../demo/support/table.ts'
import type { Cost } from './support/cost.ts'
import { benchDatabase } from './support/database.ts'
import { ddl } from './support/models/tables.ts'
import { putInPage } from './support/page.ts'
import { type Figures, plot, ratiosOf } from './support/work/plot.ts'
import { type Measurable, openSides } from './support/work/sides.ts'
import { median, shown, type Spread, spread } from './support/quantile.ts'
import { type Workload, workloads } from './support/work/workloads.ts'
import { onServer } from './support/work/server.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    ms: { type: 'string', default: '80' },
    warm: { type: 'string', default: '8000' },
    only: { type: 'string' },
    sides: { type: 'string' },
    install: { type: 'boolean', default: false },
    prototype: { type: 'string' },
    base: { type: 'string', default: 'pg' },
    json: { type: 'string' },
    plot: { type: 'string' },
    page: { type: 'string' },
    block: { type: 'string', default: 'workloads' },
  },
})
const [rounds, blockMs] = [Number(values.rounds), Number(values.ms)]
/** A side is warm after so many operations, or so many blocks of four times the usual length: 20 for each 8,000. */
const warmAfter = Number(values.warm)
const mostWarmUps = Math.ceil(warmAfter / 400)
const longRounds = Math.max(3, Math.round(rounds / 3))

await using database = await benchDatabase()
await onServer(database.url, ...ddl)
const open: { readonly close: () => Promise<unknown> }[] = []
const figures: Figures[] = []
try {
  await new AsyncLocalStorage<object>().run({}, async () => {
    const sides = await openSides(database.url, open, {
      wanted: isWanted,
      install: values.install,
      prototype: values.prototype,
    })
    say(
      `Node ${process.version}, ${rounds} rounds of ${blockMs} ms for each side in turns. Ratios to ${values.base} in the same round: the median, and`,
      'the quartiles. Throughput: more is better; processor time of the client: less is better.',
    )
    for (const [name, workload] of Object.entries(workloads))
      if (values.only === undefined || values.only.split(',').includes(name)) await report(name, workload, sides)
  })
} finally {
  for (const { close } of open) await close()
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 1)}\n`)
if (values.plot !== undefined) await writeFile(values.plot, plot(figures))
if (values.page !== undefined) await putInPage(values.page, values.block, ratiosOf(figures))

function isWanted(name: string): boolean {
  if (name === values.base || values.sides === undefined) return true
  return values.sides.split(',').some((part) => (part.startsWith('=') ? part === `=${name}` : name.includes(part)))
}

async function report(name: string, workload: Workload, sides: readonly Measurable[]): Promise<void> {
  const taking = sides.filter(({ can }) => can.includes(name))
  const samples = await takeTurns(name, workload, taking)
  const base = samples[taking.findIndex((side) => side.name === values.base)]
  heading(`${name}: ${workload.title}`)
  const lines = taking.map((side, at): Cell[] => {
    const own = samples[at] ?? []
    const ratios = (of: (own: Cost, other: Cost) => number): Spread =>
      spread(own.flatMap((sample, round) => (base?.[round] === undefined ? [] : [of(sample, base[round])])))
    const each: Figures = {
      workload: name,
      side: side.name,
      perSecond: 1e6 / median(own.map(({ time }) => time)),
      cpu: median(own.map(({ cpu }) => cpu)),
      throughput: ratios((one, other) => other.time / one.time),
      processor: ratios((one, other) => one.cpu / other.cpu),
    }
    figures.push(each)
    return [side.name, each.perSecond.toFixed(0), shown(each.throughput), each.cpu.toFixed(1), shown(each.processor)]
  })
  const headings = ['', 'a second', 'throughput', 'CPU µs', 'processor time']
  say(table(headings, lines, ['a second', 'CPU µs']))
}

async function takeTurns(name: string, workload: Workload, taking: readonly Measurable[]): Promise<Cost[][]> {
  const samples = taking.map((): Cost[] => [])
  const ms = workload.long === true ? 0 : blockMs
  await warmUp(taking, name)
  for (let round = 0; round < (workload.long === true ? longRounds : rounds); round++) {
    if (workload.needs === 'createMany' || workload.needs === 'create') await onServer(database.url, 'truncate notes')
    for (let turn = 0; turn < taking.length; turn++) {
      const at =
        (round % 2 === 0 ? turn + round : taking.length * 2 - 1 - turn - (round % taking.length)) % taking.length
      globalThis.gc?.({ type: 'minor' })
      samples[at]?.push(await (taking[at] as Measurable).measure(name, ms))
    }
  }
  return samples
}

/**
 * Until their code is compiled: the first thousands of operations of a process cost more, whoever does them. They take turns as they do
 * later, since code that was compiled without a pause is compiled again after the first.
 */
async function warmUp(sides: readonly Measurable[], name: string): Promise<void> {
  const operations = sides.map(() => 0)
  for (let block = 0; block < mostWarmUps; block++)
    for (const [at, side] of sides.entries()) {
      const done = operations[at] ?? 0
      if (done >= warmAfter) continue
      const { time } = await side.measure(name, blockMs * 4)
      operations[at] = done + (blockMs * 4 * 1000) / time
    }
}
