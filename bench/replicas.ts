// `npm run bench -- replicas`: a ledger is written under load while primaries are killed and replicas take their place, on real
// streaming replication of PostgreSQL 15. How long until the first write succeeds, what of the acknowledged is lost, which errors
// say something false; and how many reads behind writes are stale.
//
// --rounds 10 (failovers of each kind), --writers 12, --reads 500
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createDb, type Db } from 'genever'
import pg from 'pg'
import { say, table, type Cell } from '../demo/support/table.ts'
import { compare, keepLedger, type Ledger, ledgerTable } from '../test/support/ledger.ts'
import { type Cluster, cluster, type Node } from '../test/support/replication.ts'
import { until } from '../test/support/until.ts'
import { median } from './support/quantile.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    writers: { type: 'string', default: '12' },
    reads: { type: 'string', default: '500' },
  },
})
const [rounds, writers, reads] = [values.rounds, values.writers, values.reads].map(Number) as [number, number, number]

interface Pair {
  readonly servers: Cluster
  readonly primary: Node
  readonly standby: Node
  readonly db: Db
}

async function pair(settings: Readonly<Record<string, string>>): Promise<Pair> {
  const servers = await cluster()
  const { primary } = servers
  await primary.start(settings)
  await primary.query(`set synchronous_commit = local; ${ledgerTable}`)
  const standby = await servers.follow()
  await standby.start()
  const db = createDb(primary.url, { pool: { max: 8 }, replicas: { urls: [standby.url] } })
  await db.open()
  return { servers, primary, standby, db }
}

/** When a server says for the first time that it takes writes. */
async function watch({ url }: Node): Promise<() => Promise<number>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const seen = (async () => {
    for (;;) {
      const { rows } = await client.query<{ follows: boolean }>('select pg_is_in_recovery() as follows')
      if (rows[0]?.follows === false) return performance.now()
      await sleep(1)
    }
  })()
  return async () => {
    const at = await seen
    await client.end()
    return at
  }
}

const grown = (ledger: Ledger, by: number): Promise<boolean> => {
  const enough = ledger.acknowledged.length + by
  return until(() => ledger.acknowledged.length >= enough, { what: 'the ledger grows', timeoutMs: 60_000 })
}

interface Result {
  readonly acknowledged: number
  readonly unknown: number
  readonly undone: number
  readonly lost: number
  readonly denied: number
  /** From the watcher's first answer to the first write that was issued and acknowledged after the kill. */
  readonly afterMs: number
}

/** `cut`: the replica receives nothing any more for the last commits before the kill. */
async function failover(settings: Readonly<Record<string, string>>, cut: boolean): Promise<Result> {
  const { servers, primary, standby, db } = await pair(settings)
  await using _servers = servers
  await using _db = db
  const ledger = keepLedger(db, writers)
  await grown(ledger, 300)
  if (cut) {
    await standby.query("alter system set primary_conninfo = ''")
    await standby.query('select pg_reload_conf()')
    await until(async () => (await standby.query('select 1 from pg_stat_wal_receiver')).length === 0)
    await grown(ledger, 200)
  }
  const seen = await watch(standby)
  await primary.kill()
  const killed = performance.now()
  await standby.promote()
  const takesWrites = await seen()
  await grown(ledger, 300)
  await ledger.stop()
  const { lost, denied } = compare(ledger, await standby.query('select n from ledger'))
  const first = ledger.at.find((at) => at > killed) ?? Infinity
  return {
    acknowledged: ledger.acknowledged.length,
    unknown: ledger.unknown.length,
    undone: ledger.undone.length,
    lost: lost.length,
    denied: denied.length,
    afterMs: first - takesWrites,
  }
}

/** Reads behind writes: from another scope, with the position of the write. */
async function readsBehindWrites(): Promise<{ stale: number; onReplica: number; without: number }> {
  const { servers, db } = await pair({})
  await using _servers = servers
  await using _db = db
  await db.status('insert into ledger values (0)')
  const read = (): Promise<{ n: number; replica: boolean }> =>
    db.one("select n, current_setting('in_hot_standby') = 'on' as replica from ledger")
  let [stale, onReplica, without] = [0, 0, 0]
  for (let n = 1; n <= reads; n++) {
    await db.status('update ledger set n = $1', [n])
    const after = await db.position()
    if ((await db.scope(read)).n !== n) without++
    if (n % 2 === 0) await sleep(25)
    const seen = await db.scope(read, { after })
    if (seen.n !== n) stale++
    if (seen.replica) onReplica++
  }
  return { stale, onReplica, without }
}

const lines: Cell[][] = []
for (const [what, settings, cut, count] of [
  ['synchronous', { synchronous_standby_names: '*' }, false, rounds],
  ['asynchronous', {}, false, Math.min(rounds, 3)],
  ['asynchronous, the replica cut off', {}, true, Math.min(rounds, 3)],
] as const) {
  const results: Result[] = []
  for (let round = 0; round < count; round++) results.push(await failover(settings, cut))
  const sum = (name: keyof Result): number => results.reduce((all, each) => all + each[name], 0)
  const after = results.map(({ afterMs }) => afterMs)
  lines.push([
    what,
    `${count}`,
    `${sum('acknowledged')}`,
    `${sum('lost')}`,
    `${sum('denied')}`,
    `${sum('unknown')}`,
    `${sum('undone')}`,
    `${median(after).toFixed(0)} (${Math.max(...after).toFixed(0)})`,
  ])
}
say(
  `Node ${process.version}`,
  '',
  table(
    [
      'replication',
      'failovers',
      'acknowledged',
      'lost',
      'denied',
      'unknown',
      'undone',
      'first write after, ms (worst)',
    ],
    lines,
  ),
  '',
)
const { stale, onReplica, without } = await readsBehindWrites()
say(
  `${reads} reads behind writes: ${stale} stale with a position (${onReplica} on the replica), ${without} without one`,
)
