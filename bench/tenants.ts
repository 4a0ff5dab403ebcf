// `npm run bench -- tenants`: what settings of a scope cost, until its connection is free. Scopes of one read each, on one connection: without
// settings, with those of the same tenant, with those of another each time, and in turns with scopes that have none. The last reset
// their session by a round trip each time, as all scopes with settings did before: one of their settings must not stay. The CPU time of
// this process and of the server's is counted too, where the system tells it: other work on the machine does not change it.
// All of it over node-postgres.
//
// A second table has reads at a schema as tenant, whose names are qualified: the first of a borrow, and those behind it.
//
// --rounds 15, --scopes 300 (a round, of each kind)
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createDb, type Db } from 'genever'
import { createRegistry } from 'genever/registry'
import { type Cell, say, table } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { median, quantile } from './support/quantile.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, scopes: { type: 'string', default: '300' } },
})
const [rounds, scopes] = [Number(values.rounds), Number(values.scopes)]
const read = (db: Db): Promise<unknown> => db.first('select id, title from posts where id = $1', [7])

const kinds: Readonly<Record<string, (db: Db, turn: number) => Promise<unknown>>> = {
  'without settings': (db) => db.scope(() => read(db)),
  'the same tenant': (db) => db.scope(() => read(db), { settings: { 'app.tenant': '7' } }),
  'another tenant each time': (db, turn) => db.scope(() => read(db), { settings: { 'app.tenant': String(turn) } }),
  'a tenant and none, in turns': (db, turn) =>
    turn % 2 === 0 ? db.scope(() => read(db), { settings: { 'app.tenant': '7' } }) : db.scope(() => read(db)),
  'reset by a trip': (db, turn) =>
    db.scope(() => read(db), { settings: { 'app.tenant': String(turn), statement_timeout: '60000' } }),
}

await using database = await benchDatabase()
const dbs = new Map<string, Db>()
for (const name of Object.keys(kinds))
  dbs.set(name, await createDb(database.url, { driver: 'pg', pool: { max: 1 } }).open())

/** The CPU time of a process of this machine, in microseconds; 0 where that is not known. */
function cpuOf(process: number): number {
  try {
    return Number(readFileSync(`/proc/${process}/schedstat`, 'utf8').split(' ')[0]) / 1000
  } catch {
    return 0
  }
}

const servers = new Map<string, number>()
for (const [name, db] of dbs) servers.set(name, (await db.scalar<number>('select pg_backend_pid()')) as number)
const cpus = new Map<string, { here: number[]; there: number[] }>()
for (const name of dbs.keys()) cpus.set(name, { here: [], there: [] })

const times = new Map<string, number[][]>(Object.keys(kinds).map((name) => [name, []]))
for (let round = -2; round < rounds; round++)
  for (const [name, run] of Object.entries(kinds)) {
    const db = dbs.get(name) as Db
    const micros: number[] = []
    const server = servers.get(name) as number
    const [here, there] = [process.cpuUsage(), cpuOf(server)]
    for (let turn = 0; turn < scopes; turn++) {
      const since = performance.now()
      await run(db, turn)
      // What a scope leaves to be done is paid by the next one that borrows.
      while (db.stats().idle === 0) await new Promise(setImmediate)
      micros.push((performance.now() - since) * 1000)
    }
    const used = process.cpuUsage(here)
    if (round < 0) continue
    times.get(name)?.push(micros)
    cpus.get(name)?.here.push((used.user + used.system) / scopes)
    cpus.get(name)?.there.push((cpuOf(server) - there) / scopes)
  }

const bare = (times.get('without settings') as number[][]).map((each) => quantile(each, 0.5))
const rows: Cell[][] = []
for (const [name, all] of times) {
  const ratios = all.map((each, at) => quantile(each, 0.5) / (bare[at] as number))
  rows.push([
    name,
    median(all.map((each) => quantile(each, 0.5))).toFixed(0),
    median(all.map((each) => quantile(each, 0.99))).toFixed(0),
    `${median(ratios).toFixed(2)} (${quantile(ratios, 0.25).toFixed(2)}–${quantile(ratios, 0.75).toFixed(2)})`,
    median(cpus.get(name)?.here ?? []).toFixed(0),
    median(cpus.get(name)?.there ?? []).toFixed(0),
  ])
}
const figures = ['p50 µs', 'p99 µs', 'p50, ratio to none', 'CPU here µs', 'CPU of the server µs']
say(`Node ${process.version}, ${rounds} rounds of ${scopes} scopes of each kind; one read a scope, one connection.`, '')
say(table(['scopes', ...figures], rows, figures))
for (const db of dbs.values()) await db.close()

const tenants = Array.from({ length: 8 }, (_, at) => `tenant_${at}`)
const registry = createRegistry({
  main: { url: database.url, driver: 'pg', pool: { max: 1 } },
  tenancy: { schema: (tenant: string) => tenant },
})
await registry.open()
const plain = await createDb(database.url, { driver: 'pg', pool: { max: 1 } }).open()
for (const tenant of tenants)
  await plain.status(
    `create schema ${tenant}; create table ${tenant}.posts as table public.posts; create unique index on ${tenant}.posts (id)`,
  )
const readsOf = async (db: Db, schema: string): Promise<[number, number]> => {
  const text = `select id, title from ${schema}.posts where id = $1`
  const begun = performance.now()
  await db.first(text, [7])
  const between = performance.now()
  for (let more = 0; more < 4; more++) await db.first(text, [7])
  return [(between - begun) * 1000, ((performance.now() - between) * 1000) / 4]
}
const at = (turn: number): string => tenants[turn % tenants.length] as string
const reading: Readonly<Record<string, (turn: number) => Promise<[number, number]>>> = {
  'without tenancy': (turn) => plain.scope(() => readsOf(plain, at(turn))),
  'a tenant, another each time': (turn) =>
    registry.withTenant(at(turn), () => registry.scope(() => readsOf(registry, at(turn)))),
}
const taken = new Map(Object.keys(reading).map((name) => [name, [[], []] as [number[], number[]]]))
for (let round = -2; round < rounds; round++)
  for (const [name, run] of Object.entries(reading)) {
    const [first, later]: [number[], number[]] = [[], []]
    for (let turn = 0; turn < scopes; turn++) {
      const [one, others] = await run(turn)
      first.push(one)
      later.push(others)
    }
    if (round < 0) continue
    taken.get(name)?.[0].push(quantile(first, 0.5))
    taken.get(name)?.[1].push(quantile(later, 0.5))
  }
const [bareFirst, bareLater] = taken.get('without tenancy') as [number[], number[]]
const lines = [...taken].map(([name, [first, later]]) => [
  name,
  median(first).toFixed(0),
  median(first.map((each, index) => each / (bareFirst[index] as number))).toFixed(2),
  median(later).toFixed(0),
  median(later.map((each, index) => each / (bareLater[index] as number))).toFixed(2),
])
const heads = ['first read, p50 µs', 'ratio', 'later reads, p50 µs', 'ratio of those']
say('', 'One read and four more in each scope, names qualified:', '')
say(table(['reads', ...heads], lines, heads))
await registry.close()
await plain.close()
