/** Drizzle's own kit, 1.0, and the Drizzle 1.0 it belongs to: the same in both projects of the run. */

import { createRequire } from 'node:module'
import type * as drizzle from 'drizzle-orm'
import type * as core from 'drizzle-orm/pg-core'
import type { Ask } from './catalogue.ts'
import type { Copy } from './wide.ts'

const load = createRequire(new URL('../installs/drizzle-1/package.json', import.meta.url))

/** Loaded by `require`, as the kit does: one copy of Drizzle for both. */
export const drizzle1: Copy = {
  core: load('drizzle-orm/pg-core') as typeof core,
  orm: load('drizzle-orm') as typeof drizzle,
  is1: true,
}

interface Pushed {
  readonly sqlStatements: string[]
  readonly apply: () => Promise<void>
}

interface Kit {
  readonly pushSchema: (
    imports: Record<string, unknown>,
    db: { readonly execute: (query: unknown) => Promise<{ rows: readonly object[] }> },
  ) => Promise<Pushed>
}

/** What `drizzle-kit push` would run on the database behind `ask`; it takes tables of Drizzle 1.0. */
export function push(schema: object, ask: Ask): Promise<Pushed> {
  const { pushSchema } = load('drizzle-kit/api-postgres') as Kit
  return pushSchema({ ...schema }, { execute: async (query) => ({ rows: await ask(textOf(query)) }) })
}

/** The kit sends texts only, by `sql.raw`. */
function textOf(query: unknown): string {
  const { queryChunks } = query as { queryChunks: readonly { value: string | readonly string[] }[] }
  return queryChunks.flatMap(({ value }) => value).join('')
}
