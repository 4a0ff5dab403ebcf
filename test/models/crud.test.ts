/** Rows of models: made, read, changed and deleted, one at a time. */

import { integer, jsonb, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { NotFoundError, UnknownColumnError } from 'genever'
import { json, Model } from 'genever/models'
import { forEachDriver } from '../support/matrix.ts'

const users = pgTable('crud_users', {
  id: serial().primaryKey(),
  name: text().notNull(),
  email: text(),
  teamId: integer('team_id'),
  createdAt: timestamp('created_at').notNull().defaultNow(),
  profile: jsonb().notNull().default({}),
})

const ddl = `
  drop table if exists crud_users;
  create table crud_users (
    id serial primary key, name text not null, email text, team_id integer,
    created_at timestamp not null default now(), profile jsonb not null default '{}');
`

forEachDriver((driver) => {
  async function open() {
    const db = await driver.db()
    await db.status(ddl)
    class User extends Model(db, users, { json: { profile: { nickname: json.string() } } }) {
      greet(): string {
        return `hi ${this.name}`
      }
    }
    return { db, User }
  }

  describe('create', () => {
    test('gives an instance with what the database filled in', async () => {
      const { User } = await open()

      const ada = await User.create({ name: 'Ada', nickname: 'Countess' })

      expect(ada).toBeInstanceOf(User)
      expect(ada.greet()).toBe('hi Ada')
      expect(ada.id).toBe(1)
      expect(ada.email).toBe(null)
      expect(ada.createdAt).toBeInstanceOf(Date)
      expect(ada.profile).toEqual({ nickname: 'Countess' })
      expect(ada.nickname).toBe('Countess')
    })

    test('refuses keys that there are not by name', async () => {
      const { User } = await open()

      // @ts-expect-error no such column
      await expect(User.create({ name: 'Ada', nope: 1 })).rejects.toThrow(UnknownColumnError)
    })
  })

  describe('get', () => {
    test('gives another instance with equal values', async () => {
      const { User } = await open()
      const ada = await User.create({ name: 'Ada' })

      const again = await User.get(ada.id)

      expect(again).not.toBe(ada)
      expect(again).toEqual(ada)
    })

    test('gives undefined, and getOr404 a NotFoundError that names the model', async () => {
      const { User } = await open()

      expect(await User.get(99)).toBe(undefined)
      await expect(User.getOr404(99)).rejects.toThrow(NotFoundError)
      await expect(User.getOr404(99)).rejects.toThrow('User is not found.')
    })
  })
})
