/** What createAll makes is what drizzle-kit makes, by the server's own word. */

import * as orm from 'drizzle-orm'
import * as core from 'drizzle-orm/pg-core'
import { npmVersion } from 'drizzle-orm/version'
import { createDb, type Db } from 'genever'
import { createAll, createStatements, dropAll } from 'genever/schema'
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { type Ask, catalogue, catalogueWithoutImplicitNames } from './catalogue.ts'
import { drizzle1, push } from './kit.ts'
import { type Copy, wide } from './wide.ts'
import { type DriverName, wantedDrivers } from '../support/extent.ts'
import { pgliteStart } from '../support/patience.ts'

const own: Copy = { core, orm, is1: npmVersion.startsWith('1.') }
const read = own.is1 ? catalogue : catalogueWithoutImplicitNames

describe.each(wantedDrivers())('%s', (driver) => {
  test('the catalogue is the one that drizzle-kit makes of the same schema, and dropAll empties it', async () => {
    await using kits = await empty(driver)
    await using ours = await empty(driver)
    const before = await read(asking(ours))
    const pushed = await push(wide(drizzle1), asking(kits))
    await pushed.apply()
    await createAll(ours, wide(own))

    expect(await read(asking(ours))).toEqual(await read(asking(kits)))
    await dropAll(ours, wide(own), { schemas: true })
    expect(await read(asking(ours))).toEqual(before)
  })

  test('drizzle-kit finds nothing to do behind it', async () => {
    await using ours = await empty(driver)
    await createAll(ours, wide(drizzle1))
    const { sqlStatements } = await push(wide(drizzle1), asking(ours))

    expect(sqlStatements).toEqual([])
  })
})

test('keys without a name are called as the kit of the same version of Drizzle calls them', () => {
  const statements = createStatements(wide(own)).join('\n')
  const names = own.is1
    ? ['people_manager_id_people_id_fkey', 'homes_owner_id_people_id_fkey']
    : ['people_manager_id_people_id_fk', 'people_email_unique', 'orders_customer_number_pk']

  for (const name of names) expect(statements).toContain(`constraint "${name}"`)
})

async function empty(driver: DriverName): Promise<Db> {
  return createDb(
    driver === 'pglite' ? 'pglite://memory' : (await freshDatabase()).url.replace(/^\w+:/, `${driver}:`),
    { int8: 'string', pool: pgliteStart },
  ).open()
}

const asking =
  (db: Db): Ask =>
  (text) =>
    db.all(text)
