// `npm run bench -- mysql-tenants`: what tenants cost on MariaDB or MySQL, where all share the 4 connections of one pool. A request
// is a scope of three reads with the same texts as all others, 16 at a time: without tenants, with a variable as tenant, with a
// database as tenant, and the same by mysql2 in hand-written code. A connection keeps 256 prepared statements, each for one database:
// those of 8 tenants stay, those of 300 do not. Each row says whose it is, and one of another tenant ends the run.
//
// Sides take turns in short blocks; ratios are those of blocks of the same round. A MariaDB is started for it where one is installed;
// MYSQL_URL names another server, on which it makes as many databases as there are tenants.
//
// --rounds 25, --ms 150 (a block), --tenants 300
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { createDb, createEngine, type Db } from 'genever'
import { createRegistry } from 'genever/registry'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import { temporaryMariadb } from '../demo/support/database.ts'
import { type Cell, say, table } from '../demo/support/table.ts'
import { type Cost, costOf } from './support/cost.ts'
import { median, shown, spread } from './support/quantile.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '25' },
    ms: { type: 'string', default: '150' },
    tenants: { type: 'string', default: '300' },
  },
})
const [rounds, blockMs, tenants] = [Number(values.rounds), Number(values.ms), Number(values.tenants)]
const few = 8
const atOnce = 16
const max = 4
const texts = [
  'select tenant, n from items where n = ?',
  'select tenant, count(*) as n from items where n > ? group by tenant',
  'select tenant, max(n) as n from items where n < ? group by tenant',
] as const

interface Found {
  readonly tenant: number
}

/** Three reads of a request. */
type Request = (tenant: number) => Promise<readonly (Found | undefined)[]>

interface Side {
  readonly name: string
  readonly most: number
  readonly request: Request
  readonly close: () => Promise<unknown>
}

await using database = await temporaryMariadb()
const prefix = new URL(database.url).pathname.slice(1)
const nameOf = (tenant: number): string => (tenant === 0 ? prefix : `${prefix}_${tenant}`)
const shared = { url: database.url, pool: { max } }
await fill()

const reads = (db: Db): ReturnType<Request> =>
  db.scope(async () => {
    const found: (Found | undefined)[] = []
    for (const text of texts) found.push(await db.first<Found>(text, [5]))
    return found
  })

const none = await createDb(shared.url, { pool: shared.pool }).open()
const byVariable = createRegistry({
  main: shared,
  tenancy: { settings: (tenant: number) => ({ 'app.tenant': String(tenant) }) },
})
const byDatabase = createRegistry({
  main: shared,
  tenancy: { settings: (tenant: number) => ({ database: nameOf(tenant) }) },
})
const raw = createPool({ uri: database.url, connectionLimit: max })
const sides: readonly Side[] = [
  { name: 'without tenants', most: 0, request: () => reads(none), close: () => none.close() },
  {
    name: `${tenants} tenants, a variable`,
    most: tenants,
    // Its rows are those of the one database.
    request: async (tenant) =>
      (await byVariable.withTenant(tenant, () => reads(byVariable))).map((row) => row && { tenant }),
    close: () => byVariable.close(),
  },
  ...[few, tenants].map((most): Side => ({
    name: `${most} tenants, a database`,
    most,
    request: (tenant) => byDatabase.withTenant(tenant, () => reads(byDatabase)),
    close: () => byDatabase.close(),
  })),
  {
    name: `${tenants} tenants, a database, mysql2: USE and query`,
    most: tenants,
    async request(tenant) {
      const connection = await raw.getConnection()
      try {
        await connection.query(`use \`${nameOf(tenant)}\``)
        const found: (Found | undefined)[] = []
        for (const text of texts) found.push((await connection.query<(RowDataPacket & Found)[]>(text, [5]))[0][0])
        return found
      } finally {
        connection.release()
      }
    },
    close: () => raw.end(),
  },
]

const samples = sides.map((): Cost[] => [])
try {
  // An application has a context: where there is none, promises cost less.
  await new AsyncLocalStorage<object>().run({}, async () => {
    for (const side of sides) await block(side, blockMs * 5)
    for (let round = 0; round < rounds; round++)
      for (let turn = 0; turn < sides.length; turn++) {
        const at = (turn + round) % sides.length
        samples[at]?.push(await block(sides[at] as Side, blockMs))
      }
  })
} finally {
  for (const { close } of sides) await close()
  await onServer(...Array.from({ length: tenants }, (_, at) => `drop database if exists \`${nameOf(at + 1)}\``))
}

const lines = sides.map(({ name }, at): Cell[] => {
  const own = samples[at] as Cost[]
  const ratio = (of: (sample: Cost) => number): string => {
    const ratios = own.map((sample, round) => of(sample) / of(samples[0]?.[round] as Cost))
    return at === 0 ? '' : shown(spread(ratios))
  }
  return [
    name,
    median(own.map(({ cpu }) => cpu)).toFixed(0),
    ratio(({ cpu }) => cpu),
    (1e6 / median(own.map(({ time }) => time))).toFixed(0),
    ratio(({ time }) => time),
  ]
})
say(
  `Node ${process.version}, ${rounds} rounds of ${blockMs} ms; requests of three reads, ${atOnce} at a time on ${max} connections.`,
  '',
  table(['', 'CPU here µs', 'ratio', 'a second', 'time, ratio'], lines, ['CPU here µs', 'a second']),
)

async function fill(): Promise<void> {
  const commands: string[] = []
  for (let tenant = 0; tenant <= tenants; tenant++) {
    const name = `\`${nameOf(tenant)}\``
    if (tenant > 0) commands.push(`create database ${name}`)
    commands.push(`create table ${name}.items (tenant int not null, n int primary key)`)
    commands.push(
      `insert into ${name}.items values ${Array.from({ length: 10 }, (_, n) => `(${tenant}, ${n})`).join(', ')}`,
    )
  }
  await onServer(...commands)
}

async function onServer(...commands: readonly string[]): Promise<void> {
  await using engine = await createEngine(database.url)
  for (const each of commands) await engine.status(each)
}

/** What one request costs. */
function block({ most, request, name }: Side, ms: number): Promise<Cost> {
  let turn = 0
  const once = async (): Promise<void> => {
    const tenant = most === 0 ? 0 : 1 + (turn++ % most)
    const found = await request(tenant)
    if (found.length !== texts.length || found.some((row) => row?.tenant !== tenant))
      throw new Error(`${name}: tenant ${tenant} got ${JSON.stringify(found)}`)
  }
  return costOf(once, ms, atOnce)
}
