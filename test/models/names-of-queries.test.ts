/** The names that a query makes for its own parts are no names of tables and aliases of a user. */

import { desc, sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import { many, Model } from 'genever/models'
import { createAll, dropAll } from 'genever/schema'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function made(db: Db, names: readonly [parent: string, child: string, grandchild: string]) {
  const parents = pgTable(names[0], { id: integer().primaryKey(), ord: integer() })
  const children = pgTable(names[1], {
    id: integer().primaryKey(),
    parentId: integer('parent_id').references(() => parents.id),
    ord: integer(),
  })
  const grandchildren = pgTable(names[2], {
    id: integer().primaryKey(),
    childId: integer('child_id').references(() => children.id),
  })
  const tables = [parents, children, grandchildren]
  await createAll(db, tables)
  class Parent extends Model(db, parents) {}
  class Child extends Model(db, children) {}
  class Grandchild extends Model(db, grandchildren) {}
  await Parent.createMany([{ id: 1 }, { id: 2 }])
  await Child.createMany([
    { id: 5, parentId: 2, ord: 1 },
    { id: 6, parentId: 2, ord: 2 },
    { id: 7, parentId: 1 },
  ])
  await Grandchild.createMany([
    { id: 9, childId: 5 },
    { id: 10, childId: 7 },
  ])
  return { Parent, Child, Grandchild, [Symbol.asyncDispose]: async () => void (await dropAll(db, tables)) }
}

forEachDriver((driver) => {
  for (const names of [
    ['g0', 'g1', 'g2'],
    ['l1', 'l2', 'l3'],
    ['o', 'q', 'd'],
    ['q', 'o', 'r'],
  ] as const)
    test(`lists of tables that are called ${names.join(', ')} are those of any others`, async () => {
      const db = await driver.db()
      await using models = await made(db, names)
      const { Parent, Child, Grandchild } = models
      const latest = Child.query().orderBy(desc(Child.c.ord))
      const list = many(Child.load({ children: many(Grandchild) }))
      const parents = Parent.query().orderBy(desc(Parent.c.id))
      // The catalogue is asked behind the first query, so the second has other texts.
      for (const strategy of ['joined', 'select-in', 'joined', 'select-in'] as const) {
        const ordered = await parents.load(Parent.load({ children: many(latest) }), { strategy })
        const limited = await parents.load(Parent.load({ children: many(latest.limit(1)) }), { strategy })
        const nested = await parents.load(Parent.load({ children: list }), { strategy })
        const joined = await Child.query()
          .orderBy(Child.c.id)
          .load(Child.load({ parent: Parent, children: many(Grandchild) }), { strategy })

        expect(ordered.map(({ children }) => children.map(({ id }) => id))).toEqual([[6, 5], [7]])
        expect(limited.map(({ children }) => children.map(({ id }) => id))).toEqual([[6], [7]])
        expect(nested.map(({ children }) => children.map((child) => child.children.length))).toEqual([[1, 0], [1]])
        expect(joined.map(({ parent, children }) => [parent?.id, children.length])).toEqual([
          [2, 1],
          [2, 0],
          [1, 1],
        ])
      }
    })

  test('an alias may be called as the rows of keys are in SQL that others write', async () => {
    const db = await driver.db()
    await using models = await made(db, ['parents_of_names', 'children_of_names', 'grandchildren_of_names'])
    const { Parent, Child } = models
    const o = Child.alias('o')
    const loaded = Parent.load({ children: many(o) })

    for (const strategy of ['joined', 'select-in'] as const) {
      const found = await Parent.query()
        .orderBy(sql`${Parent.c.id} desc`)
        .load(loaded, { strategy })

      expect(found.map(({ children }) => children.map(({ id }) => id))).toEqual([[5, 6], [7]])
    }
  })
})
