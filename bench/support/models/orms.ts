// The libraries of `bench/orms`, a package of its own that is installed when it is asked for: one file each, of one shape.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ModelSides, Operations } from './workloads.ts'

/** Seen from where this is built to. */
const folder = fileURLToPath(new URL('../../../../bench/orms/', import.meta.url))

/** Files by the package whose version is shown. */
const files = {
  'drizzle-1': 'drizzle-orm',
  typeorm: 'typeorm',
  'mikro-orm': '@mikro-orm/core',
  prisma: '@prisma/client',
  sequelize: 'sequelize',
  objection: 'objection',
} as const

interface Orm {
  readonly open: (url: string, max: number) => Promise<OrmSides>
}

interface OrmSides {
  /** The name is what tells it from the others of the same library. */
  readonly sides: readonly { readonly name: string; readonly operations: Partial<Operations> }[]
  readonly close: () => Promise<unknown>
}

export function ormsInstalled(): boolean {
  return existsSync(join(folder, 'node_modules', '.generated', 'client.mjs'))
}

/** `npm ci` of the package, which also makes Prisma's client. */
export function installOrms(): void {
  const { status } = spawnSync('npm', ['ci', '--prefix', folder], { stdio: 'inherit' })
  if (status !== 0) throw new Error('npm ci --prefix bench/orms has failed.')
}

export async function* orms(url: string, max: number): AsyncGenerator<ModelSides> {
  for (const [file, name] of Object.entries(files)) {
    const { open } = (await import(join(folder, `${file}.mjs`))) as Orm
    const { sides, close } = await open(url, max)
    const { version } = JSON.parse(await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8')) as {
      version: string
    }
    const title = `${file === 'drizzle-1' ? 'drizzle' : file} ${version}`
    yield {
      sides: sides.map((side) => ({
        ...side,
        name: side.name === '' ? title : `${title}, ${side.name}`,
        kind: 'orm',
      })),
      close,
    }
  }
}
