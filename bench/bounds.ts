// `npm run bench -- bounds`: what is promised for bad days, beside what was measured: deadlines while nothing answers, the
// time to recover, cancels that race the end of their statement. A bound that is missed fails nothing.
//
// --cases 400 (deadlines), --rounds 10 (recoveries, closings), --restarts 6, --cancels 5000, --only deadlines,restart,…
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Engine, EngineOptions } from 'genever'
import { say, table, type Cell } from '../demo/support/table.ts'
import { ownServer } from '../test/support/own-server.ts'
import { startProxy, type Proxy } from '../test/support/proxy.ts'
import { quantile } from './support/quantile.ts'

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '10' },
    restarts: { type: 'string', default: '6' },
    cancels: { type: 'string', default: '5000' },
    only: { type: 'string' },
  },
})
const [cases, rounds, restarts, cancels] = [values.cases, values.rounds, values.restarts, values.cancels].map(
  Number,
) as [number, number, number, number]
const isWanted = (name: string): boolean => values.only === undefined || values.only.split(',').includes(name)

// The clock of the library can be put forward, since it is replaced before the library is loaded; ours cannot.
let ahead = 0
const clock = performance.now.bind(performance)
performance.now = () => clock() + ahead
const { createEngine, SelfDeadlockError } = await import('genever')

await using server = await ownServer()
await server.stop('fast')
await server.start()
await server.query('create table t (n int)')
const lines: Cell[][] = []

if (isWanted('deadlines')) await deadlines()
if (isWanted('idle')) await deadIdle()
if (isWanted('restart')) await restarted()
if (isWanted('cancels')) await racingCancels()
if (isWanted('close')) await closings()
if (isWanted('deadlock')) await selfDeadlock()
say(`Node ${process.version}`, '', table(['bound', 'promised', 'measured', ''], lines), '')

function line(bound: string, promised: string, measured: string, met: boolean): void {
  lines.push([bound, promised, measured, met ? 'met' : 'missed'])
}

