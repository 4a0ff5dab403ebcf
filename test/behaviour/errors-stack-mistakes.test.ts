/** The stack of an error has the caller's line where the call itself is wrong, and where a limit ends it. */

import { eq } from 'drizzle-orm'
import { integer, type PgColumn, pgTable, text } from 'drizzle-orm/pg-core'
import { createDb, type Db } from 'genever'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { type Doors, without } from '../support/caller-lines.ts'
import { freshDatabase } from '../support/database.ts'

const here = pgTable('here', { id: integer().primaryKey(), name: text().notNull() })
const row = { id: 1, name: 'a' }

test('mistakes in what is awaited, and limits', async () => {
  await using database = await freshDatabase('create table here (id int primary key, name text)')
  await using db = createDb(database.url)
  class Here extends Model(db, here) {}
  const wrong = (() => 1) as never
  const name = Here.c.name as PgColumn
  const ended = async (): Promise<Db> => {
    let kept: unknown
    await db.transaction((tx) => void (kept = tx))
    return kept as Db
  }
  const slow = 'select pg_sleep(5)'
  const deferred = `create temp table p (a int primary key);
    create temp table c (b int references p deferrable initially deferred); insert into c values (1)`
  const doors: Doors = {
    'a parameter': async () => void (await db.all('select $1', [wrong])),
    'a parameter of sql': async () => void (await db.sql`select ${wrong}`),
    'an option': async () => void (await db.all('select 1', [], { nope: 1 } as never)),
    'an option of a transaction': async () => void (await db.transaction(() => 1, { nope: 1 } as never)),
    'a condition': async () => void (await Here.query().where(eq(name, wrong))),
    'a value of create()': async () => void (await Here.create({ id: 1, name: wrong })),
    'a value of Model.update()': async () => void (await Here.update({ name: wrong }).where(eq(Here.c.id, 1))),
    'no condition for Model.delete()': async () => void (await Here.delete()),
    'no condition for Model.delete().returning()': async () => void (await Here.delete().returning()),
    'a value of update()': async () => void (await new Here(row).update({ name: wrong })),
    'no key for update()': async () => void (await new Here({ name: 'a' }).update({ name: 'b' })),
    'no row': async () => void (await db.sql`select 1 where false`.one()),
    'no row of a model': async () => void (await Here.getOr404(5)),
    'a number that is too large': async () => void (await db.scalar('select 9007199254740993')),
    timeoutMs: async () => void (await db.all(slow, [], { timeoutMs: 20 })),
    'timeoutMs of a transaction': async () => void (await db.transaction(() => db.all(slow), { timeoutMs: 20 })),
    statement_timeout: async () => void (await db.scope(() => db.all(slow), { settings: { statement_timeout: '20' } })),
    signal: async () => void (await db.all(slow, [], { signal: AbortSignal.timeout(20) })),
    'a signal that has aborted': async () => void (await db.sql`select 1`.all({ signal: AbortSignal.abort() })),
    'a setting': async () => void (await db.scope(() => db.all('select 1'), { settings: { statement_timeout: 'x' } })),
    COMMIT: async () => void (await db.transaction((tx) => tx.status(deferred))),
    'commit()': async () => {
      const tx = await db.begin()
      await tx.status(deferred)
      await tx.commit()
    },
    'a transaction that has ended': async () => void (await (await ended()).all('select 1')),
    'sql of a transaction that has ended': async () => void (await (await ended()).sql`select 1`),
  }
  expect(await without(doors)).toEqual([])
})
