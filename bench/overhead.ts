// `npm run bench -- overhead`: what Genever (driver `pg`) costs over bare node-postgres, both with the same prepared statements, the same
// pool size and the same async context. Goals stand beside the figures; a goal that is missed fails nothing.
//
// --rounds 25, --ms 150 (a round), --only row,scope (of the workloads in support/workloads.ts),
// --before FOLDER (another checkout after `npm run build:bench` there: it takes turns too)
import { parseArgs } from 'node:util'
import { say, table, type Cell } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import type { Sample } from './support/peer.ts'
import { Peers, type Round, type TurnOptions } from './support/peers.ts'
import { median, quantile } from './support/quantile.ts'
import { poolSize, workloads } from './support/workloads.ts'

const acquireGoal = 350_000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '25' },
    ms: { type: 'string', default: '150' },
    only: { type: 'string' },
    before: { type: 'string' },
  },
})
const options: TurnOptions = { rounds: Number(values.rounds), roundMs: Number(values.ms), warmUpMs: 1000 }
const isWanted = (name: string): boolean => values.only === undefined || values.only.split(',').includes(name)

await using database = await benchDatabase()
await using peers = await Peers.start(database.url, values.before)
say(
  `Node ${process.version}, pool of ${poolSize}, ${options.rounds} rounds of ${options.roundMs} ms each; sides take turns in`,
  'processes of their own. Ratios are medians of the ratios of single rounds, in brackets the quartiles.',
  '',
)
await compare()
await connections()

async function compare(): Promise<void> {
  const rows: Cell[][] = []
  for (const [name, { title, goal }] of Object.entries(workloads)) {
    if (!isWanted(name)) continue
    const rounds = await peers.run(name, options)
    const cpuOf = (sample: Sample): number => sample.cpuMs / sample.operations
    const timeOf = (sample: Sample): number => sample.ms / sample.operations
    const cpu = ratio(rounds, cpuOf)
    const time = ratio(rounds, timeOf)
    const micros = (side: 'genever' | 'pg', of: (sample: Sample) => number): string =>
      (median(rounds.map((round) => of(round[side]))) * 1000).toFixed(1)
    rows.push([
      name,
      title,
      ...[micros('pg', cpuOf), micros('genever', cpuOf), cpu.text, verdict(cpu.value, goal?.[0])],
      ...[micros('pg', timeOf), micros('genever', timeOf), time.text, verdict(time.value, goal?.[1])],
      ...(values.before === undefined
        ? []
        : [ratio(rounds, cpuOf, 'before').text, ratio(rounds, timeOf, 'before').text]),
    ])
  }
  if (rows.length === 0) return
  const figures = ['CPU µs pg', 'genever', 'ratio', 'goal', 'time µs pg', 'genever', 'ratio', 'goal']
  if (values.before !== undefined) figures.push('CPU to before', 'time to before')
  say(table(['workload', '', ...figures], rows, figures), '')
}

async function connections(): Promise<void> {
  const rows: Cell[][] = []
  for (const [what, title] of [
    ['acquire', 'await db.acquire(); await connection.release()'],
    ['acquireLazily', 'the same with { lazy: true }'],
  ] as const) {
    if (!isWanted(what)) continue
    const rounds = await peers.run(what, options)
    const perSecond = (side: 'genever' | 'pg'): number =>
      Math.round(median(rounds.map((round) => (round[side].operations / round[side].ms) * 1000)))
    const rate = perSecond('genever')
    const pg = perSecond('pg')
    rows.push([what, title, pg === 0 ? '' : pg, rate, `${rate >= acquireGoal ? 'met' : 'missed'}: ≥ ${acquireGoal}`])
  }
  if (rows.length > 0) say(table(['connections', '', 'pg per s', 'genever per s', 'goal'], rows, ['pg per s', 'goal']))
}

function ratio(
  rounds: readonly Round[],
  of: (sample: Sample) => number,
  other: 'pg' | 'before' = 'pg',
): { value: number; text: string } {
  const ratios = rounds.flatMap((round) => {
    const base = round[other]
    return base === undefined ? [] : [of(round.genever) / of(base)]
  })
  const [low, value, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part)) as [number, number, number]
  return { value, text: `${value.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})` }
}

function verdict(value: number, goal: number | undefined): string {
  if (goal === undefined) return ''
  return `${value <= goal ? 'met' : 'missed'}: ≤ ${goal.toFixed(2)}`
}
