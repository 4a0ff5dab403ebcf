// `npm run bench -- mysql`: Genever on MariaDB or MySQL beside mysql2 itself, Drizzle and Kysely on mysql2 and on Genever, and where
// they are installed (`npm ci --prefix bench/peers`, `--prefix bench/orms`) the client mariadb and TypeORM: the same rows, a pool of
// the same size, everybody with their defaults and inside of one async context. One process; short blocks take turns,
// and the order changes each round: what slows the machine down slows all. Of throughput and processor time of the client it gives
// medians, and medians of the ratios to mysql2's `execute` in the same round with their quartiles. A MariaDB is started for it where one
// is installed; MYSQL_URL names another server.
//
// --rounds 25, --ms 80 (a block), --only row,stream (of the workloads below), --sides genever,=kysely (parts of names, =whole ones),
// --page docs/performance.md (its tables are replaced)
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { temporaryMariadb } from '../demo/support/database.ts'
import { type Cell, heading, say, table } from '../demo/support/table.ts'
import { type Cost, costOf } from './support/cost.ts'
import { drizzleOnGenever, drizzleOnMysql2, kyselyOnGenever, kyselyOnMysql2 } from './support/mysql/builders.ts'
import { genever, geneverModels, mysql2, type MysqlSide, type Within } from './support/mysql/sides.ts'
import { installed } from './support/mysql/others.ts'
import { fill } from './support/mysql/tables.ts'
import { keys } from './support/keys.ts'
import { putInPage } from './support/page.ts'
import { median, shown, type Spread, spread } from './support/quantile.ts'
import { type Figures, ratiosOf } from './support/work/plot.ts'
import { posts } from './support/workloads.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '25' },
    ms: { type: 'string', default: '80' },
    only: { type: 'string' },
    sides: { type: 'string' },
    page: { type: 'string' },
  },
})
const [rounds, blockMs] = [Number(values.rounds), Number(values.ms)]
const base = 'mysql2, execute'
const inFlight = 64

const key = keys(posts)

async function threeReads(within: Within): Promise<void> {
  for (let n = 0; n < 3; n++) await within.row(key())
}

async function threeStatements(within: Within): Promise<void> {
  await within.row(key())
  await within.score(key(), key(1_000))
  await within.insert(key())
}

/** Rows of each run are counted, lest one reads fewer than the others. */
async function expecting(count: number, rows: PromiseLike<number> | undefined): Promise<void> {
  const got = await rows
  if (got !== undefined && got !== count) throw new Error(`${got} rows instead of ${count}`)
}

interface Workload {
  readonly title: string
  readonly needs: keyof MysqlSide
  readonly run: (side: MysqlSide) => PromiseLike<unknown> | undefined
}

const workloads: Readonly<Record<string, Workload>> = {
  row: { title: 'one row by key', needs: 'row', run: (side) => side.row(key()) },
  page: {
    title: '100 rows',
    needs: 'page',
    run: (side) =>
      expecting(
        100,
        side.page?.(key(posts - 100)).then(({ length }) => length),
      ),
  },
  insert: { title: 'an insert', needs: 'insert', run: (side) => side.insert(key()) },
  request: { title: 'three reads of a request', needs: 'request', run: (side) => side.request?.(threeReads) },
  transaction: {
    title: 'a transaction of a read, an update and an insert',
    needs: 'transaction',
    run: (side) => side.transaction?.(threeStatements),
  },
  flight: {
    title: `${inFlight} rows by key, at a time`,
    needs: 'row',
    run: (side) => Promise.all(Array.from({ length: inFlight }, () => side.row(key()))),
  },
  stream: {
    title: '1,000 rows, one by one',
    needs: 'stream',
    run: (side) => expecting(1_000, side.stream?.(key(posts - 1_000))),
  },
}

await using database = await temporaryMariadb()
await fill(database.url)
const sides: MysqlSide[] = [
  mysql2(database.url, 'execute'),
  mysql2(database.url, 'query'),
  await genever(database.url),
  await geneverModels(database.url),
  ...drizzleOnMysql2(database.url),
  await drizzleOnGenever(database.url),
  kyselyOnMysql2(database.url),
  await kyselyOnGenever(database.url),
  ...(await installed(database.url)),
]
const figures: Figures[] = []
try {
  await new AsyncLocalStorage<object>().run({}, async () => {
    for (const side of sides) await check(side)
    say(
      `Node ${process.version}, ${rounds} rounds of ${blockMs} ms for each side in turns. Ratios to ${base} in the same round: the median, and`,
      'the quartiles. Throughput: more is better; processor time of the client: less is better.',
    )
    for (const [name, workload] of Object.entries(workloads))
      if (values.only === undefined || values.only.split(',').includes(name)) await report(name, workload)
  })
} finally {
  for (const side of sides) await side.close()
}
if (values.page !== undefined) await putInPage(values.page, 'mysql', ratiosOf(figures, base))

function isWanted({ name }: MysqlSide): boolean {
  if (name === base || values.sides === undefined) return true
  return values.sides.split(',').some((part) => (part.startsWith('=') ? part === `=${name}` : name.includes(part)))
}

/** Everybody reads the same row. */
async function check(side: MysqlSide): Promise<void> {
  const row = (await side.row(7)) as Record<string, unknown>
  const [title, createdAt] = [row['title'], row['created_at'] ?? row['createdAt']]
  if (title !== 'Post 7' || !(createdAt instanceof Date) || createdAt.toISOString() !== '2025-01-01T00:00:07.000Z')
    throw new Error(`${side.name} reads another row: ${JSON.stringify(row)}`)
}

async function report(name: string, workload: Workload): Promise<void> {
  const taking = sides.filter((side) => isWanted(side) && side[workload.needs] !== undefined)
  const samples = await takeTurns(workload, taking)
  const bases = samples[0] as Cost[]
  heading(`${name}: ${workload.title}`)
  const lines = taking.map((side, at): Cell[] => {
    const own = samples[at] as Cost[]
    const ratios = (of: (own: Cost, other: Cost) => number): Spread =>
      spread(own.map((sample, round) => of(sample, bases[round] as Cost)))
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
  say(table(['', 'a second', 'throughput', 'CPU µs', 'processor time'], lines, ['a second', 'CPU µs']))
}

/** Behind a warm-up, until whose end code is compiled. */
async function takeTurns(workload: Workload, taking: readonly MysqlSide[]): Promise<Cost[][]> {
  const samples = taking.map((): Cost[] => [])
  for (const side of taking) await costOf(() => workload.run(side), blockMs * 8)
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < taking.length; turn++) {
      const step = round % 2 === 0 ? turn : taking.length - 1 - turn
      const at = (step + round) % taking.length
      globalThis.gc?.({ type: 'minor' })
      samples[at]?.push(await costOf(() => workload.run(taking[at] as MysqlSide), blockMs))
    }
  return samples
}
