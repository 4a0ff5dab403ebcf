/** migrate() of drizzle-orm, with the files of either version, on our client. */

import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { createDb, type Db } from 'genever'
import { ambient } from 'genever/drizzle'
import { sandboxed } from 'genever/testing'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { is1 } from './support.ts'

const steps = [
  'create table one (id int primary key, at timestamptz default now());\ncreate index on one (at);',
  'create table two (id int);\n--> statement-breakpoint\ninsert into two values (1);',
]
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'genever-migrations-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A folder of migrations as drizzle-kit of this version writes it. */
async function folderOf(texts: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(folder, 'm-'))
  const entries = texts.map((text, index) => ({
    text,
    tag: `2026010${index + 1}000000_step`,
    when: Date.UTC(2026, 0, index + 1),
  }))
  await mkdir(join(directory, 'meta'), { recursive: true })
  for (const { tag, text } of entries) {
    if (is1) await mkdir(join(directory, tag))
    await writeFile(is1 ? join(directory, tag, 'migration.sql') : join(directory, `${tag}.sql`), text)
  }
  if (is1) await rm(join(directory, 'meta'), { recursive: true })
  else {
    const journal = entries.map(({ tag, when }, idx) => ({ idx, version: '7', when, tag, breakpoints: true }))
    await writeFile(
      join(directory, 'meta', '_journal.json'),
      JSON.stringify({ version: '7', dialect: 'postgresql', entries: journal }),
    )
  }
  return directory
}

const run = async (db: Db, texts: readonly string[]): Promise<unknown> =>
  migrate(
    ambient(db, (client) => drizzle({ client })),
    { migrationsFolder: await folderOf(texts) },
  )

const applied = (db: Db): Promise<number | undefined> =>
  db.scalar<number>('select count(*) from drizzle.__drizzle_migrations')

forEachDriver((driver) => {
  const fresh = async (name: string): Promise<Db & AsyncDisposable> =>
    createDb(
      driver.name !== 'pglite' ? (await freshDatabase()).url : `pglite://memory/migrate_${process.pid}_${name}`,
      {
        name,
        pool: { idleTimeoutMs: Infinity },
      },
    ).open()

  test('applies what is new, once', async () => {
    await using db = await fresh('once')
    await run(db, steps.slice(0, 1))
    await run(db, steps)
    await run(db, steps)

    expect(await applied(db)).toBe(2)
    expect(await db.scalar('select count(*) from two')).toBe(1)
  })

  test('all migrations of a run are one transaction, on one connection', async () => {
    await using db = await fresh('broken')
    using heard = hear('broken')
    expect(await caught(run(db, [...steps, 'create table three (id nonsense)']))).toMatchObject({ sqlState: '42704' })

    expect(await applied(db)).toBe(0)
    expect(await db.scalar("select to_regclass('one') is null")).toBe(true)
    const inside = heard.statements.filter(({ sql }) => /table (?:one|two|three)|into two/.test(sql))
    expect(inside).toHaveLength(4)
    expect(new Set(inside.map(({ transaction }) => transaction)).size).toBe(1)
    expect(new Set(inside.map(({ connection }) => connection)).size).toBe(1)
    expect(new Set(heard.transactions.map(({ id }) => id)).size).toBe(1)
  })

  test('inside of db.transaction all of it belongs to that transaction', async () => {
    await using db = await fresh('inside')
    await db.transaction(async (tx) => {
      await run(db, steps)
      expect(await db.scalar('select count(*) from two')).toBe(1)
      tx.raiseRollback()
    })

    expect(await db.scalar("select to_regclass('one') is null and to_regnamespace('drizzle') is null")).toBe(true)
  })

  test('in a sandbox it applies what is new, undoes a run that breaks, and is gone with the sandbox', async () => {
    await using db = await fresh('sandbox')
    await sandboxed(db, async () => {
      await run(db, steps.slice(0, 1))
      expect(await caught(run(db, [...steps, 'create table three (id nonsense)']))).toMatchObject({ sqlState: '42704' })
      expect(await applied(db)).toBe(1)
      await run(db, steps)
      await db.transaction(async (tx) => {
        await run(db, [...steps, 'create table three (id int)'])
        tx.raiseRollback()
      })
      expect([await applied(db), await db.scalar('select count(*) from two')]).toEqual([2, 1])
      expect(await db.scalar("select to_regclass('three') is null")).toBe(true)
    })

    expect(await db.scalar("select to_regclass('one') is null and to_regnamespace('drizzle') is null")).toBe(true)
  })
})

test('two at once: under an advisory lock both succeed, and each migration is applied once', async () => {
  const { url } = await freshDatabase()
  await using one = await createDb(url).open()
  await using two = await createDb(url).open()
  const locked = (db: Db): Promise<unknown> =>
    db.transaction(async () => {
      await db.status('select pg_advisory_xact_lock(815)')
      await run(db, steps)
    })
  await Promise.all([locked(one), locked(two)])

  expect(await applied(one)).toBe(2)
  expect(await one.scalar('select count(*) from two')).toBe(1)
})

test('two at once without a lock: what loses is rolled back, nothing is applied twice', async () => {
  const { url } = await freshDatabase('create schema drizzle; create table passing (id int)')
  await using one = await createDb(url).open()
  await using two = await createDb(url).open()
  const ends = await Promise.allSettled([run(one, steps), run(two, steps)])

  expect(ends.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
  expect(await applied(one)).toBe(2)
  expect(await one.scalar('select count(*) from two')).toBe(1)
})
