/** Queries and instances made inside of a scope with settings: they run with these settings, or they are refused. */

import { eq } from 'drizzle-orm'
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { closeGlobal, globalDb, TransactionStateError } from 'genever'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const ours = { 'app.tenant': 'ours' }
const theirs = { 'app.tenant': 'theirs' }

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function notes(driver: TestedDriver) {
  const db = await driver.single()
  const name = await driver.table('id serial primary key, body text not null, parent integer')
  const table = pgTable(name, { id: serial().primaryKey(), body: text().notNull(), parent: integer() })
  class Note extends Model(db, table) {}
  const kept = await Note.create({ body: 'first' })
  const inside = <T>(work: () => T | Promise<T>, settings = ours): Promise<T> => db.scope(work, { settings })
  const outside = async (work: () => PromiseLike<unknown>): Promise<void> => {
    expect(await caught(Promise.resolve().then(work))).toBeInstanceOf(TransactionStateError)
    expect(await caught(inside(async () => work(), theirs))).toBeInstanceOf(TransactionStateError)
  }
  return { db, Note, name, kept, inside, outside }
}

forEachDriver((driver) => {
  describe('a query made inside of a scope with settings', () => {
    const makers: [string, (context: Awaited<ReturnType<typeof notes>>) => () => PromiseLike<unknown>][] = [
      ['sql', ({ db }) => later(db.sql`select 1`, (query) => query.all())],
      ['sql, through another db call', ({ db }) => later(db.sql`select 1`, (query) => db.first(query))],
      ['sql, as a cursor', ({ db }) => later(db.sql`select 1`, (query) => query.iterate().read())],
      ['a model query', ({ Note }) => later(Note.where({ body: 'first' }), (query) => query)],
      ['first()', ({ Note }) => later(Note.query(), (query) => query.first())],
      ['count()', ({ Note }) => later(Note.query(), (query) => query.count())],
      ['exists()', ({ Note }) => later(Note.query(), (query) => query.exists())],
      ['page()', ({ Note }) => later(Note.query().orderBy(Note.c.id).limit(1), (query) => query.page())],
      ['iterate()', ({ Note }) => later(Note.query(), async (query) => query.iterate().read())],
      ['update()', ({ Note }) => later(Note.update({ body: 'x' }).everyRow(), (change) => change)],
      ['update().returning()', ({ Note }) => later(Note.update({ body: 'x' }).everyRow().returning(), (all) => all)],
      ['delete()', ({ Note }) => later(Note.delete().everyRow(), (change) => change.apply())],
    ]

    test.each(makers)('%s is refused outside, and where the settings are others', async (_, make) => {
      const context = await notes(driver)

      const run = await context.inside(() => ({ run: make(context) }))

      await context.outside(run.run)
      expect(await context.db.all(`select body from ${context.name}`)).toEqual([{ body: 'first' }])
    })

    test.each(makers)('%s runs where the settings are equal', async (_, make) => {
      const context = await notes(driver)

      const { run } = await context.inside(() => ({ run: make(context) }))

      await context.inside(async () => void (await run()), { ...ours })
      await context.inside(() => context.db.transaction(async () => void (await run())))
    })

    test('is refused on a handle that has other settings, and runs on one that has the same', async () => {
      const { db, Note, inside } = await notes(driver)
      const { query } = await inside(() => ({ query: Note.query() }))
      const plain = await db.acquire()

      expect(await caught(query.all({ on: plain }))).toBeInstanceOf(TransactionStateError)
      await plain.release()
      const same = await inside(() => db.acquire())
      expect(await query.all({ on: same })).toHaveLength(1)
      await same.release()
    })

    test('names the settings, never their values', async () => {
      const { db, inside } = await notes(driver)
      const { query } = await inside(() => ({ query: db.sql`select 1` }))

      const error = (await caught(query.all())) as Error

      expect(error.message).toContain('"app.tenant"')
      expect(error.message).not.toContain('ours')
    })
  })

  test('a query made outside of every scope runs in any scope, with its settings', async () => {
    const { db, Note, inside } = await notes(driver)
    const all = Note.query()
    const tenant = db.sql<{ tenant: string }>`select current_setting('app.tenant') as tenant`

    expect(await inside(() => all.count())).toBe(1)
    expect(await inside(() => tenant.one())).toEqual({ tenant: 'ours' })
  })

  describe('an instance', () => {
    interface Written {
      update(values: { body: string }): PromiseLike<unknown>
      delete(): Promise<unknown>
      reload(): Promise<unknown>
    }
    const changes: [string, (note: Written) => PromiseLike<unknown>][] = [
      ['update()', (note) => note.update({ body: 'changed' })],
      ['delete()', (note) => note.delete()],
      ['reload()', (note) => note.reload()],
    ]

    test.each(changes)('read with settings is refused by %s outside', async (_, change) => {
      const { db, name, Note, inside, outside } = await notes(driver)
      const made = await inside(async () => [
        await Note.get(1),
        await Note.query().first(),
        (await Note.query().all())[0],
        await Note.query().iterate().read(),
        await db.first(Note.query()),
      ])

      for (const note of made) await outside(() => change(note as unknown as Written))
      expect(await db.all(`select body from ${name}`)).toEqual([{ body: 'first' }])
    })

    test.each(changes)('that a function of a loader gave is refused by %s outside', async (_, change) => {
      const { db, name, Note, inside, outside } = await notes(driver)
      await inside(() => Note.createMany([{ body: 'second' }, { body: 'third' }]))
      type Made = InstanceType<typeof Note>
      const made = await inside(async () => {
        const query = Note.query().orderBy(Note.c.id)
        const some = await query.load((note: Made) => (note.id === 1 ? null : note))
        const lists = await query.load((note: Made) => (note.id === 1 ? [note] : null))
        const objects = await query.load((note: Made) => ({ note }))
        const mixed = await query.load((note: Made) => (note.id === 2 ? [note] : note))
        return [some, lists, objects.map(({ note }) => note), mixed].flat(2).filter((note) => note !== null)
      })

      expect(made).toHaveLength(9)
      for (const note of made) await outside(() => change(note))
      expect(await db.scalar(`select count(*) from ${name} where body <> 'changed'`)).toBe(3)
    })

    test.each(changes)('created with settings is refused by %s outside', async (_, change) => {
      const { db, name, Note, inside, outside } = await notes(driver)
      const made = await inside(async () => [
        await Note.create({ body: 'second' }),
        ...(await Note.createMany([{ body: 'third' }])),
        await Note.upsert({ id: 9, body: 'fourth' }),
      ])

      for (const note of made) await outside(() => change(note))
      expect(await db.scalar(`select count(*) from ${name}`)).toBe(4)
    })

    test('is not changed in memory by an update that is refused', async () => {
      const { Note, inside } = await notes(driver)
      const { note } = await inside(async () => ({ note: await Note.getOr404(1) }))

      await caught(note.update({ body: 'changed' }).apply())

      expect(note.body).toBe('first')
    })

    test('read with settings is written with the same', async () => {
      const { db, name, Note, inside } = await notes(driver)
      const { note } = await inside(async () => ({ note: await Note.getOr404(1) }))

      await inside(() => note.update({ body: 'changed' }).apply())

      expect(await db.scalar(`select body from ${name}`)).toBe('changed')
    })

    test('that a loader attached is refused too', async () => {
      const { Note, inside, outside } = await notes(driver)
      await Note.create({ body: 'child', parent: 1 })
      const Up = Note.alias('up')
      const child = await inside(() =>
        Note.where({ body: 'child' })
          .load(Note.load({ up: Up.on(eq(Note.c.parent, Up.c.id)) }))
          .one(),
      )

      await outside(() => child.up!.delete())
    })

    test('read without settings is written in any scope', async () => {
      const { kept, inside, db, name } = await notes(driver)

      await inside(() => kept.update({ body: 'changed' }).apply())

      expect(await db.scalar(`select body from ${name}`)).toBe('changed')
    })
  })
})

test('an instance of a globalDb() is written after that was closed and is opened again', async () => {
  await using database = await freshDatabase(
    "create table notes (id int primary key, body text); insert into notes values (1, 'old')",
  )
  class Note extends Model(globalDb(database.url), pgTable('notes', { id: integer().primaryKey(), body: text() })) {}
  const note = await Note.getOr404(1)
  await closeGlobal(database.url)

  await note.update({ body: 'new' })

  await closeGlobal(database.url)
  expect(await database.query('select body from notes')).toEqual([{ body: 'new' }])
})

/** Made now, run later. */
function later<Q>(query: Q, run: (query: Q) => PromiseLike<unknown>): () => PromiseLike<unknown> {
  return () => run(query)
}
