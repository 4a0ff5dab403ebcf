// One `Db` for a process, however often a development server loads the module that makes it, and in however many bundles it
// ends up: kept under a registered symbol, by name, and known again by all of its source.
import { createHash } from 'node:crypto'
import { createDb, type Db } from '../../db/db.ts'
import type { EngineOptions, EngineSource } from '../../engine/open/create-engine.ts'
import { inRoot } from '../../util/context.ts'

interface Kept {
  /** A digest: a source may hold a password. */
  readonly key: string
  readonly db: Db
}

const place: unique symbol = Symbol.for('genever.databases')

interface Global {
  [place]?: Map<string, Kept>
}

/**
 * The database of that name in this process: made by the first call, the same for later ones. When the source or an option
 * has changed, the old one is closed (in the background, within its deadline) and a new one takes its place. Functions are
 * compared by their text.
 * @throws {InvalidOptionError}, {InvalidUrlError} as `createDb`.
 */
export function globalDb(name: string, source?: EngineSource, options?: EngineOptions): Db {
  const kept = ((globalThis as Global)[place] ??= new Map())
  const key = createHash('sha256')
    .update(textOf([source, options]))
    .digest('base64')
  const before = kept.get(name)
  if (before?.key === key) return before.db
  const db = options === undefined ? createDb(source) : createDb(source, options)
  kept.set(name, { key, db })
  // It never rejects for what the old code still holds: that is told by its report.
  if (before !== undefined) void inRoot(() => before.db.close()).catch(() => {})
  return db
}

/** The same text for the same source, whatever the order of its options. */
function textOf(value: unknown): string {
  if (typeof value === 'function') return `function ${String(value)}`
  if (value instanceof URL) return JSON.stringify(value.href)
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`
  if (typeof value !== 'object' || value === null) return `${typeof value} ${String(value)}`
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${textOf(each)}`).join()}}`
}
