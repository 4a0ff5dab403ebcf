/** Migrations of PostgreSQL for tenants: each schema and each database has all files, and a record of its own. */

import { migrate, type MigrateReport, migrationStatus } from 'genever/migrations'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { type Files, folderOf, journalFor, type JournalEntry, place } from '../support/migration-folders.ts'

const journal = (...entries: readonly JournalEntry[]): Files => journalFor('postgresql', entries)

const names = ({ applied }: MigrateReport): string[] => applied.map(({ file }) => file)
describe('schemas of tenants', () => {
  const made = 'create schema a; create schema b; create schema c; create schema other'
  const files = journal(
    [
      '0000_one',
      1,
      `CREATE TYPE "public"."mood" AS ENUM ('ok');--> statement-breakpoint\nCREATE TABLE "teams" ("id" int primary key, "mood" "public"."mood");`,
    ],
    [
      '0001_two',
      2,
      'CREATE TABLE "users" ("team" int, CONSTRAINT "fk" FOREIGN KEY ("team") REFERENCES "public"."teams"("id"));',
    ],
  )

  test('each have all files and a record of their own; what drizzle-kit put into public is the tenant’s', async () => {
    const { db, database } = await place(made)
    const folder = await folderOf(files)
    const report = await migrate(db, { folder, schemas: ['a', 'b'], concurrency: 2 })

    expect(report.applied.map(({ schema, file }) => `${schema} ${file}`).toSorted()).toEqual([
      'a 0000_one',
      'a 0001_two',
      'b 0000_one',
      'b 0001_two',
    ])
    expect(
      await database.query(
        "select conrelid::regclass::text as child, confrelid::regclass::text as parent from pg_constraint where contype = 'f' order by 1",
      ),
    ).toEqual([
      { child: 'a.users', parent: 'a.teams' },
      { child: 'b.users', parent: 'b.teams' },
    ])
    expect(
      await database.query("select schemaname as s from pg_tables where tablename = '__drizzle_migrations' order by 1"),
    ).toEqual([{ s: 'a' }, { s: 'b' }])
    expect(await migrate(db, { folder, schemas: /^[abc]$/ })).toMatchObject({
      upToDate: [{ schema: 'a' }, { schema: 'b' }],
    })
    expect(await migrationStatus(db, { folder, schemas: () => ['c', 'other'] })).toMatchObject({
      pending: [{ schema: 'other' }, { schema: 'other' }],
      upToDate: [{ schema: 'c' }],
    })
  })

  test('stop at the first that fails, or go on and report it', async () => {
    const { db } = await place(`${made}; create table b.users (n int)`)
    const folder = await folderOf(files)

    const error = await caught(migrate(db, { folder, schemas: ['a', 'b', 'c'] }))
    expect(error.message).toContain('In the schema "b": Migration 0001_two failed at statement 1 of 1')
    expect(
      (await migrationStatus(db, { folder, schemas: ['a', 'b', 'c'] })).pending.map(({ schema }) => schema),
    ).toEqual(['b', 'c', 'c'])
    const report = await migrate(db, { folder, schemas: ['b', 'c'], onError: 'continue' })
    expect(report.failed.map(({ schema }) => schema)).toEqual(['b'])
    expect(names(report)).toEqual(['0000_one', '0001_two'])
  })

  test('are refused by name where a search path would pass them over, or reach what is shared', async () => {
    const { db } = await place(`${made}; create table public.plans (id int primary key)`)
    const folder = await folderOf({ '1.sql': 'create table s (plan int references "public"."plans"(id))' })

    for (const [schema, message] of [
      ['nope', 'does not exist'],
      ['pg_catalog', "PostgreSQL's own"],
      ['x'.repeat(64), 'more than the 63'],
      ['public', 'belongs to all'],
    ] as const)
      expect((await caught(migrate(db, { folder, schemas: [schema] }))).message).toContain(message)
    expect((await caught(migrate(db, { folder, schemas: ['a'] }))).message).toContain('Name public in shared')
    expect(names(await migrate(db, { folder, schemas: ['a'], shared: ['public'] }))).toEqual(['1'])
  })
})

describe('databases of tenants', () => {
  const files = { '1.sql': 'create table t (n int)', '2.sql': 'create index concurrently t_n on t (n)' }

  test('each have all files and a record of their own; what was there is not touched', async () => {
    const { db, database } = await place()
    const tenants = [await freshDatabase(), await freshDatabase()]
    const folder = await folderOf(files)
    const report = await migrate(db, { folder, databases: tenants.map(({ url }) => url), concurrency: 2 })
    const named = tenants.map(({ url, name }) => `${new URL(url).host}/${name}`)

    expect(report.applied.map(({ database: at, file }) => `${at} ${file}`).toSorted()).toEqual(
      named.flatMap((name) => [`${name} 1`, `${name} 2`]).toSorted(),
    )
    expect(await migrationStatus(db, { folder, databases: () => [new URL(tenants[0]!.url)] })).toMatchObject({
      pending: [],
      upToDate: [{ database: named[0], schema: null }],
    })
    expect(await database.query("select to_regclass('t')::text as t")).toEqual([{ t: null }])
    for (const tenant of tenants) await tenant.drop()
  })

  test('stop at the first that fails, or go on and report it; schemas are looked for in each', async () => {
    const { db } = await place()
    const [one, two] = [await freshDatabase('create schema a; create schema b'), await freshDatabase('create schema a')]
    const folder = await folderOf(files)
    const missing = one.url.replace(/[^/]*$/, 'nowhere')
    const databases = [missing, one.url, two.url]

    expect((await caught(migrate(db, { folder, databases, schemas: /^[ab]$/ }))).code).toBe('GENEVER_CONNECT')
    const report = await migrate(db, { folder, databases, schemas: /^[ab]$/, onError: 'continue' })
    expect(report.failed).toMatchObject([{ database: expect.stringContaining('/nowhere'), schema: null }])
    expect(report.applied.map(({ schema }) => schema)).toEqual(['a', 'a', 'b', 'b', 'a', 'a'])
    expect(await migrationStatus(db, { folder, databases, schemas: ['a'], onError: 'continue' })).toMatchObject({
      failed: [{}],
      upToDate: [{ schema: 'a' }, { schema: 'a' }],
    })
    await one.drop()
    await two.drop()
  })
})
