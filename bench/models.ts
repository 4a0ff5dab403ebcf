// `npm run bench -- models`: Genever's models beside other libraries on the same tables: node-postgres with named statements,
// Drizzle and Kysely, and those of `bench/orms` (`--install` installs them). All others run over node-postgres. One
// process, one async context, a pool of the same size for each; sides take turns in short rounds, and every answer is checked before.
//
// --driver socket (Genever's; pg: it runs over node-postgres too),
// --rounds 15, --ms 60 (a round of a side), --only get,page,…, --sides genever,drizzle (parts of names),
// --before FOLDER (another checkout after `npm run build:bench` there: its sides are named "before: …")
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { heading, say, table, type Cell } from '../demo/support/table.ts'
import { builtIn } from './support/before.ts'
import { type Cost, costOf } from './support/cost.ts'
import { benchDatabase } from './support/database.ts'
import { checkSide } from './support/models/check.ts'
import { drizzle045 } from './support/models/drizzle.ts'
import { baseOfGet, genever } from './support/models/genever.ts'
import { installOrms, orms, ormsInstalled } from './support/models/orms.ts'
import { kysely, nodePostgres } from './support/models/plain.ts'
import { ddl } from './support/models/tables.ts'
import { type ModelSide, type ModelSides, modelWorkloads, type ModelWorkload } from './support/models/workloads.ts'
import { median } from './support/quantile.ts'
import { poolSize } from './support/workloads.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    ms: { type: 'string', default: '60' },
    only: { type: 'string' },
    sides: { type: 'string' },
    before: { type: 'string' },
    driver: { type: 'string', default: 'socket' },
    install: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const roundMs = Number(values.ms)
const getGoal = 1.15

interface Measured {
  readonly side: ModelSide
  readonly samples: Cost[]
}

if (values.install) installOrms()
await using database = await benchDatabase()
const pool = new pg.Pool({ connectionString: database.url, max: 1 })
const opened: ModelSides[] = []
try {
  for (const text of ddl) await pool.query(text)
  await new AsyncLocalStorage<object>().run({}, measureAll)
} finally {
  for (const { close } of opened) await close()
  await pool.end()
}

async function measureAll(): Promise<void> {
  for await (const each of openAll()) opened.push(each)
  const all = opened.flatMap(({ sides }) => sides)
  const [base] = all
  if (base === undefined) return
  const isWanted = ({ name, kind }: ModelSide): boolean =>
    kind === 'raw' || values.sides === undefined || values.sides.split(',').some((part) => name.includes(part))
  const sides = all.filter(isWanted)
  for (const side of sides) await checkSide(side, base, database.url)
  say(
    `Node ${process.version}, ${rounds} rounds of ${roundMs} ms for each side in turns; medians, one call at a time; ratios to`,
    'node-postgres with named statements. The goal of a model is less processor time than every other library.',
  )
  if (!ormsInstalled())
    say('Further libraries: npm ci --prefix bench/orms, or --install; it also makes the client of Prisma.')
  for (const workload of modelWorkloads)
    if (values.only === undefined || values.only.split(',').includes(workload.name)) await report(workload, sides)
}

async function* openAll(): AsyncGenerator<ModelSides> {
  yield nodePostgres(database.url, poolSize)
  yield genever(database.url, poolSize, { driver: values.driver })
  for (const open of [drizzle045, kysely]) yield open(database.url, poolSize)
  if (ormsInstalled()) yield* orms(database.url, poolSize)
  if (values.before !== undefined) yield await openBefore(values.before)
}

async function openBefore(checkout: string): Promise<ModelSides> {
  const { genever: open } = (await import(builtIn(checkout, 'models/genever.js'))) as { genever: typeof genever }
  const { sides, close } = await open(database.url, poolSize, { driver: values.driver })
  return { sides: sides.map((side) => ({ ...side, name: `before: ${side.name}`, kind: 'engine' })), close }
}

async function report(workload: ModelWorkload, sides: readonly ModelSide[]): Promise<void> {
  const measured = await takeTurns(workload, sides)
  const ratio = (one: Measured, other: Measured | undefined, of: keyof Cost): number =>
    median(one.samples.map((sample, round) => sample[of] / (other?.samples[round]?.[of] ?? NaN)))
  const base = measured.find(({ side }) => side.kind === 'raw')
  const rivals = measured.filter(({ side }) => side.kind === 'orm')
  const verdict = (one: Measured): string => {
    const ahead = rivals.filter((rival) => ratio(one, rival, 'cpu') >= 1).map(({ side }) => side.name)
    return ahead.length === 0 ? 'met' : `missed: ${ahead.join('; ')}`
  }
  const lines = measured.map((one): Cell[] => [
    one.side.name,
    median(one.samples.map(({ cpu }) => cpu)).toFixed(1),
    ratio(one, base, 'cpu').toFixed(2),
    median(one.samples.map(({ time }) => time)).toFixed(1),
    ratio(one, base, 'time').toFixed(2),
    one.side.kind === 'genever' ? verdict(one) : '',
  ])
  heading(workload.title)
  const figures = ['CPU µs', 'ratio', 'time µs', 'ratio of time']
  say(table(['', ...figures, 'ahead of all'], lines, figures))
  const baked = measured.find(({ side }) => side.name === baseOfGet)
  const model = measured.find(({ side }) => side.kind === 'genever')
  if (baked === undefined || model === undefined) return
  const cost = ratio(model, baked, 'cpu')
  say(
    '',
    `  Model.get against the same statement baked: ${cost.toFixed(2)} of its CPU, ${ratio(model, baked, 'time').toFixed(2)} of`,
  )
  say(`  its time; at most ${getGoal} of CPU is the goal: ${cost <= getGoal ? 'met' : 'missed'}.`)
}

async function takeTurns({ name, run }: ModelWorkload, sides: readonly ModelSide[]): Promise<Measured[]> {
  const measured = sides
    .filter(({ operations }) => operations[name] !== undefined)
    .map((side): Measured => ({ side, samples: [] }))
  for (const { side } of measured) await costOf(() => run(side.operations), roundMs * 3)
  for (let round = 0; round < rounds; round++) {
    await pool.query('truncate notes')
    // Nobody follows the same neighbour each time, or pays for its garbage.
    const turns = round % 2 === 0 ? measured : measured.toReversed()
    for (let turn = 0; turn < turns.length; turn++) {
      const { side, samples } = turns[(round + turn) % turns.length] as Measured
      globalThis.gc?.({ type: 'minor' })
      samples.push(await costOf(() => run(side.operations), roundMs))
    }
  }
  return measured
}
