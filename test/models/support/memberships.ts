/** A table whose key has two columns, and its model. */

import { integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import type { TestedDriver } from '../../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
export async function memberships(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(
    'user_id integer, team_id integer, rank text, "Role Of" text, primary key (user_id, team_id)',
  )
  const table = pgTable(
    name,
    {
      userId: integer('user_id').notNull(),
      teamId: integer('team_id').notNull(),
      rank: text(),
      role: text('Role Of'),
    },
    (t) => [primaryKey({ columns: [t.userId, t.teamId] })],
  )
  class Membership extends Model(db, table, { pk: ['teamId', 'userId'] }) {}
  return { db, name, table, Membership }
}
