// The same 60 requests three times, over real HTTP: with a connection held for each request, with `pool.query` for each
// statement, and with a connection that is lent. Everything in the table was measured just now.
import { db, poolSize } from '../db.ts'
import { plainPool } from '../shop/plain-pool.ts'
import { Meter } from '../service/meter.ts'
import { duration, heading, say, table, type Cell } from '../support/table.ts'

const requests = 60

interface Run {
  readonly totalMs: number
  readonly slowestMs: number
  readonly meter: Meter
}

export async function heldOrLent(url: string): Promise<void> {
  heading(`1. ${requests} requests at once, ${poolSize} connections`)
  say(
    'Each request runs a statement, waits 200 ms for another service, and runs a statement again.',
    'Held: db.acquire() when it begins, release() when it ends.',
    'pool.query: node-postgres, each statement for itself.',
    'Lent: db.scope() around it, and nothing around the wait: whoever needs the connection meanwhile gets it.',
    '',
  )
  await warmUp(url)
  const held = await run(`${url}/held/`)
  const query = await run(`${url}/query/`)
  const lent = await run(`${url}/lent/`)
  const row = (name: string, cell: (run: Run) => Cell): Cell[] => [name, cell(held), cell(query), cell(lent)]
  const rows = [
    row('all answered after', ({ totalMs }) => duration(totalMs)),
    row('the slowest request took', ({ slowestMs }) => duration(slowestMs)),
    row('requests waiting for the other service, at most', ({ meter }) => meter.mostWaiting),
    row('connections out of the pool meanwhile, on average', ({ meter }) => meter.lentWhileWaiting.toFixed(1)),
    row('checkouts', ({ meter }) => meter.checkouts),
    row('time connections were out, in all', ({ meter }) => duration(meter.lentMs)),
  ]
  say(table(['', 'held', 'pool.query', 'lent'], rows, ['held', 'pool.query', 'lent']))
}

/** Sockets of the client and connections of the pool exist before anything is measured. */
async function warmUp(url: string): Promise<void> {
  await atOnce(requests, () => get(`${url}/stats`))
  await atOnce(poolSize, () => db.status('select pg_sleep(0.05)'))
  await atOnce(poolSize, () => plainPool().query('select pg_sleep(0.05)'))
}

async function run(url: string): Promise<Run> {
  using meter = new Meter()
  const start = performance.now()
  const took = await atOnce(requests, async (index) => {
    await get(`${url}${1 + (index % 5)}`)
    return performance.now() - start
  })
  return { totalMs: performance.now() - start, slowestMs: Math.max(...took), meter }
}

async function get(url: string): Promise<void> {
  const response = await fetch(url)
  const body = await response.text()
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${body}`)
}

function atOnce<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)))
}
