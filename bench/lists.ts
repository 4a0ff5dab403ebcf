// `npm run bench -- lists`: lists of objects in several sizes, Genever's beside Drizzle's relational queries, both over
// node-postgres. One process, a connection for each side; sides take turns in short rounds. The server's processor time is that of
// its processes, from /proc: it needs a server on this machine.
//
// --rounds 15, --ms 80 (a round of a side), --only author,ten,… (names of workloads), --before FOLDER (another checkout after
// `npm run build` there, beside this one alone: its ratios are to be above 1)
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { heading, say, table, type Cell } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { drizzle045, genever, type ListSide, packageOf, workloads } from './support/lists/sides.ts'
import { ddl } from './support/lists/tables.ts'
import { median } from './support/quantile.ts'
import { type ServerCost, ServerMeter } from './support/server-cost.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    ms: { type: 'string', default: '80' },
    only: { type: 'string' },
    before: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const roundMs = Number(values.ms)
/** Of a page at a high offset, against one without its list. */
const offsetGoal = 1.2

await using database = await benchDatabase()
const client = new pg.Client({ connectionString: database.url })
await client.connect()
for (const text of [...ddl, 'vacuum analyze']) await client.query(text)
await client.end()
const meter = await ServerMeter.open(database.url)
const sides: ListSide[] = []
try {
  await new AsyncLocalStorage<object>().run({}, measureAll)
} finally {
  for (const { close } of sides) await close()
  await meter.close()
}

async function measureAll(): Promise<void> {
  sides.push(await genever(database.url, 'joined'))
  if (values.before !== undefined) {
    const before = await genever(database.url, 'joined', await packageOf(values.before))
    sides.push({ ...before, name: 'before: genever' })
  } else {
    sides.push(await genever(database.url, 'select-in'))
    for (const prepared of [false, true]) sides.push(await drizzle045(database.url, prepared))
  }
  say(
    `Node ${process.version}, ${rounds} rounds of ${roundMs} ms for each side in turns; medians of one call in microseconds, ratios to`,
    'Genever of the same round.',
  )
  const times = new Map<string, number>()
  for (const [name, title] of Object.entries(workloads))
    if (values.only === undefined || values.only.split(',').includes(name)) {
      const samples = await takeTurns(name)
      report(title, samples)
      times.set(name, median((samples[0]?.samples ?? []).map(({ server }) => server)))
    }
  const [page, flat] = [times.get('offset'), times.get('offset-flat')]
  if (page !== undefined && flat !== undefined)
    say(
      '',
      `  A page with its list takes ${(page / flat).toFixed(2)} of the server's time without; the goal is ${offsetGoal}.`,
    )
}

interface Measured {
  readonly side: ListSide
  readonly samples: ServerCost[]
}

async function takeTurns(name: string): Promise<Measured[]> {
  const measured = sides.map((side): Measured => ({ side, samples: [] }))
  let n = 0
  const run = ({ side }: Measured): Promise<ServerCost> => meter.costOf(() => side.operations[name]?.(n++), roundMs)
  for (const one of measured) for (let warm = 0; warm < 10; warm++) await run(one)
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < measured.length; turn++) {
      const one = measured[(round + turn) % measured.length] as Measured
      globalThis.gc?.({ type: 'minor' })
      one.samples.push(await run(one))
    }
  return measured
}

function report(title: string, measured: readonly Measured[]): void {
  const [base] = measured
  const of = ({ samples }: Measured, key: keyof ServerCost): string =>
    median(samples.map((each) => each[key])).toFixed(0)
  const ratio = ({ samples }: Measured, key: keyof ServerCost): string =>
    median(samples.map((each, round) => each[key] / (base?.samples[round]?.[key] ?? NaN))).toFixed(2)
  const lines = measured.map((one): Cell[] => [
    one.side.name,
    of(one, 'cpu'),
    ratio(one, 'cpu'),
    of(one, 'server'),
    ratio(one, 'server'),
    of(one, 'time'),
    ratio(one, 'time'),
  ])
  heading(title)
  const figures = ['CPU', 'ratio', 'server', 'ratio of server', 'time', 'ratio of time']
  say(table(['', ...figures], lines, figures))
}
