// Two who take turns: Genever and node-postgres with named statements, on the same server.
import { createHash } from 'node:crypto'
import { createDb, type Db, type EngineOptions } from 'genever'
import pg from 'pg'
import type { OwnServer } from '../../../test/support/own-server.ts'
import type { Cost } from '../cost.ts'
import { median } from '../quantile.ts'

export interface Place {
  readonly server: OwnServer
  readonly rounds: number
  readonly blockMs: number
}

export interface Pair extends AsyncDisposable {
  readonly db: Db
  readonly pool: pg.Pool
  /** By name: runs a text and gives its rows. */
  readonly sides: Readonly<Record<SideName, Send>>
}

export type SideName = 'genever' | 'pg, named'
export const sideNames: readonly SideName[] = ['genever', 'pg, named']
export type Send = (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>

export async function pair(url: string, max: number, options: EngineOptions = {}): Promise<Pair> {
  const db = await createDb(url, {
    ...options,
    driver: 'socket',
    pool: { max, ...options.pool },
  }).open()
  const pool = new pg.Pool({ connectionString: url, max })
  const names = new Map<string, string>()
  const nameOf = (text: string): string => {
    let name = names.get(text)
    if (name === undefined) names.set(text, (name = createHash('md5').update(text).digest('hex')))
    return name
  }
  return {
    db,
    pool,
    sides: {
      genever: (text, values) => db.all(text, values as unknown[]),
      'pg, named': async (text, values) =>
        (await pool.query<Record<string, unknown>>({ name: nameOf(text), text, values: [...values] })).rows,
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await pool.end()
    },
  }
}

/** Medians of blocks that take turns; the first round of each is thrown away. */
export async function turns<N extends string>(
  rounds: number,
  sides: readonly N[],
  block: (side: N) => Promise<Cost>,
): Promise<Record<N, Cost>> {
  const samples = new Map<N, Cost[]>(sides.map((side) => [side, []]))
  for (let round = 0; round <= rounds; round++)
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const cost = await block(side)
      if (round > 0) samples.get(side)?.push(cost)
    }
  const of = (side: N, what: keyof Cost): number => median((samples.get(side) ?? []).map((cost) => cost[what]))
  return Object.fromEntries(sides.map((side) => [side, { cpu: of(side, 'cpu'), time: of(side, 'time') }])) as Record<
    N,
    Cost
  >
}
