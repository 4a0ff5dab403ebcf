// `npm run bench -- transaction`: a transaction of three reads, by Genever over `pg` and by it alone with named statements, in one
// process, in short blocks that take turns: what slows the machine down slows both. Processor time of the process, in its
// medians and in the fastest tenth of the blocks, the median of the ratios of neighbouring blocks; and how many async resources
// one transaction makes.
//
// --rounds 400, --block 40 (transactions in a block)
import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { type Cell, say, table } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { quantile } from './support/quantile.ts'
import { sides, type SideName } from './support/sides.ts'
import type { Side } from './support/workloads.ts'

const goal = 0.9
const mostResources = 30

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '400' }, block: { type: 'string', default: '40' } },
})
const [rounds, block] = [Number(values.rounds), Number(values.block)]

await using database = await benchDatabase()
const opened: Readonly<Record<SideName, Side>> = {
  genever: await sides.genever(database.url),
  pg: await sides.pg(database.url),
}
let turn = 0
const reads = (side: Side): Promise<void> =>
  side.transaction(async (send) => {
    const key = 1 + (turn++ % 100)
    await send('author', [key])
    await send('post', [key])
    await send('post', [key + 1])
  })

// An application has a context: where there is none, promises cost less.
await new AsyncLocalStorage<object>().run({}, async () => {
  for (let i = 0; i < 3_000; i++) for (const side of Object.values(opened)) await reads(side)
  const cpu: Record<SideName, number[]> = { genever: [], pg: [] }
  for (let round = 0; round < rounds; round++) {
    const order: readonly SideName[] = round % 2 === 0 ? ['genever', 'pg'] : ['pg', 'genever']
    for (const name of order) cpu[name].push(await cpuOf(opened[name]))
  }
  const ratios = cpu.genever.map((micros, round) => micros / (cpu.pg[round] as number))
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(2)) as [
    string,
    string,
    string,
  ]
  const fastest = quantile(cpu.genever, 0.1) / quantile(cpu.pg, 0.1)
  say(
    `Node ${process.version}, ${rounds} rounds of ${block} transactions of three reads, one after the other.`,
    '',
    table(
      ['', 'CPU µs', 'fastest tenth', 'async resources', 'by kind'],
      [await row('genever', cpu.genever), await row('pg', cpu.pg)],
      ['CPU µs', 'fastest tenth'],
    ),
    '',
    `ratio ${middle} (quartiles ${low}–${high}), of the fastest tenths ${fastest.toFixed(2)}; goal ≤ ${goal.toFixed(2)}, and at most ${mostResources} resources`,
  )
})
for (const side of Object.values(opened)) await side.close()

async function row(name: SideName, cpu: readonly number[]): Promise<Cell[]> {
  const kinds = await resourcesOf(opened[name])
  return [name, quantile(cpu, 0.5).toFixed(1), quantile(cpu, 0.1).toFixed(1), total(kinds), describe(kinds)]
}

async function cpuOf(side: Side): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < block; i++) await reads(side)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / block
}

/** Of one transaction: the fewest of some, because other things happen too. */
async function resourcesOf(side: Side): Promise<Map<string, number>> {
  let fewest = new Map<string, number>()
  for (let i = 0; i < 20; i++) {
    const kinds = new Map<string, number>()
    const hook = createHook({
      init(_, kind) {
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      },
    }).enable()
    await reads(side)
    hook.disable()
    if (i === 0 || total(kinds) < total(fewest)) fewest = kinds
  }
  return fewest
}

function total(kinds: ReadonlyMap<string, number>): number {
  return [...kinds.values()].reduce((sum, count) => sum + count, 0)
}

function describe(kinds: ReadonlyMap<string, number>): string {
  return [...kinds].map(([kind, count]) => `${kind} ${count}`).join(', ')
}
