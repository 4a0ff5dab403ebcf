// `npm run bench -- builders`: Drizzle and Kysely on Genever (driver `pg`) against the same builders on a pool of node-postgres of the same
// size, in one process and the same async context. Sides take turns in short rounds. Never slower is the goal; faster where
// statements get names.
//
// --rounds 25, --ms 100 (a round), --only drizzle-0.45,kysely
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { say, table, type Cell } from '../demo/support/table.ts'
import { builderPairs, type Operation } from './support/builder-pairs.ts'
import { type Cost, costOf } from './support/cost.ts'
import { benchDatabase } from './support/database.ts'
import { median } from './support/quantile.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '25' },
    ms: { type: 'string', default: '100' },
    only: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const roundMs = Number(values.ms)
/** What two runs of the same code differ by on a quiet machine. */
const noise = 0.05

await using database = await benchDatabase()
const lines: Cell[][] = []
const figures = ['CPU µs own pool', 'Genever', 'ratio', 'time µs own pool', 'Genever', 'ratio', 'never slower']
for await (const { name, pairs, close } of builderPairs(database.url)) {
  if (values.only === undefined || values.only.split(',').includes(name))
    for (const { title, own, genever } of pairs)
      lines.push(await new AsyncLocalStorage<object>().run({}, () => compare(name, title, own, genever)))
  await close()
}
say(
  `Node ${process.version}, ${rounds} rounds of ${roundMs} ms for each side in turns; medians, one statement at a time. "never`,
  `slower" is met up to ${(1 + noise).toFixed(2)}: two runs of the same side differ by as much.`,
  '',
)
say(table(['builder', '', ...figures], lines, figures))

async function compare(builder: string, title: string, own: Operation, genever: Operation): Promise<Cell[]> {
  await costOf(own, roundMs * 3)
  await costOf(genever, roundMs * 3)
  const samples: { readonly own: Cost; readonly genever: Cost }[] = []
  for (let round = 0; round < rounds; round++) {
    const early = round % 2 === 0 ? await costOf(genever, roundMs) : null
    const other = await costOf(own, roundMs)
    samples.push({ own: other, genever: early ?? (await costOf(genever, roundMs)) })
  }
  const ratios = (of: keyof Cost): number => median(samples.map((sample) => sample.genever[of] / sample.own[of]))
  const micros = (side: 'own' | 'genever', of: keyof Cost): string =>
    median(samples.map((sample) => sample[side][of])).toFixed(1)
  const [cpu, time] = [ratios('cpu'), ratios('time')]
  const verdict = Math.max(cpu, time) <= 1 + noise ? 'met' : 'missed'
  return [
    builder,
    title,
    ...[micros('own', 'cpu'), micros('genever', 'cpu'), cpu.toFixed(2)],
    ...[micros('own', 'time'), micros('genever', 'time'), time.toFixed(2)],
    verdict,
  ]
}
