/** Kysely's Migrator on Genever: one connection, one transaction, its lock. */

import { createDb, type Db } from 'genever'
import { geneverDialect, kysely } from 'genever/kysely'
import { sandboxed } from 'genever/testing'
import { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'
import { quiet } from '../support/matrix.ts'
import { pgliteStart } from '../support/patience.ts'

const steps: Record<string, Migration> = {
  one: {
    up: (k) => k.schema.createTable('one').addColumn('id', 'integer').execute(),
    down: (k) => k.schema.dropTable('one').execute(),
  },
  two: {
    up: (k) => k.schema.createTable('two').addColumn('id', 'integer').execute(),
    down: (k) => k.schema.dropTable('two').execute(),
  },
}
const broken: Record<string, Migration> = {
  ...steps,
  two: {
    async up(k) {
      await k.schema.createTable('two').addColumn('id', 'integer').execute()
      throw new TypeError('broken')
    },
  },
}

const migrator = (k: Kysely<unknown>, migrations: Record<string, Migration>, schema?: string): Migrator =>
  new Migrator({
    db: k,
    provider: { getMigrations: async () => migrations },
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  })

async function empty(driver: string): Promise<Db> {
  if (driver === 'pglite') {
    const db = createDb('pglite://memory', { pool: pgliteStart })
    onTestFinished(async () => void (await db.close()))
    return db
  }
  const database = await freshDatabase()
  const db = createDb(database.url)
  onTestFinished(async () => {
    await db.close()
    await database.drop()
  })
  return db
}

const tables = async (db: Db): Promise<unknown> =>
  db.scalar(`select coalesce(array_agg(relname order by relname), '{}') from pg_class where relname in ('one', 'two')`)

const kinds = {
  'kysely(db)': (db: Db) => kysely<unknown>(db),
  'the dialect alone': (db: Db) => new Kysely<unknown>({ dialect: geneverDialect(db) }),
}

describe.each(wantedDrivers())('%s', (driver) => {
  describe.each(Object.entries(kinds))('%s', (_, on) => {
    test('migrates up and down', async () => {
      const db = await empty(driver)

      const up = await migrator(on(db), steps).migrateToLatest()
      expect(up.error).toBeUndefined()
      expect(up.results?.map(({ migrationName, status }) => `${migrationName} ${status}`)).toEqual([
        'one Success',
        'two Success',
      ])
      expect(await tables(db)).toEqual(['one', 'two'])

      expect((await migrator(on(db), steps).migrateDown()).error).toBeUndefined()
      expect(await tables(db)).toEqual(['one'])
      await quiet(db)
    })

    test('undoes all of them when one fails', async () => {
      const db = await empty(driver)

      const { error } = await migrator(on(db), broken).migrateToLatest()

      expect((error as Error).message).toBe('broken')
      expect(await tables(db)).toEqual([])
      await quiet(db)
    })

    test('several at once take turns', async () => {
      const db = await empty(driver)
      // The tables of the Migrator itself are made before its lock is taken.
      await migrator(on(db), {}).migrateToLatest()

      const all = await Promise.all([1, 2, 3].map(() => migrator(on(db), steps).migrateToLatest()))

      expect(all.map(({ error }) => error)).toEqual([undefined, undefined, undefined])
      expect(all.flatMap(({ results }) => results ?? [])).toHaveLength(2)
      expect(await tables(db)).toEqual(['one', 'two'])
    })

    test('in a sandbox they migrate up and down, a run that fails is undone, and all is gone with it', async () => {
      const db = await empty(driver)

      await sandboxed(db, async () => {
        const failed = await migrator(on(db), broken).migrateToLatest()
        expect([(failed.error as Error).message, await tables(db)]).toEqual(['broken', []])
        expect((await migrator(on(db), steps).migrateToLatest()).error).toBeUndefined()
        expect((await migrator(on(db), steps).migrateDown()).error).toBeUndefined()
        expect(await tables(db)).toEqual(['one'])
        const all = await Promise.all([1, 2].map(() => migrator(on(db), steps).migrateToLatest()))
        expect(all.map(({ error }) => error)).toEqual([undefined, undefined])
        expect(await tables(db)).toEqual(['one', 'two'])
      })

      expect(await tables(db)).toEqual([])
      await quiet(db)
    })

    test('in a schema of its own', async () => {
      const db = await empty(driver)

      expect((await migrator(on(db), steps, 'plans').migrateToLatest()).error).toBeUndefined()
      expect(await db.scalar('select count(*) from plans.kysely_migration')).toBe(2)
    })
  })

  test('in a Genever transaction it is undone with it', async () => {
    const db = await empty(driver)

    await db.transaction(async (tx) => {
      expect((await migrator(kysely<unknown>(db), steps).migrateToLatest()).error).toBeUndefined()
      expect(await tables(db)).toEqual(['one', 'two'])
      tx.raiseRollback()
    })

    expect(await tables(db)).toEqual([])
  })
})