async function proxied(options: EngineOptions): Promise<{ proxy: Proxy; engine: Engine } & AsyncDisposable> {
  const proxy = await startProxy(server.url)
  const engine = await createEngine(proxy.url, { closeTimeoutMs: 200, cancelTimeoutMs: 500, ...options })
  return {
    proxy,
    engine,
    async [Symbol.asyncDispose]() {
      await engine.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

async function warm(engine: Engine, connections: number): Promise<void> {
  const held = await Promise.all(Array.from({ length: connections }, () => engine.acquire()))
  await Promise.all(held.map((connection) => connection.release()))
}

/** How long after its time it settled. */
async function overrun(limitMs: number, work: () => Promise<unknown>): Promise<number> {
  const start = clock()
  await work().catch(() => {})
  return clock() - start - limitMs
}

/** Twenty at a time. */
async function inBatches(count: number, work: (n: number) => Promise<number>): Promise<number[]> {
  const measured: number[] = []
  for (let n = 0; n < count; n += 20)
    measured.push(...(await Promise.all(Array.from({ length: Math.min(20, count - n) }, (_, i) => work(n + i)))))
  return measured
}

async function deadlines(): Promise<void> {
  const judge = (what: string, measured: readonly number[]): void => {
    const [p50, p99, max] = [0.5, 0.99, 1].map((part) => quantile(measured, part)) as [number, number, number]
    const text = `p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)}, earliest ${ms(Math.min(...measured))}`
    line(`deadline overrun, ${what}`, 'p99 ≤ 50 ms, max ≤ 150 ms', text, p99 <= 50 && max <= 150)
  }
  const some = (n: number): number => 50 + ((n * 37) % 200)
  {
    const measured: number[] = []
    for (let n = 0; n < cases; n += 20) {
      await using place = await proxied({ pool: { max: 20 } })
      const { engine, proxy } = place
      await warm(engine, 20)
      for (const link of proxy.open) link.break('blackhole')
      await proxy.accept('silent')
      measured.push(
        ...(await inBatches(20, (i) =>
          overrun(some(n + i), () => engine.scalar('select 1', [], { timeoutMs: some(n + i) })),
        )),
      )
    }
    judge('statements into a black hole', measured)
  }
  {
    await using place = await proxied({ pool: { max: 20 } })
    const { engine, proxy } = place
    await proxy.accept('silent')
    for (const link of proxy.open) link.break('blackhole')
    const lost = engine.scalar('select 1', [], { timeoutMs: 1 }).catch(() => {})
    judge(
      'waits while new connections are accepted in silence',
      await inBatches(cases, (n) =>
        overrun(some(n), () =>
          n % 2 === 0 ? engine.acquire({ timeoutMs: some(n) }) : engine.scalar('select 1', [], { timeoutMs: some(n) }),
        ),
      ),
    )
    await lost
    const opening = (n: number): Promise<number> =>
      overrun(some(n), () => createEngine(proxy.url, { pool: { connectTimeoutMs: some(n) } }))
    judge('opening an engine against silence', await inBatches(cases / 4, opening))
  }
}

async function deadIdle(): Promise<void> {
  const first: number[] = []
  const healed: number[] = []
  for (let round = 0; round < rounds; round++) {
    await using place = await proxied({ pool: { max: 10 } })
    const { engine, proxy } = place
    await warm(engine, 10)
    for (const link of proxy.open) link.break('blackhole')
    ahead += 1500
    const start = clock()
    await engine.scalar('select 1')
    first.push(clock() - start)
    await warm(engine, 10)
    healed.push(clock() - start)
  }
  const [one, all] = [Math.max(...first), Math.max(...healed)]
  line(
    '10 dead idle connections: first answer',
    '≤ 550 ms',
    `p50 ${ms(quantile(first, 0.5))}, max ${ms(one)}`,
    one <= 550,
  )
  line(
    '10 dead idle connections: all replaced',
    '≤ 1 s',
    `p50 ${ms(quantile(healed, 0.5))}, max ${ms(all)}`,
    all <= 1000,
  )
}

async function restarted(): Promise<void> {
  for (const downMs of [0, 2000]) {
    const first: number[] = []
    let errors = 0
    let lastFailure = -Infinity
    for (let round = 0; round < (downMs === 0 ? restarts : Math.ceil(restarts / 3)); round++) {
      await using engine = await createEngine(server.url, { pool: { max: 10 } })
      const seen = { going: true, ready: Infinity, success: Infinity }
      const worker = async (): Promise<void> => {
        while (seen.going) {
          try {
            await engine.scalar('select 1')
            if (clock() > seen.ready) seen.success = Math.min(seen.success, clock())
          } catch {
            errors++
            lastFailure = Math.max(lastFailure, clock() - seen.ready)
          }
          await sleep(1)
        }
      }
      const workers = Array.from({ length: 50 }, worker)
      await sleep(100)
      await server.stop(round % 2 === 0 ? 'fast' : 'immediate')
      await sleep(downMs)
      await server.start()
      seen.ready = clock()
      while (seen.success === Infinity) await sleep(1)
      first.push(seen.success - seen.ready)
      seen.going = false
      await Promise.all(workers)
    }
    const worst = Math.max(...first)
    const text = `p50 ${ms(quantile(first, 0.5))}, max ${ms(worst)}`
    line(`first answer after a restart (down for ${downMs} ms, 50 workers, pool of 10)`, '≤ 100 ms', text, worst <= 100)
    line(
      '… errors told for each restart, at most those in flight',
      '≤ 10',
      `${errors / first.length}`,
      errors <= 10 * first.length,
    )
    line(
      '… last failure after it was ready',
      '≤ 500 ms',
      lastFailure < 0 ? 'none' : ms(lastFailure),
      lastFailure <= 500,
    )
  }
}

async function racingCancels(): Promise<void> {
  await using place = await proxied({ pool: { max: 10 }, cancelTimeoutMs: 5000 })
  const { engine, proxy } = place
  await warm(engine, 10)
  let innocents = 0
  let wrong = 0
  let stopped = 0
  const victim = async (n: number): Promise<void> => {
    const controller = new AbortController()
    const statement = engine.scalar('select $1::int from pg_sleep($2)', [n, Math.random() / 500], {
      signal: controller.signal,
    })
    const stop = setTimeout(() => controller.abort(), Math.random() * 4)
    try {
      if ((await statement) !== n) wrong++
    } catch {
      stopped++
    }
    clearTimeout(stop)
  }
  const innocent = async (n: number): Promise<void> => {
    try {
      if ((await engine.scalar('select $1::int', [n])) !== n) wrong++
    } catch {
      innocents++
    }
  }
  const each = (work: (n: number) => Promise<void>, workers: number): Promise<void>[] =>
    Array.from({ length: workers }, async () => {
      for (let n = 0; n < cancels / 8; n++) await work(n)
    })
  await Promise.all([...each(victim, 8), ...each(innocent, 8)])
  await sleep(250)
  const [row] = await server.query(
    `select count(*)::int as n from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  )
  const sent = proxy.links.filter((link) => link.cancels).length
  const sessions = proxy.links.length - sent
  const kept = 1 - (sessions - 10) / Math.max(1, sent)
  const what = `${cancels} statements aborted at the moment they end (${stopped} were, ${sent} cancel requests)`
  line(`${what}: others hit`, '0', `${innocents}, wrong answers ${wrong}`, innocents + wrong === 0)
  line('… connections kept', '≥ 95 %', `${(kept * 100).toFixed(1)} %`, kept >= 0.95)
  line('… running on the server 250 ms later', '0', String(row?.['n']), row?.['n'] === 0)
}

async function closings(): Promise<void> {
  const over: number[] = []
  const told: number[] = []
  for (let round = 0; round < rounds; round++) {
    await using place = await proxied({ pool: { max: 20 } })
    const { engine, proxy } = place
    await warm(engine, 20)
    for (const link of proxy.open.slice(0, 2)) link.break('blackhole')
    for (let n = 0; n < 5; n++) await engine.acquire()
    const inFlight = Array.from({ length: 15 }, () => engine.scalar('select 1 from pg_sleep(60)').catch(() => {}))
    await sleep(Math.random() * 50)
    const start = clock()
    const waiters = Array.from({ length: 50 }, () => engine.scalar('select 1').catch(() => told.push(clock() - start)))
    await engine.close({ timeoutMs: 300 })
    over.push(clock() - start - 300)
    await Promise.all([...waiters, ...inFlight])
  }
  const worst = Math.max(...over)
  line('close() with dead, leaked and busy connections: overrun', '≤ 50 ms', `max ${ms(worst)}`, worst <= 50)
  const last = Math.max(...told)
  line('… its waiters are told', '≤ 10 ms', `max ${ms(last)}`, last <= 10)
}

async function selfDeadlock(): Promise<void> {
  await using engine = await createEngine(server.url, { pool: { max: 4 } })
  const took: number[] = []
  let wrong = 0
  const nest = async (depth: number): Promise<void> => {
    const start = clock()
    try {
      await engine.transaction(() => nest(depth + 1), { reuse: false })
    } catch (error) {
      if (depth === 4) took.push(clock() - start)
      if (!(error instanceof SelfDeadlockError)) wrong++
      throw error
    }
  }
  for (let n = 0; n < 200; n++) await nest(0).catch(() => {})
  const worst = Math.max(...took)
  const text = `p50 ${ms(quantile(took, 0.5))}, max ${ms(worst)}, other errors ${wrong}`
  line('nested acquire on a pool that its own chain holds', '≤ 50 ms', text, worst <= 50 && wrong === 0)
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}
