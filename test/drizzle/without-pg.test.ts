/** An application on PGlite in which `pg` is not installed: Drizzle's entry for PGlite on our client. */

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildPackage } from '../support/built.ts'
import { root } from '../support/source.ts'
import { is1 } from './support.ts'

const packages: Readonly<Record<string, string>> = {
  'drizzle-orm': is1 ? 'test/installs/drizzle-1/node_modules/drizzle-orm' : 'node_modules/drizzle-orm',
  '@electric-sql/pglite': 'node_modules/@electric-sql/pglite',
}
let application = ''

beforeAll(async () => {
  application = await mkdtemp(join(tmpdir(), 'genever-without-pg-'))
  const modules = join(application, 'node_modules')
  await mkdir(join(modules, 'genever'), { recursive: true })
  await mkdir(join(modules, '@electric-sql'))
  for (const [name, path] of Object.entries(packages)) await symlink(join(root, path), join(modules, name))
  await buildPackage(join(modules, 'genever'))
}, 120_000)

afterAll(() => rm(application, { recursive: true, force: true }))

test('queries, transactions and builders in db work', { timeout: 120_000 }, async () => {
  await writeFile(
    join(application, 'main.mjs'),
    `
      import { createDb } from 'genever'
      import { ambient } from 'genever/drizzle'
      import { drizzle } from 'drizzle-orm/pglite'
      import { pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
      import { TransactionRollbackError } from 'drizzle-orm'

      const missing = await import('pg').then(() => 'pg is here', () => 'no pg')
      const entry = await import('drizzle-orm/node-postgres').then(() => 'loads', () => 'does not load')
      const users = pgTable('users', { id: serial().primaryKey(), name: text(), at: timestamp() })
      const db = createDb('pglite://memory', { pool: { connectTimeoutMs: 100_000 } })
      const q = ambient(db, (client) => drizzle({ client }))
      await db.status('create table users (id serial primary key, name text, at timestamp)')
      await q.transaction(async (tx) => {
        await tx.insert(users).values({ name: 'ann', at: new Date(0) })
        await q.insert(users).values({ name: 'bob' })
      })
      const undone = await q.transaction(async (tx) => {
        await tx.insert(users).values({ name: 'lost' })
        tx.rollback()
      }).catch((error) => error instanceof TransactionRollbackError)
      const rows = await db.all(q.select().from(users).orderBy(users.id))
      console.log(JSON.stringify({ missing, entry, undone, rows, count: await q.$count(users) }))
      await db.close()
    `,
  )
  const printed = await run(application, ['--preserve-symlinks', '--preserve-symlinks-main', 'main.mjs'])

  expect(JSON.parse(printed)).toEqual({
    missing: 'no pg',
    entry: 'does not load',
    undone: true,
    rows: [
      { id: 1, name: 'ann', at: '1970-01-01T00:00:00.000Z' },
      { id: 2, name: 'bob', at: null },
    ],
    count: 2,
  })
})

function run(directory: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: directory }, (_, stdout, stderr) => resolve(stdout + stderr))
  })
}
