// Those of `bench/mysql.ts` that are packages beside this one: each is left out where it is not installed.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { poolSize } from '../workloads.ts'
import type { MysqlSide } from './sides.ts'

/** Seen from where this is built to. */
const bench = fileURLToPath(new URL('../../../../bench/', import.meta.url))

/** Packages, and the files that speak to them. */
const others = {
  'peers/node_modules/mariadb': 'peers/mariadb.mjs',
  'orms/node_modules/typeorm': 'orms/typeorm-mysql.mjs',
} as const

export async function installed(url: string): Promise<MysqlSide[]> {
  const sides: MysqlSide[] = []
  for (const [needed, file] of Object.entries(others)) {
    if (!existsSync(join(bench, needed))) continue
    const { open } = (await import(join(bench, file))) as {
      readonly open: (url: string, max: number) => Promise<MysqlSide>
    }
    sides.push(await open(url, poolSize))
  }
  return sides
}
