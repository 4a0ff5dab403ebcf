/** Folders of migrations, as people and drizzle-kit write them, and databases to migrate. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createDb, type Db, type EngineOptions } from 'genever'
import { onTestFinished } from 'vitest'
import { type FreshDatabase, freshDatabase } from './database.ts'

/** Texts by the name of their file. */
export type Files = Readonly<Record<string, string>>

/** It is removed at the end of the test. */
export async function folderOf(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'genever-migrations-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await write(folder, files)
  return folder
}

export async function write(folder: string, files: Files): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
}

export type JournalEntry = readonly [tag: string, when: number, sql: string]

/** As drizzle-kit 0.31 writes it, for a dialect as it calls it. */
export function journalFor(dialect: 'postgresql' | 'mysql', entries: readonly JournalEntry[]): Files {
  const version = dialect === 'mysql' ? '5' : '7'
  const listed = entries.map(([tag, when], idx) => ({ idx, version, when, tag, breakpoints: true }))
  return {
    'meta/_journal.json': JSON.stringify({ version: '7', dialect, entries: listed }),
    ...Object.fromEntries(entries.map(([tag, , sql]) => [`${tag}.sql`, sql])),
  }
}

/** A database for one test, with the given statements run in it, and a db on it. */
export async function place(sql?: string, options?: EngineOptions): Promise<{ database: FreshDatabase; db: Db }> {
  const database = await freshDatabase(sql)
  const db = createDb(database.url, options)
  onTestFinished(async () => {
    await db.close({ timeoutMs: 1_000 })
    await database.drop()
  })
  return { database, db }
}
