// Costs as something grows, a line for each size.
import { type Cell, table } from '../../../demo/support/table.ts'
import { type Cost, costOf } from '../cost.ts'
import { quantile } from '../quantile.ts'
import { type Pair, pair, type Place, type SideName, sideNames, turns } from './turns.ts'

type Lines = readonly (readonly Cell[])[]

const wide = `select n, n * 2 as double, 'Post ' || n as title, repeat('The quick brown fox. ', 5) as body, n % 3 = 0 as published,
  '2025-01-01Z'::timestamptz + n * interval '1 second' as "createdAt" from generate_series(1, $1::int) n`

function sheet(what: string, unit: string, lines: Lines): string {
  const figures = [`CPU µs ${unit}`, 'of pg', `time µs ${unit}`, 'of it']
  return table([what, ...figures], lines, [what, ...figures])
}

function line(size: number, costs: Readonly<Record<SideName, Cost>>, divisor: number): readonly Cell[] {
  const { genever, 'pg, named': other } = costs
  return [
    size.toLocaleString('en'),
    (genever.cpu / divisor).toFixed(2),
    (genever.cpu / other.cpu).toFixed(2),
    (genever.time / divisor).toFixed(2),
    (genever.time / other.time).toFixed(2),
  ]
}

function both(
  { rounds, blockMs }: Place,
  { sides }: Pair,
  text: string,
  values: unknown[],
): Promise<Record<SideName, Cost>> {
  return turns(rounds, sideNames, (side) => costOf(() => sides[side](text, values), blockMs))
}

export async function rows(place: Place): Promise<string> {
  await using two = await pair(place.server.url, 1)
  const lines: Cell[][] = []
  for (const size of [1, 10, 100, 1_000, 10_000, 100_000])
    lines.push([...line(size, await both(place, two, wide, [size]), size)])
  return sheet('rows', 'a row', lines)
}

export async function columns(place: Place): Promise<string> {
  await using two = await pair(place.server.url, 1)
  const lines: Cell[][] = []
  for (const size of [1, 5, 20, 50, 100, 200]) {
    const list = Array.from({ length: size }, (_, at) =>
      at % 2 === 0 ? `n + ${at} as c${at}` : `'text ${at}' as c${at}`,
    )
    const text = `select ${list.join(', ')} from generate_series(1, $1::int) n`
    lines.push([...line(size, await both(place, two, text, [100]), size * 100)])
  }
  return sheet('columns', 'a value', lines)
}

const quick = 'select $1::int as n'

export async function flight({ server, rounds, blockMs }: Place): Promise<string> {
  await using two = await pair(server.url, 10)
  const lines: Cell[][] = []
  for (const size of [1, 4, 16, 64, 256, 1_000]) {
    const waits: Record<SideName, number[]> = { genever: [], 'pg, named': [] }
    const costs = await turns(rounds, sideNames, (side) =>
      costOf(
        async () => {
          const since = performance.now()
          await two.sides[side](quick, [1])
          waits[side].push(performance.now() - since)
        },
        blockMs,
        size,
      ),
    )
    const p99 = sideNames.map((side) => `${quantile(waits[side], 0.99).toFixed(1)} ms`)
    lines.push([...line(size, costs, 1), ...p99])
  }
  const figures = ['CPU µs', 'of pg', 'time µs', 'of it', 'p99', 'pg p99']
  return table(['in flight', ...figures], lines, ['in flight', ...figures])
}

export async function connections({ server, rounds, blockMs }: Place): Promise<string> {
  const lines: Cell[][] = []
  for (const size of [1, 2, 5, 10, 30, 90]) {
    await using two = await pair(server.url, size)
    const costs = await turns(rounds, sideNames, (side) => costOf(() => two.sides[side](quick, [1]), blockMs, 1_000))
    lines.push([...line(size, costs, 1)])
  }
  return sheet('connections', 'a statement', lines)
}

/** A cache of either side keeps a number of them; node-postgres keeps all, here and on the server. */
export async function texts({ server, rounds, blockMs }: Place): Promise<string> {
  const lines: Cell[][] = []
  for (const size of [10, 100, 1_000, 10_000, 100_000]) {
    await using two = await pair(server.url, 1)
    let at = 0
    const costs = await turns(Math.min(rounds, 3), ['genever'] as const, () =>
      costOf(
        async () => {
          at = (at + 1) % size
          await two.sides.genever(`select $1::int as n${at}`, [1])
        },
        Math.max(blockMs, size / 20),
      ),
    )
    globalThis.gc?.()
    const kept = await two.db.scalar('select count(*)::int from pg_prepared_statements')
    const { cpu, time } = costs.genever
    lines.push([
      size.toLocaleString('en'),
      cpu.toFixed(1),
      time.toFixed(1),
      String(kept),
      (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0),
    ])
  }
  const figures = ['CPU µs', 'time µs', 'prepared', 'heap MB']
  return table(['texts', ...figures], lines, ['texts', ...figures])
}
