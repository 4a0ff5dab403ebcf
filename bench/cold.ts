// `npm run bench -- cold`: the first transactions of a process, each of three reads by key, by Genever (driver `socket`) and by
// node-postgres with named statements. Each sample is a process for itself. The processes of a round take turns in short blocks, so that
// what slows the machine down slows all. Processor time of the process: of the first transactions alone, its connection being open;
// of as many behind them; and from its start to the end of the first.
//
// --pairs 20, --count 500 (transactions), --block 25 (of them in a turn), --sides genever,pg (or `genever over pg`; ratios are to the
// last)
import { AsyncLocalStorage } from 'node:async_hooks'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Cell, say, table } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { pgTransaction } from './support/pg-transaction.ts'
import { quantile } from './support/quantile.ts'
import { texts } from './support/workloads.ts'

const goal = 1.1
const parts = ['first', 'next', 'whole'] as const
/** Milliseconds of processor time. */
type Sample = Readonly<Record<(typeof parts)[number], number>>
type Read = (text: keyof typeof texts, key: number) => Promise<unknown>
type Transact = (work: (read: Read) => Promise<void>) => Promise<void>

/** By name: opens a connection, and gives a function that runs a transaction. Nothing but its own library is loaded. */
const sides: Readonly<Record<string, (url: string) => Promise<Transact>>> = {
  genever: (url) => genever(url, 'socket'),
  'genever over pg': (url) => genever(url, 'pg'),
  async pg(url) {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ connectionString: url })
    ;(await pool.connect()).release()
    return (work) =>
      pgTransaction(pool, (client) =>
        work((text, key) => client.query({ name: text, text: texts[text], values: [key] })),
      )
  },
}

async function genever(url: string, driver: 'socket' | 'pg'): Promise<Transact> {
  const { createDb } = await import('genever')
  const db = await createDb(url, { driver }).open()
  const read: Read = (text, key) => db.all(texts[text], [key])
  return (work) => db.transaction(() => work(read))
}

const self = fileURLToPath(import.meta.url)
const [, program, side, url] = process.argv
if (program === self) serve(sides[side ?? ''] as (typeof sides)[string], url ?? '')
else await compare()

/** In a process for itself: opens, then runs as many as each message says. Answers with the processor time of the process until then. */
function serve(open: (typeof sides)[string], database: string): void {
  let transact: Transact | undefined
  let turn = 0
  const run = async (transactions: number): Promise<void> => {
    transact ??= await open(database)
    for (let i = 0; i < transactions; i++)
      await transact(async (read) => {
        const key = 1 + (turn++ % 100)
        await read('author', key)
        await read('post', key)
        await read('post', key + 1)
      })
    const { user, system } = process.cpuUsage()
    process.send?.((user + system) / 1000)
  }
  // An application has a context: where there is none, promises cost less.
  const context = new AsyncLocalStorage<object>()
  process.on('message', (transactions: number) => void context.run({}, () => run(transactions)))
  process.on('disconnect', () => process.exit())
}

/** One process of each, in turns. */
async function round(
  names: readonly string[],
  database: string,
  count: number,
  block: number,
): Promise<Map<string, Sample>> {
  const children = new Map(names.map((name) => [name, fork(self, [name, database], { execArgv: [] })]))
  const all = async (transactions: number): Promise<Map<string, number>> => {
    const spent = new Map<string, number>()
    for (const [name, child] of children) {
      const answer = once(child, 'message') as Promise<[number]>
      child.send(transactions)
      spent.set(name, (await answer)[0])
    }
    return spent
  }
  const marks: Map<string, number>[] = [await all(0)]
  for (let part = 0; part < 2; part++) {
    let spent = new Map<string, number>()
    for (let done = 0; done < count; done += block) spent = await all(block)
    marks.push(spent)
  }
  for (const child of children.values()) child.disconnect()
  return new Map(
    names.map((name) => {
      const [opened = 0, first = 0, last = 0] = marks.map((spent) => spent.get(name))
      return [name, { first: first - opened, next: last - first, whole: first }]
    }),
  )
}

async function compare(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: 'string', default: '20' },
      count: { type: 'string', default: '500' },
      block: { type: 'string', default: '25' },
      sides: { type: 'string', default: 'genever,pg' },
    },
  })
  const names = values.sides.split(',')
  const base = names.at(-1) as string
  const rounds: Map<string, Sample>[] = []
  await using database = await benchDatabase()
  for (let turn = 0; turn < Number(values.pairs); turn++)
    rounds.push(
      await round(
        turn % 2 === 0 ? names : names.toReversed(),
        database.url,
        Number(values.count),
        Number(values.block),
      ),
    )
  const of = (name: string, part: keyof Sample): number[] => rounds.map((samples) => samples.get(name)?.[part] ?? NaN)
  const ratio = (name: string, part: keyof Sample): string => {
    const others = of(base, part)
    const ratios = of(name, part).map((ms, at) => ms / (others[at] as number))
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share).toFixed(2)) as [
      string,
      string,
      string,
    ]
    return name === base ? '' : `${middle} (${low}–${high})`
  }
  const figures = ['first', 'next', 'from the start']
  const lines = names.map((name): Cell[] => [
    name,
    ...parts.flatMap((part): Cell[] => [quantile(of(name, part), 0.5).toFixed(1), ratio(name, part)]),
  ])
  say(
    `Node ${process.version}, ${values.pairs} processes of each, ${values.count} transactions; ms of processor time, and the ratio to ${base}.`,
    '',
    table(['', ...figures.flatMap((figure) => [figure, ''])], lines, figures),
    '',
    `goal: first ≤ ${goal.toFixed(2)}`,
  )
}
