/** Lists of one relation whose tables are others elsewhere: in the schema of another tenant, in a transaction, after they were altered. */

import { eq, gt } from 'drizzle-orm'
import { bigint, integer, pgTable } from 'drizzle-orm/pg-core'
import { type Db, StalePlanError } from 'genever'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

/** In each schema: the type of the codes, the codes of the objects, and of the rows of their lists. */
const places = {
  whole: ['bigint', ['7', '8', '9007199254740991'], ['7', '7', '8']],
  texts: ['text', ['7', '07', '8'], ['7', '07', '007', '8']],
  numerics: ['numeric(30, 2)', ['7', '9007199254740992', '9007199254740993'], ['7', '9007199254740993']],
} as const

type Place = keyof typeof places

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function twoOf(driver: TestedDriver, name?: string) {
  const db = await driver.db({ ...(name === undefined ? {} : { name }), pool: { max: 2 } })
  const plainName = (await driver.table('id int')).replaceAll('"', '')
  await db.status(`drop table ${plainName}`)
  const [owner, thing] = [`${plainName}_owners`, `${plainName}_things`]
  const schemaOf = (place: Place): string => `${plainName}_${place}`
  for (const place of Object.keys(places) as Place[]) {
    const [type, owned, listed] = places[place]
    const schema = schemaOf(place)
    await db.status(`create schema ${schema}`)
    await db.status(`create table ${schema}.${owner} (id int primary key, code ${type} unique)`)
    await db.status(`create table ${schema}.${thing} (id int primary key, code ${type})`)
    await db.status(`create index on ${schema}.${thing} (code)`)
    await db.status(`insert into ${schema}.${owner} values ${owned.map((code, at) => `(${at + 1}, '${code}')`).join()}`)
    await db.status(
      `insert into ${schema}.${thing} values ${listed.map((code, at) => `(${at + 1}, '${code}')`).join()}`,
    )
  }
  const owners = pgTable(owner, { id: integer().primaryKey(), code: bigint({ mode: 'number' }).unique() })
  const things = pgTable(thing, {
    id: integer().primaryKey(),
    code: bigint({ mode: 'number' }).references(() => owners.code),
  })
  class Owner extends Model(db, owners) {}
  class Thing extends Model(db, things) {}
  const within = <T>(place: Place, work: () => Promise<T>): Promise<T> =>
    db.scope(work, { settings: { search_path: schemaOf(place) } })
  return { db, Owner, Thing, within, schemaOf, owner, thing }
}

type Two = Awaited<ReturnType<typeof twoOf>>
type Found = { readonly id: number; readonly things: readonly { readonly id: number }[] }

const idsOf = (rows: readonly (Found | undefined)[]): unknown[] =>
  rows.map((row) => [row?.id, row?.things.map(({ id }) => id)])

/** The lists as the server compares their codes. */
async function wanted({ db, owner, thing }: Two): Promise<unknown[]> {
  const rows = await db.all<{ id: number; list: number[] }>(
    `select id, array(select t.id from ${thing} t where t.code = o.code order by t.id) as list from ${owner} o order by id`,
  )
  return rows.map(({ id, list }) => [id, list])
}

function queryOf({ Owner, Thing }: Two) {
  return Owner.query()
    .load(Owner.load({ things: many(Thing) }))
    .orderBy(Owner.c.id)
}

/** The lists of all objects, by each way to ask for them. */
async function asked(two: Two): Promise<unknown[][]> {
  const { db, Owner } = two
  const query = queryOf(two)
  const all = [
    await query,
    await db.all(query),
    await query.where(gt(Owner.c.id, 0)),
    (await query.limit(9).page()).rows,
  ]
  const baked = db.bake(query)
  const byId = db.bake((p: { id: number }) => query.where(eq(Owner.c.id, p.id)))
  all.push(await baked.all(), await baked.all(), await baked.bind())
  const ids = all[0]?.map(({ id }) => id) ?? []
  const each = async (find: (id: number) => Promise<Found | undefined>): Promise<void> => {
    const found: Found[] = []
    for (const id of ids) found.push((await find(id)) as Found)
    all.push(found as never)
  }
  await each((id) => query.where({ id }).first())
  await each((id) => query.where({ id }).one())
  await each((id) => db.oneOrNone(query.where(eq(Owner.c.id, id))))
  await each((id) => byId.one({ id }))
  await each((id) => db.first(byId.bind({ id })))
  await db.transaction(async (tx) => {
    all.push(await tx.all(query), await query.limit(9).forUpdate({ skipLocked: true }))
  })
  const read: unknown[] = []
  for await (const row of baked.iterate()) read.push(row)
  all.push(read as never)
  return all.map(idsOf)
}

/** Runs these on a connection beside that of the transaction around. */
async function elsewhere(db: Db, texts: readonly string[]): Promise<void> {
  await db.detached(async () => {
    for (const text of texts) await db.status(text)
  })
}

forEachDriver((driver) => {
  const orders: readonly (readonly Place[])[] = [
    ['whole', 'texts', 'numerics', 'whole'],
    ['texts', 'whole', 'texts'],
    ['numerics', 'whole', 'numerics'],
  ]

  test.each(orders)('lists are paired as the server compares in each schema: %s, %s, %s', async (...order) => {
    const two = await twoOf(driver)
    for (const place of order)
      await two.within(place, async () => {
        const right = await wanted(two)
        for (const found of await asked(two)) expect(found).toEqual(right)
      })
  })

  test.skipIf(driver.most === 1)(
    'a key that is altered to another type while a transaction is open pairs as the server compares, or the plan is stale',
    async () => {
      for (const known of [true, false]) {
        const two = await twoOf(driver)
        const { db, owner, thing, schemaOf } = two
        await two.within('whole', async () => {
          const query = queryOf(two)
          await query
          const [one, other] = [`${schemaOf('whole')}.${owner}`, `${schemaOf('whole')}.${thing}`]
          const found = await db
            .transaction(async (tx) => {
              // The statement is prepared on this connection, or it is not. The transaction holds no lock on the tables.
              if (known)
                await tx.transaction((inner) => inner.all(query).then(() => inner.raiseRollback())).catch(() => {})
              await tx.scalar('select 1')
              await elsewhere(db, [
                `alter table ${one} alter code type text`,
                `alter table ${other} alter code type text`,
                `update ${one} set code = '07' where id = 2`,
                `update ${other} set code = '07' where id = 2`,
              ])
              return tx.all(query)
            })
            .catch((error: unknown) => error)
          const right = await wanted(two)
          if (found instanceof Error) expect(found).toBeInstanceOf(StalePlanError)
          else expect(idsOf(found as Found[])).toEqual(right)
          expect(idsOf(await query)).toEqual(right)
          expect(idsOf(await db.transaction((tx) => tx.all(query)))).toEqual(right)
          expect(idsOf(await db.bake(query).all())).toEqual(right)
        })
      }
    },
  )
})
