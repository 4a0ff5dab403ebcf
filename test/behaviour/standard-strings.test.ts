/** Texts are read as with standard_conforming_strings = on: whatever would turn it off is refused, or ends the connection. */

import { createDb, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { forEachDriver } from '../support/matrix.ts'

const texts = [
  'set standard_conforming_strings to off',
  `SET SESSION "standard_conforming_strings" = 'OFF'`,
  'set local Standard_Conforming_Strings = false',
  `select set_config('standard_conforming_strings', 'off', false)`,
  `select 1, pg_catalog.set_config('STANDARD_CONFORMING_STRINGS', 'no', true)`,
]
const said = 'standard_conforming_strings'

forEachDriver((driver) => {
  test.each(texts)('SQL that turns it off is refused before it is sent: %s', async (text) => {
    const db = await driver.single()
    const refused = async (work: () => Promise<unknown>): Promise<void> => {
      const error = await caught(work())
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(said)
    }
    await refused(() => db.status(text))
    await refused(() => db.bake(text).all())
    await refused(() => db.scope(() => db.status(`select 1; ${text}; select 2`)))
    await refused(() => db.scope((connection) => connection.all(text)))
    await refused(() => db.transaction((tx) => tx.status(text)))
    await using connection = await db.acquire()
    await refused(() => connection.status(text))
    expect(await connection.scalar(`select current_setting('standard_conforming_strings')`)).toBe('on')
  })

  test('settings are refused; on may be set, as dumps do', async () => {
    const db = await driver.single()
    const off = { standard_conforming_strings: 'off' }
    expect((await caught(db.scope(() => db.scalar('select 1'), { settings: off }))).message).toContain(said)
    expect((await caught(db.detached(() => db.scalar('select 1'), { settings: off }))).message).toContain(said)
    const other = createDb(await driver.url(), { settings: off })
    expect((await caught(other.scalar('select 1'))).message).toContain(said)
    await db.scope(async () => {
      await db.status('set standard_conforming_strings = on')
      await db.scalar(`select set_config('standard_conforming_strings', 'on', false)`)
    })
  })
})

test('in the start-up packet, by a role, in a block or through a parameter it ends the connection', async () => {
  await using database = await freshDatabase()
  expect(
    (
      await caught(
        Promise.resolve().then(() => createDb(`${database.url}?options=-cstandard_conforming_strings%3Doff`).open()),
      )
    ).message,
  ).toContain(said)
  await using db = createDb(database.url, { pool: { max: 1 } })
  for (const run of [
    () => db.status(`do $$ begin perform set_config('standard_conforming_strings', 'off', false); end $$`),
    () => db.scope(() => db.scalar('select set_config($1, $2, false)', ['standard_conforming_strings', 'off'])),
  ]) {
    const error = await caught(run())
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain(said)
    expect(await db.scalar(String.raw`select '\' || $1`, ['x'])).toBe(String.raw`\x`)
  }
  await database.query(`alter database "${database.name}" set standard_conforming_strings = off`)
  const other = createDb(database.url)
  expect((await caught(other.open())).message).toContain(said)
})
