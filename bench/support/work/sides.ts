// Everybody who takes part in `bench/workloads.ts`: those that this package has installed, and those of `bench/peers` and
// `bench/orms`, packages of their own that are installed when it is asked for.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Cost } from '../cost.ts'
import { installOrms, orms, ormsInstalled } from '../models/orms.ts'
import { poolSize } from '../workloads.ts'
import { apart, type OpenPeer } from './apart.ts'
import { drizzles, kysely, withoutPages } from './builders.ts'
import { genever, geneverModels } from './genever.ts'
import { nodePostgres, pipelined, prototype } from './plain.ts'
import { block, type Work, type WorkSides, type Workload, workloads } from './workloads.ts'

/** One of those compared. */
export interface Measurable {
  readonly name: string
  /** The names of the workloads it has. */
  readonly can: readonly string[]
  measure(workload: string, ms: number): Promise<Cost>
}

interface Choice {
  readonly wanted: (name: string) => boolean
  readonly install: boolean
  readonly prototype: string | undefined
}

/** Seen from where this is built to. */
const folder = fileURLToPath(new URL('../../../../bench/peers/', import.meta.url))
const modules = { 'postgres.js': 'postgres.mjs', '@effect/sql-pg': 'effect.mjs' } as const

/** @param open Is given what has to be closed. */
export async function openSides(
  url: string,
  open: { readonly close: () => Promise<unknown> }[],
  { wanted, install, prototype: path }: Choice,
): Promise<readonly Measurable[]> {
  if (install) {
    const { status } = spawnSync('npm', ['ci', '--prefix', folder], { stdio: 'inherit' })
    if (status !== 0) throw new Error('npm ci --prefix bench/peers has failed.')
    installOrms()
  }
  const all: Measurable[] = []
  const add = ({ sides, close }: WorkSides): void => {
    open.push({ close })
    for (const { name, work } of sides)
      if (wanted(name))
        all.push({
          name,
          can: Object.entries(workloads).flatMap(([key, { needs }]) => (work[needs] === undefined ? [] : [key])),
          measure: (workload, ms) => block(work as Work, workloads[workload] as Workload, ms),
        })
  }
  const openers: Readonly<Record<string, () => Promise<WorkSides>>> = {
    genever: () => genever(url, poolSize, 'genever', { driver: 'socket' }),
    'genever over pg': () => genever(url, poolSize, 'genever over pg', { driver: 'pg' }),
    'genever, models': () => geneverModels(url, poolSize, { driver: 'socket' }),
    pg: () => nodePostgres(url, poolSize, false),
    'pg, named': () => nodePostgres(url, poolSize, true),
    'pg, named, pipeline': () => pipelined(url, poolSize),
    kysely: () => kysely(url, poolSize),
    'drizzle 0.45, prepared': () => drizzles(url, poolSize),
  }
  for (const [name, opener] of Object.entries(openers)) if (wanted(name)) add(await opener())
  if (path !== undefined) add(await prototype(url, poolSize, path))
  if (existsSync(join(folder, 'node_modules'))) {
    for (const [name, file] of Object.entries(modules)) {
      if (!wanted(name)) continue
      const peer = await ((await import(join(folder, file))) as { readonly open: OpenPeer }).open(url, poolSize)
      add({ sides: [peer], close: () => peer.close() })
    }
    const bun = join(folder, 'node_modules', '.bin', 'bun')
    if (wanted('Bun.sql') && existsSync(bun)) {
      const side = await apart(bun, join(folder, 'bun-sql.mjs'), url, poolSize)
      open.push(side)
      all.push(side)
    }
  }
  if (ormsInstalled())
    for await (const { sides, close } of orms(url, poolSize))
      add({ sides: sides.map((side) => ({ name: side.name, work: withoutPages(side) })), close })
  return all
}
