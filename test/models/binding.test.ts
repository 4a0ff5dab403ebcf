/** Models whose `db` gets its database only for a callback. */

import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import { createDb } from 'genever'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'

test('models of an unbound db give instances inside of withBind', async () => {
  await using database = await freshDatabase('create table users (id serial primary key, name text)')
  const db = createDb()
  class User extends Model(db, pgTable('users', { id: serial().primaryKey(), name: text() })) {}

  const [created, found] = await db.withBind(database.url, async () => [
    await User.create({ name: 'Ada' }),
    await User.get(1),
  ])

  expect([created, found].map((each) => each instanceof User && each.name)).toEqual(['Ada', 'Ada'])
  expect((await caught(User.get(1))).name).toBe('NotBoundError')
})
